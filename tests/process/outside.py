"""Oracles outside: programs that claim a row of a real PostgreSQL, or a message of a queue, say who
should lead. Who has the claim leads next; what dies outside changes nothing but that."""

import glob
import os
import pwd
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from cluster import (BUILD, PROTOCOL, SLOWER, Cluster, check, command, die_with_parent, rewrite, spawn,
                     wait_until)
from commands import DONE, FAILED, USAGE
from keys import text
from nonsense import GREETING, frame, ready
from tap import Skip

TTL_SECONDS = 3
EXTERNAL = "oracle: { kind: external }"


# ---- a database of our own

def find_postgres():
    """The folder of the server's programs, newest first, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return next((path for path in reversed(found) if os.access(f"{path}/postgres", os.X_OK)), None)


class Database:
    """A PostgreSQL server on a socket in a directory of its own. It refuses to be root."""

    def __init__(self, programs):
        self.programs = programs
        # Below /tmp and open to others: who it runs as must reach it, and a socket's path is short.
        self.directory = tempfile.mkdtemp(prefix="synod-pg.", dir="/tmp")
        self.process = None
        self.user = None
        if os.getuid() == 0:
            self.user = pwd.getpwnam("nobody")
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.connection = f"host={self.directory} user=synod dbname=postgres"
        try:
            done = self.run("initdb", "-D", f"{self.directory}/data", "-U", "synod", "-A", "trust",
                            "--no-sync", "--no-instructions")
            check(done.returncode == 0, f"initdb failed: {done.stdout[-600:]}")
            self.start()
        except BaseException:
            self.close()
            raise

    def become(self):
        if self.user is not None:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        die_with_parent()  # last: another user id forgets it

    def run(self, program, *arguments):
        return subprocess.run([f"{self.programs}/{program}", *arguments], preexec_fn=self.become,
                              cwd=self.directory, env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120 * SLOWER, check=False)

    def start(self):
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(
                [f"{self.programs}/postgres", "-D", f"{self.directory}/data", "-k", self.directory,
                 "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"],
                preexec_fn=self.become, cwd=self.directory, env={"LC_ALL": "C"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.sql("SELECT 1", may_fail=True) == "1", 60, "PostgreSQL to answer")

    def stop(self):
        """As an administrator does who does not wait for clients."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60 * SLOWER)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # SIGKILL would leave its children behind
            self.process.wait(60 * SLOWER)
        shutil.rmtree(self.directory, ignore_errors=True)

    def sql(self, statement, may_fail=False):
        done = self.run("psql", "-XAt", "-v", "ON_ERROR_STOP=1", "-d", self.connection, "-c", statement)
        check(may_fail or done.returncode == 0, f"{statement}: {done.stdout}")
        return done.stdout.strip()

    def row(self, work):
        """(counter, status, expiration time as a number, whether it has expired), or None."""
        found = self.sql("SELECT lease, work_status, extract(epoch FROM expiration_time), "
                         f"expiration_time <= clock_timestamp() FROM synod_lease WHERE work_id = '{work}'")
        if not found:
            return None
        lease, status, expires, is_expired = found.split("|")
        return int(lease), status, float(expires), is_expired == "t"


# ---- the programs

class Program:
    """One oracle outside, for one proposer."""

    def __init__(self, cluster, kind, proposer, *arguments, ttl=TTL_SECONDS):
        self.proposer = proposer
        self.path = f"{cluster.directory}/{kind}-{proposer}.{time.monotonic_ns()}.log"
        with open(self.path, "wb") as log:
            self.process = spawn([f"{BUILD}/synod-oracle-{kind}", "--cluster", cluster.config,
                                  "--proposer", str(proposer), "--ttl", f"{ttl}s", *arguments],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def lines(self, event):
        """What it said of an event so far: a dictionary a line."""
        with open(self.path, encoding="utf-8") as log:
            found = [line for line in log if f" event={event} " in line]
        return [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in found]

    def said(self):
        with open(self.path, encoding="utf-8") as log:
            return log.read()

    def wait(self, event, count=1, seconds=20):
        """Its line about the event, as soon as there are so many."""
        return wait_until(lambda: self.lines(event)[count - 1:], seconds,
                          f"{event} of the program for proposer {self.proposer}: {self.said()}")[-1]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20 * SLOWER)
        except subprocess.TimeoutExpired:
            check(False, f"SIGTERM does not end it: {self.said()}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Team:
    """A program for each proposer, or for those that are named, the first of them with the claim."""

    def __init__(self, cluster, kind, first, *arguments, others=None, ttl=TTL_SECONDS):
        self.programs = {}
        others = others or [p.id for p in cluster.members("proposer") if p.id != first]
        try:
            self.programs[first] = Program(cluster, kind, first, *arguments, ttl=ttl)
            self.counter = int(self.programs[first].wait("claimed")["counter"])
            self.programs[first].wait("named")
            for proposer in others:
                self.programs[proposer] = Program(cluster, kind, proposer, *arguments, ttl=ttl)
            for proposer in others:
                self.programs[proposer].wait("waiting")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def close(self):
        for program in self.programs.values():
            program.kill()

    def successor(self, dead):
        """Who has the claim after the one of the dead program, and its counter."""
        def claimed():
            return [(p, int(program.lines("claimed")[-1]["counter"]))
                    for p, program in self.programs.items()
                    if p != dead and program.lines("claimed")]
        return wait_until(claimed, 4 * TTL_SECONDS, "another program to take over")[0]


# ---- what both kinds must do

def other_leader(cluster, program):
    """Sees to it that somebody else leads than the proposer of the program that has the claim, and that
    all have taken its word. Answers who leads."""
    def taken_by(count):
        wait_until(lambda: program.lines("named") and program.lines("named")[-1]["taken"] == count, 20,
                   f"{count} proposers to take the word: {program.said()}")

    leader = cluster.leader()
    if leader.id == program.proposer:
        leader.kill()
        cluster.leader()
        taken_by("2")
        leader.start()
    taken_by("3")
    return cluster.leader()


def fail_over(cluster):
    """Kills the leader; answers it and the next one."""
    old = cluster.leader()
    old.kill()
    return old, cluster.leader()


def best_of_others(cluster, dead):
    """Whom `connected` names: without priorities the highest id."""
    return max(p.id for p in cluster.members("proposer") if p is not dead)


def holder_leads(cluster, kind, *arguments):
    """The word unseats nobody, and after the leader's death its proposer leads, though another one
    ranks higher."""
    for named in (1, 2):
        with Team(cluster, kind, named, *arguments) as team:
            leader = other_leader(cluster, team.programs[named])
            check(cluster.leader() is leader, f"the word unseated {leader}")
            check(best_of_others(cluster, leader) != named, "the test proves nothing")
            old, new = fail_over(cluster)
            old.start()
            check(old is leader, f"{leader} led, and then {old}")
            check(new.id == named, f"{named} was named, {old} was killed, and {new} leads: "
                  f"{team.programs[named].said()} {new.log_text()}")


def takes_over(cluster, kind, *arguments):
    """kill -9 of the program with the claim: another one has it after its time, the counter rises, and
    the next leader is the one that this one names."""
    with Team(cluster, kind, 3, *arguments, others=[1]) as team:
        team.programs[3].kill()
        _, counter = team.successor(3)
        leader = other_leader(cluster, team.programs[1])
        old, new = fail_over(cluster)
        old.start()
        check(new.id == 1, f"1 was named, {leader} was killed, and {new} leads")
        check(len(team.programs[1].lines("claimed")) == 1, "it claimed more than once")
        return team.counter, counter


def gives_back(cluster, kind, *arguments):
    """SIGTERM ends it with 0; its word counts for nothing any more, and the next program has the claim
    long before the time of the last one is over."""
    program = Program(cluster, kind, 1, *arguments, ttl=20)
    try:
        leader = other_leader(cluster, program)
        check(program.terminate() == DONE and program.lines("given_back"), program.said())
        old, new = fail_over(cluster)
        old.start()
        expected = best_of_others(cluster, leader)
        check(old is leader and expected != 1, f"{old} led instead of {leader}")
        check(new.id == expected, f"the word about 1 was taken back, {old} was killed, and {new} leads "
              f"instead of {expected}")
    finally:
        program.kill()
    with Team(cluster, kind, 2, *arguments, ttl=20) as team:
        check(team.programs[2].terminate() == DONE, f"it ended badly: {team.programs[2].said()}")
        team.successor(2)


# ---- PostgreSQL

def renewals(cluster, database):
    """A claim is prolonged, and its counter stands; one statement from another session cannot take
    what has not expired."""
    with Team(cluster, "postgres", 1, "--database", database.connection, "--work", "renew") as team:
        first = database.row("renew")
        check(first[:2] == (team.counter, "held for proposer 1") and not first[3], f"the row: {first}")
        wait_until(lambda: database.row("renew")[2] > first[2] + 2 * TTL_SECONDS, 30, "two ttl")
        last = database.row("renew")
        check(last[:2] == first[:2] and not last[3], f"the row was {first} and is {last}")
        check(team.programs[1].terminate() == DONE, team.programs[1].said())
        proposer, counter = team.successor(1)
        check(counter == first[0] + 1, f"counter {counter} after {first[0]}")
        for other in team.programs.values():
            check(not other.lines("claimed")[1:], other.said())
        for other in (2, 3):
            if other != proposer:
                team.programs[other].terminate()
        check(team.programs[proposer].terminate() == DONE, team.programs[proposer].said())
        freed = database.row("renew")
        check(freed[:2] == (counter, "free") and freed[3], f"the row is {freed}")


def counted(cluster, database):
    """As takes_over; the counter of the row rises by one."""
    before, after = takes_over(cluster, "postgres", "--database", database.connection, "--work",
                               "count")
    row = database.row("count")
    check(after == before + 1 and row[0] == after, f"{before}, {after}, and the row {row}")
    return f"counter {before}, then {after}"


def database_dies(cluster, database):
    """The database stops: each program says so once, words run out, and the cluster goes on and fails
    over by itself. When the database is back, so are they."""
    with Team(cluster, "postgres", 1, "--database", database.connection, "--work", "dies") as team:
        leader = other_leader(cluster, team.programs[1])
        moment = time.monotonic()
        database.stop()
        try:
            for program in team.programs.values():
                program.wait("source_lost")
            status, _, err = command("append", "while the database is down", cluster=cluster)
            check(status == DONE, f"{status} {err!r}")
            wait_until(lambda: time.monotonic() > moment + TTL_SECONDS, 60, "the words to run out")
            old, new = fail_over(cluster)
            old.start()
            expected = best_of_others(cluster, leader)
            check(new.id == expected, f"{new} leads instead of {expected}")
            for program in team.programs.values():
                check(len(program.lines("source_lost")) == 1, program.said())
                check(program.process.poll() is None, program.said())
        finally:
            database.start()
        wait_until(lambda: any(p.lines("claim_kept") or len(p.lines("claimed")) > (p.proposer == 1)
                               for p in team.programs.values()), 20, "somebody to have the row again")


def row_is_locked(cluster, database):
    """A row that somebody else keeps locked holds a program up for its statement timeout, and what it
    gave up waiting for does not happen later."""
    with Team(cluster, "postgres", 1, "--database", database.connection, "--work", "lock") as team:
        counter = database.row("lock")[0]
        keeper = subprocess.Popen(
            [f"{database.programs}/psql", "-XAtq", "-d", database.connection], text=True,
            preexec_fn=database.become, cwd=database.directory, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        try:
            keeper.stdin.write("BEGIN; SELECT lease FROM synod_lease FOR UPDATE;\n")
            keeper.stdin.flush()
            check(keeper.stdout.readline().strip() != "", "nothing was locked")
            team.programs[1].wait("source_lost")
            for program in team.programs.values():
                program.kill()
            expires = database.row("lock")[2]
        finally:
            keeper.kill()
            keeper.wait()
        wait_until(lambda: database.row("lock")[3], 20, "the claim to end")
        check(database.row("lock")[0] == counter, f"{database.row('lock')} after counter {counter}")
        check(database.row("lock")[2] == expires, "a program that is dead prolonged its claim")


def refusals(cluster, database):
    """What cannot work is said, with what to do about it."""
    bad = f"{cluster.directory}/raft.yml"
    shutil.copy(cluster.config, bad)
    rewrite(bad, lambda all_of_it: all_of_it.replace("protocol: paxos", "protocol: raft"))
    cases = ((USAGE, "no proposer 9", "postgres", "--proposer", "9"),
             (USAGE, "it needs --proposer", "queue"),
             (USAGE, "protocol: raft", "queue", "--proposer", "1", "--cluster", bad),
             (USAGE, "invalid connection option", "postgres", "--proposer", "1", "--database", "kind=of"),
             (FAILED, "lease.sql", "postgres", "--proposer", "1", "--database",
              database.connection.replace("dbname=postgres", "dbname=template1")))
    for status, words, kind, *arguments in cases:
        program = spawn([f"{BUILD}/synod-oracle-{kind}", "--cluster", cluster.config, *arguments],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            _, err = program.communicate(timeout=30)
        finally:
            program.kill()
            program.wait()
        said = err.decode()
        check(program.returncode == status and words in said and "try: " in said,
              f"{kind} {arguments}: {program.returncode} {said}")


def no_database(cluster):
    """Without a database at its start a program waits for one, and SIGTERM ends it with 0."""
    program = Program(cluster, "postgres", 1, "--database", f"host={cluster.directory} user=nobody")
    try:
        program.wait("source_lost")
        check(program.terminate() == DONE, program.said())
    finally:
        program.kill()


def run_postgres(report, cluster):
    programs = find_postgres()
    if programs is None or not os.path.exists(f"{BUILD}/synod-oracle-postgres"):
        def skip():
            raise Skip("no PostgreSQL server, or no libpq; try: apt-get install postgresql libpq-dev")
        report.test("the row of a PostgreSQL table says who leads", skip)
        return
    database = Database(programs)
    try:
        with open("deploy/oracles/lease.sql", encoding="utf-8") as file:
            database.sql(file.read())
        base = ("--database", database.connection)
        for what, function in (
                ("who has the row leads next, and no word unseats a leader",
                 lambda: holder_leads(cluster, "postgres", *base)),
                ("a dead program's row is taken over, and counted", lambda: counted(cluster, database)),
                ("renewals prolong and do not count", lambda: renewals(cluster, database)),
                ("SIGTERM gives the row and the word back",
                 lambda: gives_back(cluster, "postgres", *base)),
                ("the database stops: who leads next is all that changes",
                 lambda: database_dies(cluster, database)),
                ("a locked row", lambda: row_is_locked(cluster, database)),
                ("what cannot work is refused", lambda: refusals(cluster, database)),
                ("no database at the start", lambda: no_database(cluster))):
            report.test(f"oracle outside, PostgreSQL: {what}", function)
    finally:
        database.close()


# ---- an oracle from common/PROTOCOL.md alone

def pack(value):
    """msgpack of unsigned integers and lists, in the shortest form."""
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(pack, value))
    for size, head, form in ((1 << 7, b"", ">B"), (1 << 8, b"\xcc", ">B"), (1 << 16, b"\xcd", ">H"),
                             (1 << 32, b"\xce", ">I"), (1 << 64, b"\xcf", ">Q")):
        if value < size:
            return head + struct.pack(form, value)
    raise ValueError(value)


def unpack(data, at=0):
    """(value, where it ends)."""
    head = data[at]
    if head < 0x80:
        return head, at + 1
    if head >> 4 == 9:
        values, at = [], at + 1
        for _ in range(head & 15):
            value, at = unpack(data, at)
            values.append(value)
        return values, at
    form = {0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q"}[head]
    return struct.unpack_from(form, data, at + 1)[0], at + 1 + struct.calcsize(form)


class Voice:
    """A connection to one proposer's client port, without libsynod and without ZeroMQ."""

    HELLO, WELCOME, LEADING, NAME, NAMED = 1, 2, 42, 52, 53

    def __init__(self, cluster, proposer, nonce):
        with open(cluster.config, encoding="utf-8") as file:
            self.cluster_id = int(re.search(r"^id: (\S+)", file.read(), re.M).group(1), 16)
        self.proposer, self.nonce = proposer, nonce
        self.socket = socket.create_connection(("127.0.0.1", cluster.ports(proposer)[1]), timeout=20)
        self.socket.sendall(GREETING + ready())
        self.take(64)  # its greeting
        self.send(self.HELLO, [1, 1, [2, proposer.id]])
        check(self.receive(self.WELCOME) == [1], f"{proposer} speaks no version 1")

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            check(more, f"{self.proposer} hung up")
            data += more
        return data

    def send(self, kind, body):
        self.socket.sendall(frame(pack([1, self.cluster_id, 1, kind, [4, self.nonce], self.nonce, 0,
                                        body])))

    def receive(self, kind):
        """The body of the next message, which has to be of that kind; who leads is told to clients
        unasked."""
        while True:
            flags = self.take(1)[0]
            size = struct.unpack(">Q", self.take(8))[0] if flags & 2 else self.take(1)[0]
            data = self.take(size)
            if flags & 4:
                continue  # a command of ZeroMQ's own
            found, end = unpack(data)
            check(end == size and found[4] == [2, self.proposer.id], f"a message says {found}")
            if found[3] != self.LEADING:
                check(found[3] == kind and found[6] == self.nonce, f"instead of {kind} came {found}")
                return found[7]


def another_language(cluster):
    """An oracle that knows what common/PROTOCOL.md says, and nothing else, is welcomed, told who leads,
    and obeyed."""
    nonce = random.SystemRandom().randrange(1, 1 << 64)
    voices = [Voice(cluster, proposer, nonce) for proposer in cluster.members("proposer")]
    try:
        leader = cluster.leader()
        for number, voice in enumerate(voices, 7):
            voice.send(Voice.NAME, [number, 9, 60000])
            answer = voice.receive(Voice.NAMED)
            check(answer == [number, 2, leader.id], f"a word about proposer 9: {answer}")
        if leader.id == 1:
            _, leader = fail_over(cluster)
            cluster.node("proposer", 1).start()
            voices[0].socket.close()
            voices[0] = Voice(cluster, cluster.node("proposer", 1), nonce)
        for voice in voices:
            voice.send(Voice.NAME, [20, 1, 60000])
            answer = voice.receive(Voice.NAMED)
            check(answer[:2] == [20, 0], f"a word about proposer 1: {answer}")
        old, new = fail_over(cluster)
        old.start()
        check(new.id == 1, f"1 was named, {old} was killed, and {new} leads")
    finally:
        for voice in voices:
            voice.socket.close()


# ---- the queue

def one_message(cluster):
    """Programs that begin at once make one message, and one of them has it."""
    programs = [Program(cluster, "queue", p, "--queue", "at-once") for p in (1, 2, 3)]
    try:
        wait_until(lambda: sum(bool(p.lines("claimed")) for p in programs) == 1, 20, "one to have it")
        wait_until(lambda: sum(bool(p.lines("waiting")) for p in programs) >= 2, 20, "two to wait")
        length = text("queue", "show", "at-once", cluster=cluster).split()
        check(length[:1] == ["1"], f"the queue: {length}")
        check(sum(bool(p.lines("claimed")) for p in programs) == 1, "two have it")
    finally:
        for program in programs:
            program.kill()


def no_leader(cluster):
    """Without a quorum nothing can be prolonged: it says so once, and goes on when there is one."""
    with Team(cluster, "queue", 1, "--queue", "no-leader") as team:
        stopped = cluster.members("acceptor")[:2]
        for node in stopped:
            node.signal(signal.SIGSTOP)
        try:
            team.programs[1].wait("source_lost", seconds=40)
        finally:
            for node in stopped:
                node.signal(signal.SIGCONT)
        cluster.leader()
        wait_until(lambda: team.programs[1].lines("claim_kept") or
                   any(p.lines("claimed") for n, p in team.programs.items() if n != 1) or
                   len(team.programs[1].lines("claimed")) > 1, 30, "the claim to go on")
        check(len(team.programs[1].lines("source_lost")) == 1, team.programs[1].said())


def run_queue(report, cluster):
    def taken_over():
        before, after = takes_over(cluster, "queue", "--queue", "over")
        check(after > before, f"token {after} after {before}")

    for what, function in (
            ("who has the message leads next", lambda: holder_leads(cluster, "queue", "--queue", "lead")),
            ("a dead program's message goes to the next", taken_over),
            ("SIGTERM gives message and word back",
             lambda: gives_back(cluster, "queue", "--queue", "back")),
            ("several that begin at once make one message", lambda: one_message(cluster)),
            ("no quorum for a while", lambda: no_leader(cluster))):
        report.test(f"oracle outside, queue: {what}", function)


def run(report):
    if PROTOCOL == "raft":
        def skip():
            raise Skip("in Raft mode proposers do not lead, and no oracle names one")
        report.test("oracles outside", skip)
        return

    def external(content):
        check("oracle: { kind: connected }" in content, "cluster.yml has no oracle to replace")
        return content.replace("oracle: { kind: connected }", EXTERNAL)

    with Cluster(proposers=3, edit=external, name="outside") as cluster:
        report.test("an oracle outside, written from common/PROTOCOL.md alone",
                    lambda: another_language(cluster))
        run_queue(report, cluster)
        run_postgres(report, cluster)
