"""Processor time for one operation, of the client and of the cluster, with this build and with another
one in turn: appends with 1000 and with 1 outstanding, puts with 1000. Prints medians and the ratio of
each, this build's to the other's. Ends with 1 if a ratio is above --limit (0: never)."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

import cluster as processes  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")

LOADS = {
    "append, 1000 outstanding": ["--outstanding", "1000"],
    "append, 1 outstanding": ["--outstanding", "1"],
    "put, 1000 outstanding": ["--outstanding", "1000", "--keys", "1000"],
}


def ticks_of(node):
    """Processor time of a daemon so far, in seconds."""
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(build, load, seconds):
    """Microseconds of processor time for one operation: (client, cluster); and operations a second."""
    processes.BUILD = build
    processes.SYNOD = os.path.join(build, "synod")
    with processes.Cluster(name="paired") as cluster:
        before = sum(map(ticks_of, cluster.nodes))
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        full = [processes.SYNOD, "bench", "--duration", f"{seconds}s", "-o", "json",
                "--cluster", cluster.config, *load]
        done = subprocess.run(full, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = sum(map(ticks_of, cluster.nodes)) - before
        figures = json.loads(done.stdout)
    client = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    count = figures["records"] * (seconds + 1) / seconds  # the warm-up of a second is not counted
    return client / count * 1e6, spent / count * 1e6, count / seconds


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/paired.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", help="build directory of the other one")
    parser.add_argument("--seconds", type=int, default=3, help="of one run")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0)
    options = parser.parse_args()
    builds = [os.path.abspath(processes.BUILD), os.path.abspath(options.other)]
    worst = 0
    for what, load in LOADS.items():
        runs = [[], []]
        for pair in range(options.pairs):
            for side in (0, 1) if pair % 2 == 0 else (1, 0):
                runs[side].append(measure(builds[side], load, options.seconds))
        columns = [[statistics.median(column) for column in zip(*side)] for side in runs]
        for name, column in (("client", 0), ("cluster", 1)):
            ratio = columns[0][column] / columns[1][column]
            worst = max(worst, ratio)
            print(f"{what}: {name} {columns[0][column]:.2f} us, other {columns[1][column]:.2f} us, "
                  f"ratio {ratio:.3f}", flush=True)
        print(f"{what}: {columns[0][2]:.0f}/s, other {columns[1][2]:.0f}/s", flush=True)
    return 1 if options.limit > 0 and worst > options.limit else 0


sys.exit(main())
