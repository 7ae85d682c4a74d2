"""A load of distinct records through `synod append`, and the proof that none of those that were
acknowledged is lost, doubled or out of order at any learner."""

import base64
import collections
import json
import subprocess
import threading
import time

from cluster import SLOWER, SYNOD, Failure, check, command, spawn, wait_until

PAUSE_SECONDS = 0.005  # between two pieces of the load
PIECE = 10             # records


class Load:
    """Appends records at a modest, steady rate, at most `window` of them unanswered, until stop().

    Kept for each record: when it was given to the command, when its index came back, which index."""

    def __init__(self, cluster, tag, window=500, padding=40, pause_seconds=PAUSE_SECONDS,
                 piece=PIECE):
        self.cluster, self.tag, self.window, self.padding = cluster, tag, window, padding
        self.pause_seconds, self.piece = pause_seconds, piece
        self.sent_at, self.acked_at, self.indexes = [], [], []
        self.stopping = False
        self.process = spawn([SYNOD, "append", "--cluster", cluster.config, "--timeout", "60s"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.threads = [threading.Thread(target=target, daemon=True)
                        for target in (self._feed, self._collect)]
        for thread in self.threads:
            thread.start()

    def record(self, number):
        return f"{self.tag} {number} {'x' * self.padding}".encode()

    def _feed(self):
        try:
            while not self.stopping:
                if len(self.sent_at) - len(self.indexes) < self.window:
                    first = len(self.sent_at)
                    self.sent_at += [time.monotonic()] * self.piece
                    self.process.stdin.write(b"".join(self.record(first + i) + b"\n"
                                                      for i in range(self.piece)))
                    self.process.stdin.flush()
                time.sleep(self.pause_seconds)
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # the command ended; stop() says why

    def _collect(self):
        for line in self.process.stdout:
            self.acked_at.append(time.monotonic())
            self.indexes.append(int(line))

    @property
    def acked(self):
        return len(self.indexes)

    def wait_for_more(self, count=300, seconds=20):
        """Waits until that many records more were acknowledged."""
        goal = self.acked + count

        def reached():
            if self.process.poll() is not None:
                raise Failure(f"synod append ended: {self._last_words()}")
            return self.acked >= goal
        wait_until(reached, seconds, f"{count} more acknowledged records of load {self.tag} "
                   f"(it has {goal - count})")

    def _last_words(self):
        return f"status {self.process.returncode}, {self.process.stderr.read()!r}"

    def stop(self):
        """Waits for the answers to everything that was sent. The load must not have failed."""
        self.stopping = True
        for thread in self.threads:
            thread.join(60 * SLOWER)
        self.process.wait(60 * SLOWER)
        if self.process.returncode != 0:
            raise Failure(f"synod append failed: {self._last_words()}")
        check(len(self.indexes) == len(self.sent_at),
              f"{len(self.sent_at)} records were sent and {len(self.indexes)} answered")

    def gap_since(self, moment):
        """Longest time without an acknowledgement from `moment` on, in seconds."""
        times = [moment] + [t for t in self.acked_at if t >= moment]
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)


def read_log(cluster, learner, seconds=60):
    """All records that a learner holds: a list of (index, bytes)."""
    status, out, err = command("read", "--from", "1", "--learner", str(learner.id), "-o", "json",
                               "--timeout", "20s", cluster=cluster, seconds=seconds)
    check(status == 0, f"synod read from {learner} failed with status {status}: {err!r}")
    return [record_of(json.loads(line)) for line in out.splitlines()]


def record_of(row):
    data = row["text"].encode() if "text" in row else base64.b64decode(row["base64"], validate=True)
    return row["index"], data


def prove(cluster, loads, strangers=()):
    """Compares every learner's log with what was acknowledged; answers the number of records.

    Every learner holds the same; indexes have no gap; a record that was acknowledged stands at the
    index that was answered; no record stands twice, but those of `strangers`; those of one load stand
    in its order."""
    logs = {str(learner): read_log(cluster, learner) for learner in cluster.members("learner")}
    (first_name, first), *others = logs.items()
    for name, log in others:
        check(log == first, f"{name} and {first_name} differ: {difference(log, first)}")
    indexes = [index for index, _ in first]
    check(indexes == list(range(1, len(first) + 1)), "indexes have a gap, or do not begin with 1")
    counts = collections.Counter(record for _, record in first)
    twice = [record for record, count in counts.items() if count > 1 and record not in strangers]
    check(not twice, f"{len(twice)} records stand twice, such as {twice[:1]}")
    at = dict(first)
    for load in loads:
        wrong = [n for n, index in enumerate(load.indexes) if at.get(index) != load.record(n)]
        check(not wrong, f"{len(wrong)} acknowledged records of load {load.tag} are not where they "
              f"were said to be, such as number {wrong[:1]}")
        check(load.indexes == sorted(load.indexes), f"load {load.tag} stands in another order")
    return len(first)


def difference(a, b):
    for x, y in zip(a, b):
        if x != y:
            return f"{x} against {y}"
    return f"{len(a)} records against {len(b)}"


def prove_equal_digests(cluster, seconds=10):
    """Waits until all learners have applied the same slot; their digests must be equal then."""
    def level():
        learners = [node for node in cluster.status()["nodes"] if node["role"] == "learner"]
        applied = {node["applied"] for node in learners}
        return learners if len(applied) == 1 else None
    learners = wait_until(level, seconds, "the learners to have applied the same slot")
    digests = {node["digest"] for node in learners}
    check(len(digests) == 1 and digests != {"0" * 16}, f"digests differ at one slot: {learners}")
