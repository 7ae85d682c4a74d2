"""Appends a file of many small records with `synod append --file` to a default cluster of this machine,
and prints records a second and the most memory that each process ever had resident. Ends with 1 below
60,000 records a second or above 200 MiB."""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import SYNOD, Cluster, spawn  # noqa: E402

GOAL_RECORDS_PER_S = 60000
GOAL_MIB = 200


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def append(cluster, path):
    """Answers the command's summary and its own peak in MiB."""
    result = f"{cluster.directory}/summary.json"
    with open(result, "wb") as out:
        process = spawn([SYNOD, "append", "--quiet", "--file", path, "-o", "json", "--cluster",
                         cluster.config, "--timeout", "60s"], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"error: synod append failed with status {process.returncode}")
    with open(result, encoding="utf-8") as file:
        return json.load(file), usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/append.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--size", type=int, default=64, help="bytes of a record")
    parser.add_argument("--repetitions", type=int, default=3, help="one after the other, one cluster")
    options = parser.parse_args()
    rates = []
    with Cluster(name="append") as cluster:
        path = f"{cluster.directory}/records.txt"
        with open(path, "wb") as file:
            for number in range(options.records):
                file.write(b"%0*d\n" % (options.size, number))
        for _ in range(options.repetitions):
            summary, own = append(cluster, path)
            rates.append(summary["records_per_s"])
            peaks = {str(node): peak_mib(node.process.pid) for node in cluster.nodes}
            peaks["synod append"] = own
            print(f"{summary['records']} records of {options.size} bytes in {summary['seconds']:.2f} s: "
                  f"{summary['records_per_s']:.0f} records/s")
            print("  most resident, MiB: " +
                  ", ".join(f"{name} {mib:.0f}" for name, mib in peaks.items()), flush=True)
    good = min(rates) >= GOAL_RECORDS_PER_S and max(peaks.values()) <= GOAL_MIB
    print(f"goal {GOAL_RECORDS_PER_S} records/s and {GOAL_MIB} MiB: "
          f"{'reached' if good else 'NOT REACHED'}")
    return 0 if good else 1


sys.exit(main())
