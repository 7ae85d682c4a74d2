"""A cluster of real processes for the tests: starts, kills, stops and restarts its members, loads it,
and compares what was acknowledged with what every learner holds.

Every process that is started here is killed by the kernel when the test dies, however it dies, so
that nothing is left behind. Nothing else is ever signalled."""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
SYNOD = os.path.join(BUILD, "synod")
PROTOCOL = os.environ.get("SYNOD_PROTOCOL", "paxos")
LEADER_ROLE = "acceptor" if PROTOCOL == "raft" else "proposer"
SLOWER = 4 if os.environ.get("SAN") else 1  # sanitizers cost that much

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# Ports of a cluster, as offsets from its base: CONFIG_LOCALHOST_PORTS of common/config/config.h.
PORT_OFFSETS = {"acceptor": (0,), "proposer": (100, 200), "learner": (300, 400)}


class Failure(Exception):
    """A test's claim that did not hold, as a sentence."""


def check(condition, sentence):
    if not condition:
        raise Failure(sentence)


def wait_until(condition, seconds, what):
    """Returns the first true answer of condition(); fails with a sentence after the deadline."""
    deadline = time.monotonic() + seconds * SLOWER
    while True:
        answer = condition()
        if answer:
            return answer
        check(time.monotonic() < deadline, f"waited {seconds * SLOWER} s in vain for {what}")
        time.sleep(0.01)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(arguments, **options):
    """Starts a process that cannot outlive this one. Only the main thread may call it: the kernel
    watches the thread that forked."""
    return subprocess.Popen(arguments, preexec_fn=die_with_parent, **options)


def command(*arguments, cluster=None, stdin=b"", seconds=60, environment=None):
    """Runs `synod ARGUMENTS`; answers (exit status, stdout, stderr), outputs as bytes."""
    full = [SYNOD, *arguments]
    if cluster is not None:
        full += ["--cluster", cluster.config]
    env = dict(os.environ, **(environment or {}))
    process = spawn(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=env)
    try:
        out, err = process.communicate(stdin, timeout=seconds * SLOWER)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Failure(f"{' '.join(full)} took more than {seconds * SLOWER} s; it said: {err!r}")
    return process.returncode, out, err


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def pick_port_base(counts):
    """A base below the kernel's own range of ports, at which all ports of a cluster are free."""
    dice = random.SystemRandom()
    for _ in range(200):
        base = dice.randrange(10000, 31000)
        ports = [base + offset + 1 + i for role, offsets in PORT_OFFSETS.items()
                 for offset in offsets for i in range(counts[role])]
        if all(port_is_free(port) for port in ports):
            return base
    raise Failure("found no free ports for a cluster")


class Node:
    """One daemon of a cluster, whether it runs or not."""

    def __init__(self, cluster, role, number):
        self.cluster, self.role, self.id = cluster, role, number
        self.data = None if role == "proposer" else f"{cluster.directory}/{role}-{number}"
        self.log = f"{cluster.directory}/{role}-{number}.log"
        self.process = None

    def __str__(self):
        return f"{self.role} {self.id}"

    def arguments(self, config=None, data=None):
        full = [os.path.join(BUILD, f"synod-{self.role}"), "--cluster", config or self.cluster.config,
                "--id", str(self.id)]
        if self.data is not None:
            full += ["--data", data or self.data]
        return full

    def start(self):
        mark = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = spawn(self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            check(self.process.poll() is None, f"{self} ended at its start with status "
                  f"{self.process.returncode}: {self.log_text()[-600:]}")
            return "event=ready" in self.log_text(mark)
        wait_until(ready, 20, f"{self} to be ready")

    def log_text(self, mark=0):
        with open(self.log, "rb") as log:
            log.seek(mark)
            return log.read().decode("utf-8", "replace")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        check(self.is_running(), f"{self} has ended by itself: {self.log_text()[-600:]}")
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=10):
        """SIGTERM; answers the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self} did not end within {seconds} s of SIGTERM: "
                          f"{self.log_text()[-600:]}")


class Cluster:
    """3 acceptors, 2 proposers, 2 learners unless told otherwise, in a directory of its own."""

    def __init__(self, acceptors=3, proposers=2, learners=2, start=True, edit=None, name="test"):
        counts = {"acceptor": acceptors, "proposer": proposers, "learner": learners}
        self.directory = tempfile.mkdtemp(prefix=f"synod-{name}.")
        self.base = pick_port_base(counts)
        self.nodes = []
        try:
            os.rmdir(self.directory)
            status, _, err = command(
                "init", "--dir", self.directory, "--cluster", name, "--acceptors", str(acceptors),
                "--proposers", str(proposers), "--learners", str(learners), "--port-base",
                str(self.base), "--protocol", PROTOCOL)
            check(status == 0, f"synod init failed with status {status}: {err!r}")
            self.config = f"{self.directory}/cluster.yml"
            if edit is not None:
                rewrite(self.config, edit)
            self.nodes = [Node(self, role, i + 1) for role in counts for i in range(counts[role])]
            if start:
                for node in self.nodes:
                    node.start()
                self.leader()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def kill_all(self):
        for node in self.nodes:
            if node.is_running():
                node.kill()

    def close(self):
        self.kill_all()
        shutil.rmtree(self.directory, ignore_errors=True)

    def members(self, role):
        return [node for node in self.nodes if node.role == role]

    def node(self, role, number):
        return next(n for n in self.nodes if n.role == role and n.id == number)

    def ports(self, node):
        return [self.base + offset + node.id for offset in PORT_OFFSETS[node.role]]

    def leader_id(self):
        """Who leads, or None."""
        status, out, _ = command("leader", "-o", "json", "--timeout", "2s", cluster=self)
        return json.loads(out)[LEADER_ROLE] if status == 0 else None

    def leader(self):
        return self.node(LEADER_ROLE, wait_until(self.leader_id, 20, "a leader"))

    def standby(self):
        leader = self.leader()
        return next(n for n in self.members("proposer") if n is not leader)

    def status(self):
        code, out, err = command("status", "-o", "json", cluster=self)
        check(code == 0, f"synod status failed with status {code}: {err!r}")
        return json.loads(out)


def rewrite(path, edit):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(edit(text))
