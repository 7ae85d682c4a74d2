"""Keys, locks and watches under kills, with sums that only come out if nothing was lost or done twice.
SYNOD_COORDINATION=full runs the sizes of the project's goals (minutes), else small ones."""

import os
import random
import subprocess
import time

from cluster import BUILD, SLOWER, Cluster, check, command, spawn
from tap import note

FULL = os.environ.get("SYNOD_COORDINATION") == "full"
TOOLS = os.path.join(BUILD, "tests", "process")


class Trouble:
    """Kills a member and starts it again, about every pause_s seconds."""

    def __init__(self, pick, pause_s, seed):
        self.pick, self.pause_s, self.dice = pick, pause_s, random.Random(seed)
        self.kills = 0

    def step(self):
        node = self.pick(self.dice)
        node.kill()
        self.kills += 1
        time.sleep(self.dice.uniform(0.05, 0.5))
        node.start()


def with_trouble(process, trouble, seconds):
    """Makes trouble until the process ends; answers its output."""
    deadline = time.monotonic() + seconds * SLOWER
    while process.poll() is None:
        check(time.monotonic() < deadline, f"it took more than {seconds * SLOWER} s")
        end = time.monotonic() + trouble.dice.uniform(0.5, 1.5) * trouble.pause_s
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is None:
            trouble.step()
    out, err = process.communicate()
    check(process.returncode == 0, f"it ended with {process.returncode}: {err.decode()[-800:]}")
    return out.decode()


def start(tool, *arguments):
    return spawn([os.path.join(TOOLS, tool), *map(str, arguments)], stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE)


def read_key(cluster, key):
    status, out, err = command("get", key, cluster=cluster)
    check(status == 0, f"get {key} ended with {status}: {err!r}")
    return out.decode().strip()


def increments(seed):
    """32 clients, leaders killed all along: the sum is exact."""
    clients, count = 32, 100000 if FULL else 1600
    with Cluster(proposers=3, name="increments") as cluster:
        trouble = Trouble(lambda dice: cluster.leader(), 3 if FULL else 0.7, seed)
        began = time.monotonic()
        out = with_trouble(start("tool_increments", cluster.config, "sum", clients, count), trouble,
                           1500 if FULL else 60)
        total = int(out)
        check(read_key(cluster, "sum") == str(total),
              f"{total} increments were acknowledged, and the key says {read_key(cluster, 'sum')}")
        return (f"{total} increments by {clients} clients, {trouble.kills} leaders killed, "
                f"{total / (time.monotonic() - began):.0f} /s")


def locks(seed):
    """10 clients, some of which stand still beyond their sessions: tokens rise."""
    count, pauses = (50000, 100) if FULL else (3000, 5)
    with Cluster(name="locks") as cluster:
        trouble = Trouble(lambda dice: cluster.leader(), 20 if FULL else 2, seed)
        began = time.monotonic()
        out = with_trouble(start("tool_locks", cluster.config, 10, count, 1000, pauses), trouble,
                           1500 if FULL else 90)
        return (f"{out.strip()}; {count / (time.monotonic() - began):.0f} locks/s, {trouble.kills} "
                "leaders killed")


def watch(seed):
    """A watch, compactions to the present every 20 ms, learners killed: every event once and in order."""
    count = 1000000 if FULL else 400000
    with Cluster(name="watch") as cluster:
        trouble = Trouble(lambda dice: dice.choice(cluster.members("learner")), 0.7,
                          seed)
        began = time.monotonic()
        out = with_trouble(start("tool_watch", cluster.config, count, 1000, 20), trouble,
                           1500 if FULL else 60)
        return (f"{out.strip()}; {count / (time.monotonic() - began):.0f} events/s, {trouble.kills} "
                "learners killed")


def pages(seed):
    """Ranges of many pages, and the list of work, while others put and compact to the present."""
    count = 1000000 if FULL else 200000
    value = random.Random(seed).randbytes(300000).hex().encode()
    with Cluster(name="pages") as cluster:
        for i in range(12):
            status, _, err = command("put", f"large/{i:02}", cluster=cluster, stdin=value)
            check(status == 0, f"put ended with {status}: {err!r}")
        command("work", "claim", "item", "--owner", "me", cluster=cluster)
        storm = start("tool_watch", cluster.config, count, 1000, 2)
        ranges = 0
        while storm.poll() is None:
            status, out, err = command("range", "--prefix", "large/", cluster=cluster)
            check(status == 0, f"a range ended with {status}: {err!r}")
            check(out.count(value) == 12, f"a range has {out.count(value)} of 12 keys")
            status, out, err = command("work", "list", cluster=cluster)
            check(status == 0 and b"item" in out, f"work list ended with {status}: {out!r} {err!r}")
            ranges += 1
        out, err = storm.communicate()
        check(storm.returncode == 0, f"the watch ended with {storm.returncode}: {err!r}")
        return f"{ranges} ranges of {12 * len(value)} bytes; {out.decode().strip()}"


def run(report):
    seed = int(os.environ.get("SYNOD_STORM_SEED", time.time_ns() % 1000000))
    note(f"seed {seed}")
    report.test("increments by 32 clients through killed leaders add up", lambda: increments(seed))
    report.test("tokens of a lock rise, however long its holders stand still", lambda: locks(seed))
    report.test("a watch through killed learners and compactions to the present misses nothing",
                lambda: watch(seed))
    report.test("ranges of many pages are whole in a storm of compactions", lambda: pages(seed))
