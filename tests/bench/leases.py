"""Puts one after the other, and a thousand at once, in turn without leases and beside a client that keeps many
alive, on one cluster; prints medians and their ratio. The leases last 60 s, so that each is kept alive about
every 20 s."""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import BUILD, Cluster, command, spawn  # noqa: E402

HOLDER = os.path.join(BUILD, "tests", "process", "tool_leases")
TTL_MS = 60000


def measure(cluster, outstanding, seconds):
    """(puts a second, median, p99 in us)."""
    status, out, err = command("bench", "--keys", "1000", "--outstanding", str(outstanding),
                               "--duration", f"{seconds}s", "-o", "json", cluster=cluster,
                               seconds=seconds + 60)
    if status != 0:
        sys.exit(f"error: synod bench failed with status {status}: {err.decode()}")
    figures = json.loads(out)
    return figures["records_per_s"], figures["latency_us"]["median"], figures["latency_us"]["p99"]


class Holder:
    def __init__(self, cluster, count):
        self.process = spawn([HOLDER, cluster.config, str(count), str(TTL_MS)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            sys.exit("error: the leases could not be granted")

    def end(self):
        out, _ = self.process.communicate()
        if self.process.returncode != 0:
            sys.exit(f"error: of the leases {out.decode().strip()}")


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/leases.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leases", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    rows = {}
    with Cluster(name="leases") as cluster:
        for _ in range(options.repetitions):
            for count in (0, options.leases):
                holder = Holder(cluster, count)
                for outstanding in (1, 1000):
                    rows.setdefault((outstanding, count), []).append(
                        measure(cluster, outstanding, options.seconds))
                holder.end()
    print(f"{'under way':>9} {'leases':>7} {'puts/s':>9} {'median us':>10} {'p99 us':>8}")
    for outstanding in (1, 1000):
        medians = []
        for count in (0, options.leases):
            medians.append([statistics.median(column) for column in zip(*rows[outstanding, count])])
            rate, median, p99 = medians[-1]
            print(f"{outstanding:9} {count:7} {rate:9.0f} {median:10.0f} {p99:8.0f}")
        ratios = [b / a for a, b in zip(*medians)]
        print(f"{'':9} {'ratio':>7} {ratios[0]:9.2f} {ratios[1]:10.2f} {ratios[2]:8.2f}")
    return 0


sys.exit(main())
