"""Puts many keys into a default cluster of this machine with `synod bench --keys`, and prints the most memory
that each process ever had resident, and what of a learner's is files that it maps, which the kernel takes
back when it needs room. Ends with 1 if a learner had more than 300 MiB."""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import SYNOD, Cluster  # noqa: E402

GOAL_MIB = 300
FIRST_S = 10


def ask(cluster, *words):
    done = subprocess.run([SYNOD, *words, "-o", "json", "--cluster", cluster.config, "--timeout", "60s"],
                          stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"error: synod {words[0]} failed with status {done.returncode}")
    return json.loads(done.stdout)


def resident_mib(pid):
    """Peak, and now: all of it, and what is mapped from files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
    return [kib[name] / 1024 for name in ("VmHWM", "VmRSS", "RssFile")]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/keys.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--size", type=int, default=64, help="bytes of a value")
    options = parser.parse_args()
    worst = 0
    with Cluster(name="keys") as cluster:
        count, seconds = 0, FIRST_S
        while count < options.keys:  # each round begins with the first key again
            ask(cluster, "bench", "--keys", str(options.keys), "--size", str(options.size),
                "--duration", f"{seconds}s", "--warmup", "1ms")
            seconds *= 2
            count = ask(cluster, "range", "bench/", "--prefix", "--count-only")["count"]
            if sys.stderr.isatty():
                print(f"\r\033[K{count} of {options.keys} keys", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(f"{count} keys with values of {options.size} bytes")
        for node in cluster.nodes:
            peak, now, mapped = resident_mib(node.process.pid)
            print(f"  {node}: at most {peak:.0f} MiB, now {now:.0f}, {mapped:.0f} of them mapped files")
            if node.role == "learner":
                worst = max(worst, peak)
    print(f"goal {GOAL_MIB} MiB a learner: {'reached' if worst <= GOAL_MIB else 'NOT REACHED'}")
    return 0 if worst <= GOAL_MIB else 1


sys.exit(main())
