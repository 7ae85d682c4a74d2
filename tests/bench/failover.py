"""How long no append is acknowledged after the leader was killed (kill -9) or told to end (SIGTERM)
under load, many times; afterwards every learner must hold what was acknowledged. Ends with 1 if the
worst kill takes more than 3 election timeouts, or the worst SIGTERM more than 100 ms."""

import argparse
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "process"))

from cluster import Cluster, Failure, check  # noqa: E402
from load import Load, prove  # noqa: E402

ELECTION_MS = 500
KILL_MS_MAX = 3 * ELECTION_MS
TERM_MS_MAX = 100


def one_gap(cluster, load, end_leader):
    """Longest time without an acknowledgement around the end of a leader, in ms."""
    leader = cluster.leader()
    load.wait_for_more(200)
    moment = time.monotonic()
    end_leader(leader)
    load.wait_for_more(400)
    gap = load.gap_since(moment)
    leader.start()
    load.wait_for_more(200)
    return gap * 1000


def terminate(leader):
    status = leader.terminate()
    check(status == 0, f"{leader} ended with status {status} after SIGTERM")


def report(what, gaps, limit_ms):
    gaps = sorted(gaps)
    print(f"{what}: {len(gaps)} times, median {statistics.median(gaps):.0f} ms, worst {gaps[-1]:.0f} ms "
          f"({gaps[-1] / ELECTION_MS:.2f} election timeouts), goal {limit_ms} ms: "
          f"{'reached' if gaps[-1] <= limit_ms else 'NOT REACHED'}")
    print("  ms: " + " ".join(f"{gap:.0f}" for gap in gaps), flush=True)
    return gaps[-1] <= limit_ms


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/failover.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=10)
    options = parser.parse_args()
    try:
        with Cluster(name="failover") as cluster:
            load = Load(cluster, "failover")
            kills = [one_gap(cluster, load, lambda node: node.kill()) for _ in range(options.kills)]
            good = report("kill -9", kills, KILL_MS_MAX) if kills else True
            terms = [one_gap(cluster, load, terminate) for _ in range(options.terms)]
            good = (report("SIGTERM", terms, TERM_MS_MAX) if terms else True) and good
            load.stop()
            print(f"every learner holds all {prove(cluster, [load])} records, once, in order")
    except Failure as failure:
        sys.exit(f"error: {failure}")
    return 0 if good else 1


sys.exit(main())
