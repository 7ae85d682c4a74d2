"""Measures Synod side by side with what ZeroMQ and a synced LevelDB allow at best (limit.c), and with
etcd and ZooKeeper where they are installed: in turn, several times, and prints medians and ratios.

Absolute figures drift on shared machines; only those of one run can be compared."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import BUILD, Cluster, command  # noqa: E402

# Accepts under way in the limit's leader, and what an acceptor of it stores: one record for each
# accept, as Synod does.
LIMIT_PIPELINE = 16
LIMIT_STORE = "ldb1"

GOAL_RATE = 0.30    # of the limit's, with many outstanding
GOAL_MEDIAN = 1.5   # times the limit's, with one outstanding

LINE = re.compile(r"outstanding=(\d+).*?: ([\d.]+) ops/s  p50 ([\d.]+) us  p99 ([\d.]+) us  "
                  r"p99.9 ([\d.]+) us  max ([\d.]+) us")
COLUMNS = ("rate", "p50", "p99", "p999", "max")


class Results:
    def __init__(self):
        self.rows = {}  # (system, outstanding): list of figures

    def add(self, system, outstanding, *figures):
        figures = dict(zip(COLUMNS, figures))
        self.rows.setdefault((system, outstanding), []).append(figures)
        print(f"  {system:9} outstanding {outstanding:5}: {figures['rate']:9.0f} ops/s  "
              f"p50 {figures['p50']:8.0f} us  p99 {figures['p99']:8.0f} us", flush=True)

    def add_lines(self, system, text):
        for line in text.splitlines():
            found = LINE.search(line)
            if found:
                self.add(system, int(found[1]), *map(float, found.groups()[1:]))

    def median(self, system, outstanding, column):
        rows = self.rows.get((system, outstanding), [])
        return statistics.median(row[column] for row in rows) if rows else None


def find_limit():
    path = os.path.join(BUILD, "tests", "bench", "limit")
    if not os.path.exists(path):
        sys.exit(f"error: {path} is not there (it was not built); try: make bench")
    return path


def run_limit(results, limit, options, outstanding):
    done = subprocess.run([limit, "stream", tempfile.gettempdir(), str(options.seconds),
                           str(outstanding), str(LIMIT_PIPELINE), LIMIT_STORE, str(options.size)],
                          check=True, capture_output=True, text=True)
    results.add_lines("limit", done.stdout)


def run_synod(results, options, outstanding, keys=0):
    """Appends to the log, or puts under so many keys, which is what etcd does."""
    what = ["--keys", str(keys)] if keys else []
    with Cluster(name="bench") as cluster:
        status, out, err = command("bench", "--outstanding", str(outstanding), "--size",
                                   str(options.size), "--duration", f"{options.seconds}s", "-o",
                                   "json", *what, cluster=cluster, seconds=options.seconds + 60)
    if status != 0:
        sys.exit(f"error: synod bench failed with status {status}: {err.decode()}")
    figures = json.loads(out)
    latency = figures["latency_us"]
    results.add("synod put" if keys else "synod", outstanding, figures["records_per_s"], latency["median"], latency["p99"],
                latency["p999"], latency["max"])


def run_peer(results, skipped, name, options, outstanding):
    """etcd or zk. Not again once it was skipped."""
    if name in skipped:
        return
    done = subprocess.run([os.path.join(HERE, f"peer_{name}.sh"), "-o", str(outstanding), "-r", "1",
                           "-s", str(options.seconds), "-v", str(options.size)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        skipped.add(name)
        print("  " + (done.stdout + done.stderr).strip().replace("\n", "\n  "), flush=True)
        return
    results.add_lines(name, done.stdout)


def print_table(results, options):
    print(f"\nmedians of {options.repetitions} runs of {options.seconds} s, {options.size} bytes, "
          f"synced, times in us\n")
    print(f"{'system':9} {'outstanding':>11} {'ops/s':>9} {'(least - most)':>19} {'of limit':>9} "
          f"{'p50':>8} {'of limit':>9} {'p99':>8} {'p99.9':>8} {'max':>8}")
    for outstanding in options.outstanding:
        for system in ("limit", "synod", "synod put", "etcd", "zk"):
            rows = results.rows.get((system, outstanding))
            if not rows:
                continue
            of = {column: results.median(system, outstanding, column) for column in COLUMNS}
            rates = [row["rate"] for row in rows]
            rate_ratio = of["rate"] / results.median("limit", outstanding, "rate")
            p50_ratio = of["p50"] / results.median("limit", outstanding, "p50")
            print(f"{system:9} {outstanding:11} {of['rate']:9.0f} "
                  f"{f'({min(rates):.0f} - {max(rates):.0f})':>19} {rate_ratio:8.0%}  {of['p50']:8.0f} "
                  f"{p50_ratio:8.2f}x {of['p99']:8.0f} {of['p999']:8.0f} {of['max']:8.0f}")


def print_goals(results, options):
    print()
    for outstanding in options.outstanding:
        if outstanding == 1:
            ratio = (results.median("synod", 1, "p50") / results.median("limit", 1, "p50"))
            print(f"goal: one outstanding, median at most {GOAL_MEDIAN} times the limit's: "
                  f"{'reached' if ratio <= GOAL_MEDIAN else 'NOT REACHED'} ({ratio:.2f})")
        elif outstanding >= 1000:
            ratio = (results.median("synod", outstanding, "rate") /
                     results.median("limit", outstanding, "rate"))
            print(f"goal: {outstanding} outstanding, at least {GOAL_RATE:.0%} of the limit: "
                  f"{'reached' if ratio >= GOAL_RATE else 'NOT REACHED'} ({ratio:.0%})")


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="measured time of a run")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="bytes of a record")
    parser.add_argument("--outstanding", type=int, nargs="+", default=[1, 1000])
    parser.add_argument("--no-peers", action="store_true", help="neither etcd nor ZooKeeper")
    options = parser.parse_args()
    results, limit, skipped = Results(), find_limit(), set()
    if options.no_peers:
        skipped |= {"etcd", "zk"}
    for repetition in range(options.repetitions):
        print(f"run {repetition + 1} of {options.repetitions}", flush=True)
        for outstanding in options.outstanding:
            run_limit(results, limit, options, outstanding)
            run_synod(results, options, outstanding)
            run_synod(results, options, outstanding, keys=1000)
            run_peer(results, skipped, "etcd", options, outstanding)
            run_peer(results, skipped, "zk", options, outstanding)
    print_table(results, options)
    print_goals(results, options)


main()
