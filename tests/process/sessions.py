"""Sessions that end more than once while every learner learns the log again: the results of former
sessions, which are sent again then, must not be taken for those of new ones.

Six handles (tool_sessions.c) with sessions of 1.5 s are stopped until the cluster has ended their
sessions, twice in each round. Before they go on for the second time, acceptors and learners are killed
and the learners' stores deleted: while the handles ask for new sessions, the learners apply the log
from its first slot, and send all results since then. SYNOD_SESSIONS=full does six rounds (40 s), else
there are two. SYNOD_STORM_SEED repeats the choices of one; what the processes make of them depends on
the machine."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

from acknowledged import OK, Outcomes, prove_keys, prove_leases, prove_records
from cluster import BUILD, SLOWER, Cluster, Failure, check, command, spawn, wait_until
from load import prove_equal_digests
from tap import note

FULL = os.environ.get("SYNOD_SESSIONS") == "full"
ROUNDS = 6 if FULL else 2
TOOL = os.path.join(BUILD, "tests", "process", "tool_sessions")
CLIENTS = 6
TTL_MS = 1500


class Client:
    """One handle in a process of its own."""

    def __init__(self, cluster, name, seed):
        self.name, self.path = name, f"{cluster.directory}/{name}.outcomes"
        with open(self.path, "wb") as file:
            self.process = spawn([TOOL, cluster.config, name, str(TTL_MS), str(seed)],
                                 stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE)

    def outcomes(self):
        with open(self.path, encoding="utf-8") as file:
            return Outcomes(file.read())

    def acknowledged(self):
        """How many operations; the program must not have ended."""
        self.check_running()
        with open(self.path, "rb") as file:
            return sum(line.split(b" ", 2)[1] == b"0" for line in file if line.endswith(b"\n"))

    def check_running(self):
        if self.process.poll() is not None:
            raise Failure(f"client {self.name} {self.last_words()}")

    def last_words(self):
        status = self.process.returncode
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        return f"{how}: {self.process.stderr.read().decode(errors='replace')[-600:]}"

    def end(self):
        """Waits until it has ended, after a success of each kind."""
        self.process.stdin.close()
        self.process.wait(150 * SLOWER)
        if self.process.returncode != 0:
            raise Failure(f"client {self.name} {self.last_words()}")


class Round:
    """The trouble that is made; the choices are of the seed."""

    def __init__(self, cluster, clients, seed):
        self.cluster, self.clients, self.dice = cluster, clients, random.Random(seed)

    def wait_for_more(self, count=10):
        goals = {client: client.acknowledged() + count for client in self.clients}
        for client, goal in goals.items():
            wait_until(lambda c=client, g=goal: c.acknowledged() >= g, 40,
                       f"{count} more acknowledgements to client {client.name}")

    def stop_clients(self):
        """Stops them until the cluster has ended their sessions and leases."""
        for client in self.clients:
            client.check_running()
            client.process.send_signal(signal.SIGSTOP)

        def are_gone():
            status, out, _ = command("status", "-o", "json", cluster=self.cluster)
            nodes = json.loads(out)["nodes"] if status == 0 else []  # else nobody leads just now
            learners = [node for node in nodes if node["role"] == "learner"]
            return learners and all(node["state"] != "unreachable" and node["sessions"] == 0
                                    for node in learners)
        wait_until(are_gone, 30, "the sessions of stopped clients to end")

    def continue_clients(self):
        for client in self.clients:
            client.process.send_signal(signal.SIGCONT)

    def learn_again(self):
        """Kills acceptors and all learners, and has the learners begin with the first slot while the
        clients ask for new sessions."""
        acceptors = self.dice.sample(self.cluster.members("acceptor"), self.dice.choice([2, 3, 3]))
        learners = self.cluster.members("learner")
        for node in acceptors + learners:
            node.kill()
        for learner in learners:
            wipe(self.cluster, learner)
        self.continue_clients()
        for node in learners:
            node.start()
        time.sleep(self.dice.choice([0.1, 0.3, 0.6]))
        for node in acceptors:
            node.start()

    def disturb(self):
        """Kills one process, whichever, while the sessions live; a learner loses its store."""
        node = self.dice.choice(self.cluster.nodes)
        node.kill()
        if node.role == "learner":
            wipe(self.cluster, node)
        node.start()

    def run(self):
        self.wait_for_more()
        self.stop_clients()
        self.continue_clients()
        self.wait_for_more()
        self.disturb()
        self.wait_for_more()
        self.stop_clients()
        self.learn_again()
        self.wait_for_more()


def wipe(cluster, learner):
    shutil.rmtree(learner.data)
    status, _, err = command("init", "--cluster-file", cluster.config, "--role", "learner", "--id",
                             str(learner.id), "--data", learner.data)
    check(status == 0, f"synod init ended with {status}: {err!r}")


def sessions(seed):
    with Cluster(name="sessions") as cluster:
        clients = [Client(cluster, f"client{i}", seed + i) for i in range(CLIENTS)]
        trouble = Round(cluster, clients, seed)
        began = time.monotonic()
        for _ in range(ROUNDS):
            trouble.run()
        seconds = time.monotonic() - began
        for client in clients:
            client.end()
        outcomes = [client.outcomes() for client in clients]
        records = prove_records(cluster, outcomes)
        prove_keys(cluster, outcomes)
        prove_leases(outcomes)
        prove_equal_digests(cluster)
        return (f"{ROUNDS} rounds in {seconds:.0f} s; {sum(one.count(OK) for one in outcomes)} "
                f"acknowledged, {sum(one.unknown for one in outcomes)} unknown; {records} records")


def run(report):
    seed = int(os.environ.get("SYNOD_STORM_SEED", time.time_ns() % 1000000))
    note(f"seed {seed}")
    report.test("sessions that end while the log is learnt again take nothing of former ones",
                lambda: sessions(seed))
