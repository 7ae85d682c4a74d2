"""Processes killed, stopped, continued and ended at random under two loads. Whatever happens, nothing
that was acknowledged may be lost, doubled or out of order, and when the storm is over appends go on.

SYNOD_STORM_SECONDS sets how long it lasts (default 6), SYNOD_STORM_SEED repeats the choices of one;
what the processes make of them depends on the machine."""

import os
import random
import signal
import time

from cluster import Cluster, check
from load import Load, prove, prove_equal_digests
from tap import note


class Storm:
    def __init__(self, cluster, seed):
        self.cluster, self.dice = cluster, random.Random(seed)
        self.stopped, self.dead, self.counts = [], [], {}

    def blow(self):
        """One event. Repairs grow likelier the more is broken, so that there is work in between."""
        broken = self.stopped + self.dead
        if broken and self.dice.random() < 0.25 + 0.15 * len(broken):
            self.repair(self.dice.choice(broken))
            return
        node = self.dice.choice([n for n in self.cluster.nodes if n not in broken])
        what = self.dice.choice(["kill", "kill", "stop", "stop", "end"])
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "stop":
            node.signal(signal.SIGSTOP)
            self.stopped.append(node)
            return
        if what == "kill":
            node.kill()
        else:
            status = node.terminate()
            check(status == 0, f"{node} ended with {status} after SIGTERM: {node.log_text()[-600:]}")
        self.dead.append(node)

    def repair(self, node):
        if node in self.stopped:
            self.stopped.remove(node)
            node.signal(signal.SIGCONT)
        else:
            self.dead.remove(node)
            node.start()

    def calm(self):
        for node in self.stopped + self.dead:
            self.repair(node)


def weather(cluster, seconds, seed):
    loads = [Load(cluster, "left", window=200), Load(cluster, "right", window=200)]
    storm = Storm(cluster, seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        storm.blow()
        time.sleep(storm.dice.choice([0.0, 0.02, 0.1, 0.3, 0.7]))
    storm.calm()
    for load in loads:
        load.wait_for_more(100, seconds=30)
        load.stop()
    count = prove(cluster, loads)
    prove_equal_digests(cluster)
    return f"{storm.counts}; {count} records, all of them where they were said to be"


def run(report):
    seconds = float(os.environ.get("SYNOD_STORM_SECONDS", "6"))
    seed = int(os.environ.get("SYNOD_STORM_SEED", time.time_ns() % 1000000))
    with Cluster(name="storm") as cluster:
        note(f"seed {seed}")
        report.test("processes killed, stopped and ended at random lose nothing",
                    lambda: weather(cluster, seconds, seed))
