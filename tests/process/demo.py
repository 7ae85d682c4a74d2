"""Replicates the lines of INPUT through a cluster of real processes, kills its leader (kill -9) halfway,
says what happened, and proves that every learner holds every acknowledged line exactly once and in
the same order. Exit status 0 only then.

Environment: INPUT (a text file; default tests/process/sample.txt), PROTOCOL, BUILD. With a terminal
on standard output the cluster stays up until Ctrl-C."""

import array
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import SYNOD, command, spawn  # noqa: E402

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.txt")
RECORD_BYTES_MAX = 1 << 20
WINDOW = 1000  # lines that are under way at once
ELECTION_MS = 500
START_SECONDS = 40


class Problem(Exception):
    """Why it ends, and with which exit status."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def say(text=""):
    print(text, flush=True)


def fail_unless(condition, sentence):
    if not condition:
        raise Problem(1, sentence)


# ---- the input

def lines_of(path):
    """The lines without their newline; the last one needs none."""
    with open(path, "rb") as file:
        for line in file:
            yield line[:-1] if line.endswith(b"\n") else line


def count_lines(path):
    """(lines, bytes), or a sentence why this is no input."""
    count = size = 0
    try:
        for count, line in enumerate(lines_of(path), 1):
            size += len(line)
            if len(line) > RECORD_BYTES_MAX:
                raise Problem(3, f"line {count} of {path} has {len(line)} bytes (the limit of a record"
                              f" is {RECORD_BYTES_MAX}); try: another INPUT")
    except OSError as error:
        raise Problem(3, f"INPUT {path} cannot be read ({error.strerror}); try: make run "
                      "INPUT=a text file") from error
    if count == 0:
        raise Problem(3, f"INPUT {path} holds no line (it is empty); try: another file")
    return count, size


# ---- the cluster

class Dev:
    """`synod dev` and what it said."""

    def __init__(self, directory, protocol):
        self.pids, self.config = {}, None
        self.is_watched = False  # pass on what it says
        # A session of its own, so that Ctrl-C reaches this process first.
        self.process = spawn([SYNOD, "dev", "--dir", directory, "--protocol", protocol, "--restart"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready.wait(0.1):
            if self.process.poll() is not None:
                sentence = self.process.stderr.read().strip().removeprefix("error: ")
                raise Problem(self.process.returncode or 1, sentence)
            if time.monotonic() > deadline:
                raise Problem(2, f"synod dev was not ready within {START_SECONDS} s; try: its logs "
                              f"in {directory}")

    def _listen(self):
        for line in self.process.stdout:
            if self.is_watched:
                say(line.rstrip())
            member = re.match(r"(\w+) (\d+)  pid (\d+)  tcp:", line)
            if member:
                self.pids[member[1], int(member[2])] = int(member[3])
            if line.startswith("ready "):
                self.config = line[len("ready "):].strip()
                self.ready.set()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, *arguments):
        """The JSON that a verb answers."""
        status, out, err = command(*arguments, "--cluster", self.config, "-o", "json")
        if status != 0:
            raise Problem(status, err.decode(errors="replace").strip().removeprefix("error: "))
        return json.loads(out)


# ---- the load

class Replication:
    """Feeds the lines to `synod append`, at most WINDOW ahead of the answers, and times both."""

    def __init__(self, dev, path, count):
        self.path, self.count = path, count
        self.sent_at, self.acked_at = array.array("d"), array.array("d")
        self.is_in_order = True  # line n was acknowledged with index n
        self.killed_at = self.killed_after = None
        self.process = spawn([SYNOD, "append", "--cluster", dev.config, "--timeout", "60s"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _feed(self):
        piece = []
        try:
            for line in lines_of(self.path):
                piece.append(line + b"\n")
                if len(self.sent_at) + len(piece) - len(self.acked_at) >= WINDOW:
                    self._send(piece)
                    while len(self.sent_at) - len(self.acked_at) >= WINDOW // 2:
                        if self.process.poll() is not None:
                            return
                        time.sleep(0.0002)
            self._send(piece)
            while len(self.acked_at) < self.count and self.process.poll() is None:
                time.sleep(0.001)  # at the end of its input it would print the rest in one piece
            self.process.stdin.close()
        except OSError:
            pass  # it ended; run() says why

    def _send(self, piece):
        now = time.monotonic()
        self.sent_at.extend([now] * len(piece))
        self.process.stdin.write(b"".join(piece))
        self.process.stdin.flush()
        piece.clear()

    def run(self, victim):
        """Appends all lines; kills the process `victim` when half of them are acknowledged."""
        threading.Thread(target=self._feed, daemon=True).start()
        rest = b""
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            *answers, rest = (rest + data).split(b"\n")
            now = time.monotonic()
            for answer in answers:
                self.acked_at.append(now)
                self.is_in_order &= int(answer) == len(self.acked_at)
            if self.killed_at is None and len(self.acked_at) >= self.count // 2:
                os.kill(victim, signal.SIGKILL)
                self.killed_at, self.killed_after = time.monotonic(), len(self.acked_at)
        status = self.process.wait()
        if status != 0:
            sentence = self.process.stderr.read().decode(errors="replace").strip()
            raise Problem(status, "synod append failed: " + sentence.removeprefix("error: "))
        fail_unless(len(self.acked_at) == self.count,
                    f"{self.count} lines were sent and {len(self.acked_at)} acknowledged")
        fail_unless(self.is_in_order, "the indexes of the lines are not 1, 2, 3 and so on")

    def outage(self):
        """Longest time without an acknowledgement from the kill on, in seconds."""
        times = [self.killed_at] + [t for t in self.acked_at if t >= self.killed_at]
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)

    def latencies_ms(self, until):
        """Sorted, of the lines that were acknowledged before `until`."""
        return sorted((b - a) * 1000 for a, b in zip(self.sent_at, self.acked_at) if b < until)


def percentile(values, part):
    return values[int(part * (len(values) - 1))] if values else 0.0


def percentiles(values):
    return (f"p50 {percentile(values, .5):.2f} ms, p99 {percentile(values, .99):.2f} ms, "
            f"max {percentile(values, 1):.2f} ms")


# ---- the proof

def prove_learner(dev, number, path):
    """Compares all that a learner holds with INPUT, record by record."""
    process = spawn([SYNOD, "read", "--cluster", dev.config, "--from", "1", "--learner", str(number),
                     "--timeout", "20s"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
    try:
        index = 0
        for index, line in enumerate(lines_of(path), 1):
            record = process.stdout.readline()
            fail_unless(record == line + b"\n", f"learner {number} holds {record!r} at index {index}, "
                        f"where the input has {line!r}")
        rest = process.stdout.readline()
        fail_unless(not rest, f"learner {number} holds more than the input: {rest!r} at {index + 1}")
        sentence = process.stderr.read().decode(errors="replace")
        fail_unless(process.wait() == 0, f"synod read from learner {number} failed: {sentence}")
    finally:
        process.kill()
        process.wait()


def prove_digests(dev, count):
    """All learners at one slot, with one digest and the right number of records."""
    deadline = time.monotonic() + 10
    while True:
        learners = [node for node in dev.ask("status")["nodes"] if node["role"] == "learner"]
        applied = {node.get("applied") for node in learners}
        if len(applied) == 1 and None not in applied:
            break
        fail_unless(time.monotonic() < deadline, f"the learners do not reach one slot: {learners}")
        time.sleep(0.05)
    digests = {node["digest"] for node in learners}
    fail_unless(len(digests) == 1, f"the learners' digests differ at one slot: {learners}")
    fail_unless({node["records"] for node in learners} == {count},
                f"the learners do not hold {count} records: {learners}")
    return applied.pop(), digests.pop()


# ---- the report

def describe(leader):
    """Role, id and number of a leader: ("acceptor", 2, 7), and how it is said."""
    if "acceptor" in leader:
        return "acceptor", leader["acceptor"], leader["term"], f"term {leader['term']}"
    number = leader["ballot"]["round"]
    return "proposer", leader["proposer"], number, f"ballot {number}.{leader['proposer']}"


def successor(dev, before):
    """Who leads after `before`. A short input may be done before anybody does."""
    deadline = time.monotonic() + 10
    while True:
        try:
            after = dev.ask("leader")
        except Problem:
            after = None
        if after and describe(after)[2] > describe(before)[2] and after["since"]:
            return after
        fail_unless(time.monotonic() < deadline,
                    f"nobody leads 10 s after {' '.join(map(str, describe(before)[:2]))} was killed")
        time.sleep(0.02)


def replicate(dev, path, count):
    before = dev.ask("leader")
    role, number, _, ballot = describe(before)
    victim = dev.pids[role, number]
    replication = Replication(dev, path, count)
    begin = time.monotonic()
    replication.run(victim)
    seconds = time.monotonic() - begin
    after = successor(dev, before)
    outage = replication.outage()
    killed_at_ms = (replication.killed_at - begin) * 1000
    say(f"leader     {role} {number} (pid {victim}, {ballot}), killed (-9) after "
        f"{killed_at_ms:.0f} ms, at {replication.killed_after} of {count} lines")
    role, number, _, ballot = describe(after)
    say(f"then       {role} {number} ({ballot}, since slot {after['since']})")
    say(f"outage     {outage * 1000:.0f} ms without an acknowledgement "
        f"({outage * 1000 / ELECTION_MS:.1f} election timeouts)")
    say(f"rate       {count / max(seconds - outage, 1e-3):.0f} records/s with {WINDOW} under way, "
        f"the outage not counted")
    say(f"latency    before the kill: {percentiles(replication.latencies_ms(replication.killed_at))}")
    say(f"           in all: {percentiles(replication.latencies_ms(float('inf')))}")


def prove(dev, path, count):
    for role, number in sorted(dev.pids):
        if role == "learner":
            prove_learner(dev, number, path)
            say(f"learner {number}  holds all {count} acknowledged lines, each once, in the order of "
                "the input")
    slot, digest = prove_digests(dev, count)
    say(f"digests    equal at slot {slot}: {digest}")


def keep_up(dev):
    """Leaves the cluster to the user until Ctrl-C."""
    say()
    say("The cluster stays up until Ctrl-C. In another terminal:")
    say()
    say(f"  export SYNOD_CLUSTER={dev.config} PATH={os.path.dirname(SYNOD)}:$PATH")
    say("  synod status")
    say("  synod append hello world")
    say("  synod tail --follow")
    say(f"  kill -9 {dev.pids['proposer', dev.ask('leader')['proposer']]}    # the leader; another one "
        "takes over, and it comes back")
    say("  synod leader")
    say()
    dev.is_watched = True
    try:
        dev.process.wait()
        raise Problem(1, "synod dev has ended; its last words are above")
    except KeyboardInterrupt:
        say()


def run():
    path = os.environ.get("INPUT") or SAMPLE
    count, size = count_lines(path)
    directory = tempfile.mkdtemp(prefix="synod-run.")
    dev = None
    try:
        dev = Dev(os.path.join(directory, "cluster"), os.environ.get("PROTOCOL") or "paxos")
        roles = [role for role, _ in dev.pids]
        say(f"input      {path}: {count} lines, {size} bytes")
        say("cluster    " + ", ".join(f"{roles.count(role)} {role}s" for role in dict.fromkeys(roles)))
        replicate(dev, path, count)
        prove(dev, path, count)
        say("proved: nothing lost, nothing twice, the same order everywhere")
        if sys.stdout.isatty():
            keep_up(dev)
    finally:
        if dev is not None:
            dev.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    try:
        run()
    except Problem as problem:
        sys.stdout.flush()
        print(f"error: {problem}", file=sys.stderr)
        return problem.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 5
    return 0


sys.exit(main())
