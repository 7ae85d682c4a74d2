"""Many linearizable queries under way at one handle until each is answered, in turn with one at a time, on
one cluster. Prints both rates for each round, medians, their ratio, and the client's peak memory. Ends
with 1 if an answer is wrong or missing, or if the peak is not below --memory MiB (0: whatever it is)."""

import argparse
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import BUILD, Cluster  # noqa: E402

ASKER = os.path.join(BUILD, "tests", "process", "tool_questions")
KIB_PER_MIB = 1024


def ask(cluster, questions, rounds):
    """({"alone" and "together": rates of the rounds}, KiB before the first question, peak in KiB)."""
    done = subprocess.run([ASKER, cluster.config, str(questions), str(rounds)], stdout=subprocess.PIPE,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"error: the client ended with status {done.returncode}")
    rates, memory = {"alone": [], "together": []}, {}
    for line in done.stdout.splitlines():
        what, *numbers = line.split()
        if what in rates:
            rates[what].append(int(numbers[0]) * 1e6 / int(numbers[1]))
        else:
            memory[what] = int(numbers[0])
    return rates, memory["before"], memory["peak"]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/questions.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--memory", type=int, default=64, help="bound of the client's peak, in MiB")
    options = parser.parse_args()
    with Cluster(name="questions") as cluster:
        rates, before, peak = ask(cluster, options.questions, options.rounds)
    print(f"{'round':>6} {'1 at a time/s':>14} {f'{options.questions} under way/s':>22} {'ratio':>6}")
    rows = list(zip(rates["alone"], rates["together"]))
    for number, (alone, together) in enumerate(rows, 1):
        print(f"{number:6} {alone:14.0f} {together:22.0f} {together / alone:6.1f}")
    alone, together = statistics.median(rates["alone"]), statistics.median(rates["together"])
    print(f"{'median':>6} {alone:14.0f} {together:22.0f} {together / alone:6.1f}")
    print(f"the client's peak memory: {peak / KIB_PER_MIB:.1f} MiB, of these "
          f"{before / KIB_PER_MIB:.1f} MiB before the first question")
    if options.memory == 0:
        return 0
    is_below = 0 < peak < options.memory * KIB_PER_MIB
    print(f"memory under {options.memory} MiB: {'yes' if is_below else 'NO'}")
    return 0 if is_below else 1


sys.exit(main())
