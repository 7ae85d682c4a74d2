"""Locks, elections, work and queues from the command line: who holds what is told apart by tokens that
rise, what runs under a lock is told when it is lost, and all of it while leaders are killed."""

import json
import os
import signal
import subprocess
import threading
import time

from cluster import SYNOD, Cluster, check, command, spawn, wait_until
from commands import DONE, FAILED, INTERRUPTED, UNAVAILABLE, USAGE, expect, run_ok
from keys import bytes_of, parsed, rows, text


def start(cluster, *arguments, command_line=(), **options):
    """A verb in the background, with a command behind -- if there is one."""
    full = [SYNOD, *arguments, "--cluster", cluster.config]
    if command_line:
        full += ["--", *command_line]
    return spawn(full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                 **options)


def run_under(cluster, *arguments, command_line):
    """Runs a verb with a command; answers exit status, output and errors."""
    process = start(cluster, *arguments, command_line=command_line)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out.decode(), err.decode()


def end(*processes):
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def write_and_wait(path):
    """A command that says in a file that it runs, and what ended it."""
    return ("sh", "-c", f'trap "echo told >>{path}; exit 9" TERM; echo "$SYNOD_TOKEN" >>{path}; '
            "while :; do sleep 0.05; done")


def content(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


# ---- locks

def lock_statuses(cluster):
    """The command's exit status is passed on, its environment has the token, and the lock is free
    afterwards whatever it was."""
    tokens = []
    for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + 9)):
        got, out, err = run_under(cluster, "lock", "st/x", command_line=(
            "sh", "-c", f'echo "$SYNOD_LOCK $SYNOD_TOKEN"; {script}'))
        check(got == status, f"{script}: exit status {got} and not {status}: {err}")
        check(out.split()[0] == "st/x", f"it says {out!r}")
        tokens.append(int(out.split()[1]))
    check(tokens == sorted(set(tokens)), f"tokens do not rise: {tokens}")
    for program, status in (("/nowhere/program", 127), (cluster.config, 126)):
        got, _, err = run_under(cluster, "lock", "st/x", command_line=(program,))
        check(got == status and program in err, f"{program}: {got} {err}")
    status, _, err = command("lock", "st/x", "--wait", "5s", "--cluster", cluster.config, "--", "true")
    check(status == DONE, f"the lock is not free: {err!r}")
    return f"tokens {tokens}"


def lock_descriptors(cluster):
    """The command has no descriptor of ours."""
    _, out, _ = run_under(cluster, "lock", "fd", command_line=("ls", "-l", "/proc/self/fd"))
    check("socket" not in out and "anon_inode" not in out, out)


def children_ignored(cluster):
    """Under a parent that ignores SIGCHLD, which a program inherits, the kernel would keep no exit status
    for us: commands of verbs have theirs all the same."""
    revision = text("put", "chld", "x", cluster=cluster)
    for arguments in ((SYNOD, "lock", "chld"), (SYNOD, "watch", "chld", "--rev", revision)):
        process = spawn(["env", "--ignore-signal=CHLD", *arguments, "--cluster", cluster.config, "--",
                         "sh", "-c", "exit 7"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(lambda process=process: process.poll() is not None, 20,
                       f"synod {arguments[1]} to see the end of its command")
            check(process.returncode == 7, f"{arguments[1]}: exit status {process.returncode}")
        finally:
            end(process)


def lock_is_taken(cluster):
    """A second one waits, in order; --wait ends that, with 1 and a sentence."""
    first = start(cluster, "lock", "taken")
    second = third = None
    try:
        token = int(first.stdout.readline())
        sentence = expect(FAILED, "lock", "taken", "--wait", "0", words=("taken", "somebody else"),
                          cluster=cluster)
        expect(FAILED, "lock", "taken", "--wait", "300ms", cluster=cluster)
        second = start(cluster, "lock", "taken")
        wait_until(lambda: waiting(cluster, "lock", "taken") >= 2, 10, "the second to wait")
        third = start(cluster, "lock", "taken")
        wait_until(lambda: waiting(cluster, "lock", "taken") >= 3, 10, "the third to wait")
        first.send_signal(signal.SIGTERM)
        check(first.wait(20) == DONE, f"SIGTERM ended the holder with {first.returncode}")
        token2 = int(second.stdout.readline())
        second.send_signal(signal.SIGINT)
        check(second.wait(20) == DONE, f"SIGINT ended the holder with {second.returncode}")
        token3 = int(third.stdout.readline())
        check(token < token2 < token3, f"tokens {token}, {token2}, {token3}")
    finally:
        end(*[process for process in (first, second, third) if process is not None])
    return sentence


def waiting(cluster, kind, name):
    """How many hold it or wait for it: each has a key under the recipe's prefix."""
    return int(text("get", "--prefix", f"synod/{kind}/{name}/", "--count-only", cluster=cluster))


def lock_interrupted(cluster):
    """Ctrl-C while it waits: 5, and it does not stand in the queue any more."""
    holder = start(cluster, "lock", "int")
    try:
        holder.stdout.readline()
        waiter = start(cluster, "lock", "int", command_line=("true",))
        wait_until(lambda: waiting(cluster, "lock", "int") >= 2, 10, "the second to wait")
        waiter.send_signal(signal.SIGINT)
        check(waiter.wait(20) == INTERRUPTED, f"exit status {waiter.returncode}")
        wait_until(lambda: waiting(cluster, "lock", "int") == 1, 20, "it to leave the queue")
    finally:
        end(holder, waiter)


def lock_forwards(cluster):
    """Signals to the holder reach its command, which ends as it likes."""
    for name in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2"):
        number = getattr(signal, f"SIG{name}")
        process = start(cluster, "lock", "fw", command_line=(
            "sh", "-c", f'trap "echo got {name}; exit 6" {name}; echo up; '
            "while :; do sleep 0.05; done"))
        try:
            check(process.stdout.readline() == b"up\n", "the command does not run")
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            check(process.returncode == 6 and out == f"got {name}\n".encode(),
                  f"{name}: {process.returncode} {out!r} {err!r}")
        finally:
            end(process)


def lock_in_vain(cluster):
    """A token that cannot be printed is nobody's: the lock is not kept."""
    with open("/dev/full", "wb") as full:
        process = spawn([SYNOD, "lock", "vain", "--cluster", cluster.config],
                        stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
        try:
            _, err = process.communicate(timeout=30)
            check(process.returncode == FAILED and b"cannot be written" in err,
                  f"{process.returncode} {err!r}")
        finally:
            end(process)


def lock_lost(cluster):
    """A holder that stands still beyond its TTL: another one gets the lock, with a higher token; and
    when the first goes on its command is told by SIGTERM, and it ends with 1 and a sentence."""
    path = f"{cluster.directory}/lost"
    first = start(cluster, "lock", "lost", "--ttl", "1s", command_line=write_and_wait(path))
    second = None
    try:
        token = wait_until(lambda: content(path), 20, "the command to run")[0]
        first.send_signal(signal.SIGSTOP)
        second = start(cluster, "lock", "lost", "--wait", "30s")
        token2 = int(second.stdout.readline())
        check(token2 > int(token), f"token {token2} after {token}")
        check(content(path) == [token], "the command was told by somebody else")
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=30)
        check(first.returncode == FAILED and b"was lost" in err and b"try: " in err,
              f"{first.returncode} {err!r}")
        check(content(path) == [token, "told"], f"the command says {content(path)}")
        check(second.poll() is None, "the second holder ended")
    finally:
        end(*[process for process in (first, second) if process is not None])
    return err.decode().splitlines()[-1]  # the shell says first that its sleep was terminated


def lock_lost_stubborn(cluster):
    """A command that does not hear SIGTERM gets SIGKILL after --grace; one whose session somebody ends
    is told, too."""
    path = f"{cluster.directory}/stubborn"
    process = start(cluster, "lock", "stubborn", "--grace", "500ms", command_line=(
        "sh", "-c", f'trap "" TERM; echo up >>{path}; while :; do sleep 0.05; done'))
    try:
        wait_until(lambda: content(path), 20, "the command to run")
        held = parsed("get", "--prefix", "synod/lock/stubborn/", cluster=cluster)["kvs"]
        check(len(held) == 1 and held[0]["lease"] != 0, f"{held}")
        run_ok("lease", "revoke", str(held[0]["lease"]), cluster=cluster)
        _, err = process.communicate(timeout=30)
        check(process.returncode == FAILED and b"was lost" in err, f"{process.returncode} {err!r}")
    finally:
        end(process)


def lock_taken_away(cluster):
    """Somebody deletes the key of the lock, or ends its session: the command is told at once, not with
    the next keepalive a third of --ttl later."""
    took = []
    for way in ("key", "session"):
        path = f"{cluster.directory}/away-{way}"
        process = start(cluster, "lock", way, "--ttl", "1m", command_line=write_and_wait(path))
        try:
            wait_until(lambda path=path: content(path), 20, "the command to run")
            held = parsed("get", "--prefix", f"synod/lock/{way}/", cluster=cluster)["kvs"][0]
            before = time.monotonic()
            if way == "key":
                run_ok("del", held["key"], cluster=cluster)
            else:
                run_ok("lease", "revoke", str(held["lease"]), cluster=cluster)
            _, err = process.communicate(timeout=30)
            took.append(time.monotonic() - before)
            check(process.returncode == FAILED and b"was lost" in err, f"{process.returncode} {err!r}")
            check(content(path)[1:] == ["told"], f"the command says {content(path)}")
            check(took[-1] < 10, f"{way}: told after {took[-1]:.1f} s")
        finally:
            end(process)
    return f"told after {max(took):.1f} s"


def lock_without_cluster(cluster):
    """When the cluster is gone for longer than the TTL, the command is told before anybody else could
    have the lock."""
    path = f"{cluster.directory}/alone"
    process = start(cluster, "lock", "alone", "--ttl", "1s", "--timeout", "2s",
                    command_line=write_and_wait(path))
    stopped = cluster.nodes
    try:
        wait_until(lambda: content(path), 20, "the command to run")
        for node in stopped:
            node.signal(signal.SIGSTOP)
        _, err = process.communicate(timeout=60)
        check(process.returncode == FAILED and b"was lost" in err, f"{process.returncode} {err!r}")
        check(content(path)[1:] == ["told"], f"the command says {content(path)}")
    finally:
        for node in stopped:
            node.signal(signal.SIGCONT)
        end(process)
    cluster.leader()


def parent_killed(cluster):
    """kill -9 of the holder: its command is told by SIGTERM, and the lock is free after the TTL."""
    path = f"{cluster.directory}/orphan"
    process = start(cluster, "lock", "orphan", "--ttl", "1s", command_line=write_and_wait(path))
    try:
        wait_until(lambda: content(path), 20, "the command to run")
        process.kill()
        wait_until(lambda: content(path)[1:] == ["told"], 10, "the command to be told")
        status, _, err = command("lock", "orphan", "--wait", "30s", "--cluster", cluster.config, "--",
                                 "true")
        check(status == DONE, f"{status} {err!r}")
    finally:
        end(process)


def cron_job(cluster, hosts=4):
    """The cron job of RECIPES.md on several hosts at once, the leader killed meanwhile: it runs once."""
    path = f"{cluster.directory}/nightly.log"
    script = (f'[ "$({SYNOD} get cron/done 2>/dev/null)" = today ] && exit 0; sleep 0.3; '
              f'echo $SYNOD_TOKEN >>{path}; {SYNOD} put cron/done today >/dev/null')
    jobs = [start(cluster, "lock", "cron", command_line=("sh", "-c", script)) for _ in range(hosts)]
    try:
        leader = cluster.leader()
        leader.kill()
        cluster.leader()
        leader.start()
        for job in jobs:
            _, err = job.communicate(timeout=60)
            check(job.returncode == DONE, f"a host's job ended with {job.returncode}: {err!r}")
    finally:
        end(*jobs)
    check(len(content(path)) == 1, f"it ran {len(content(path))} times")


def mutual_exclusion(cluster, clients=4, turns=8):
    """Several clients take turns while leaders are killed: never two at once, and tokens rise."""
    path = f"{cluster.directory}/turns"
    script = (f'mkdir {path}.held || {{ echo two >>{path}; exit 1; }}; echo $SYNOD_TOKEN >>{path}; '
              f'rmdir {path}.held')
    loop = (f"i=0; while [ $i -lt {turns} ]; do {SYNOD} lock turns -- sh -c '{script}' || exit 1; "
            "i=$((i + 1)); done")
    environment = dict(os.environ, SYNOD_CLUSTER=cluster.config)
    processes = [spawn(["sh", "-c", loop], env=environment, stdin=subprocess.DEVNULL,
                       stderr=subprocess.PIPE) for _ in range(clients)]
    try:
        for _ in range(2):
            leader = cluster.leader()
            leader.kill()
            cluster.leader()
            leader.start()
        for process in processes:
            _, err = process.communicate(timeout=150)
            check(process.returncode == 0, f"a client failed: {err!r}")
    finally:
        end(*processes)
    tokens = content(path)
    check(len(tokens) == clients * turns, f"{len(tokens)} turns: {tokens[-3:]}")
    tokens = [int(token) for token in tokens]
    check(tokens == sorted(set(tokens)), f"tokens do not rise: {tokens}")
    return f"{len(tokens)} turns"


# ---- elections

def elections(cluster):
    """Candidates lead in the order in which they came; every observer sees the same leaders in the
    same order, and tokens rise, through a change of the cluster's own leader and although the learner
    that an observer listens to is dead at one change of leaders or another."""
    observers = [start(cluster, "elect", "e", "--observe", "-o", "json") for _ in range(4)]
    seen = [[] for _ in observers]
    threads = [threading.Thread(target=lambda o=o, s=s: s.extend(map(json.loads, o.stdout)),
                                daemon=True) for o, s in zip(observers, seen)]
    candidates = []
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: all(seen), 20, "the observers to see that nobody leads")
        tokens = []
        for i in range(3):
            candidates.append(start(cluster, "elect", "e", f"host-{i}", "--ttl", "5s"))
            wait_until(lambda: waiting(cluster, "election", "e") == i + 1, 10, "a candidate")
        for i, candidate in enumerate(candidates):
            tokens.append(int(candidate.stdout.readline()))
            learner = cluster.members("learner")[i % 2]
            learner.kill()
            if i == 1:
                leader = cluster.leader()
                leader.kill()
                cluster.leader()
                leader.start()
                candidate.kill()  # not told to: the next one leads when its session is over
                candidate.wait()
                wait_until(lambda: waiting(cluster, "election", "e") == 1, 30, "its session to end")
            else:
                candidate.send_signal(signal.SIGTERM)
                check(candidate.wait(20) == DONE, f"it ended with {candidate.returncode}")
            learner.start()
        check(tokens == sorted(set(tokens)), f"tokens do not rise: {tokens}")
        wait_until(lambda: all(s[-1]["token"] == 0 and len(s) > 3 for s in seen), 30,
                   "the observers to see that nobody leads any more")
        for i, other in enumerate(seen):
            check(other == seen[0], f"observer {i} and the first one differ: {other} {seen[0]}")
        leaders = [(row["token"], row["value"]) for row in seen[0] if row["token"] != 0]
        check(leaders == [(token, f"host-{i}") for i, token in enumerate(tokens)], f"{leaders}")
        for observer in observers:
            observer.send_signal(signal.SIGINT)
            check(observer.wait(20) == INTERRUPTED, f"Ctrl-C: {observer.returncode}")
    finally:
        end(*observers, *candidates)
    return f"tokens {tokens}"


def elect_command(cluster):
    status, out, err = run_under(cluster, "elect", "ec", "me", command_line=(
        "sh", "-c", 'echo "$SYNOD_ELECTION $SYNOD_TOKEN"; exit 5'))
    check(status == 5 and out.split()[0] == "ec" and int(out.split()[1]) > 0,
          f"{status} {out!r} {err!r}")
    expect(USAGE, "elect", "ec", words=("a value",), cluster=cluster)
    expect(USAGE, "elect", "ec", "--observe", "x", cluster=cluster)
    expect(USAGE, "lock", "", cluster=cluster)
    expect(USAGE, "lock", "n" * 1025, words=("1024",), cluster=cluster)
    expect(USAGE, "lock", "a", "true", words=("after --",), cluster=cluster)
    for verb in (("lock", "a"), ("elect", "a", "b"), ("watch", "a")):
        expect(USAGE, *verb, "--cluster", cluster.config, "--", words=("follows --",))
    expect(USAGE, "lock", "a", "--ttl", "0", words=("--ttl",), cluster=cluster)
    expect(USAGE, "lock", "a", "--wait", "-1s", words=("--wait",), cluster=cluster)


# ---- work

def work(cluster):
    """An item has one holder at a time; only it can complete it; who asks is told."""
    first = parsed("work", "claim", "w/1", "--owner", "anna", cluster=cluster)
    token = str(first["token"])
    check((first["item"], first["state"], first["counter"], first["owner"]) ==
          ("w/1", "claimed", 1, "anna"), f"{first}")
    sentence = expect(FAILED, "work", "claim", "w/1", words=("anna",), cluster=cluster)
    run_ok("work", "renew", "w/1", token, cluster=cluster)
    expect(FAILED, "work", "complete", "w/1", str(int(token) - 1), cluster=cluster)
    run_ok("work", "release", "w/1", token, cluster=cluster)
    check(parsed("work", "show", "w/1", cluster=cluster)["state"] == "free", "release")
    expect(FAILED, "work", "renew", "w/1", token, cluster=cluster)
    again = parsed("work", "claim", "w/1", "--owner", "anna", cluster=cluster)
    check(again["counter"] == 1 and again["token"] > int(token), f"nobody took it over: {again}")
    run_ok("work", "release", "w/1", str(again["token"]), cluster=cluster)
    token2 = text("work", "claim", "w/1", cluster=cluster)
    check(int(token2) > int(token), f"tokens {token}, {token2}")
    expect(FAILED, "work", "complete", "w/1", token, cluster=cluster)
    run_ok("work", "complete", "w/1", token2, "all fine", cluster=cluster)
    shown = parsed("work", "show", "w/1", cluster=cluster)
    check((shown["state"], shown["result"], shown["counter"], shown["token"]) ==
          ("done", "all fine", 2, int(token2)), f"{shown}")
    expect(FAILED, "work", "claim", "w/1", words=("is done",), cluster=cluster)
    expect(FAILED, "work", "show", "w/none", cluster=cluster)
    run_ok("work", "claim", "w/2", cluster=cluster)
    listed = {row["item"]: row["state"] for row in rows("work", "list", cluster=cluster)}
    check(listed == {"w/1": "done", "w/2": "claimed"}, f"{listed}")
    return sentence


def work_takeover(cluster):
    """A holder that falls silent is taken over, once its TTL is up and although the leader was killed;
    the counter rises, and what comes late from the first is refused."""
    first = parsed("work", "claim", "wt", "--owner", "slow", "--ttl", "1s", cluster=cluster)
    leader = cluster.leader()
    leader.kill()
    cluster.leader()
    leader.start()

    def take_over():
        status, out, _ = command("work", "claim", "wt", "--owner", "next", "-o", "json",
                                 cluster=cluster)
        return json.loads(out) if status == DONE else None
    second = wait_until(take_over, 20, "the claim to end")
    check(second["counter"] == first["counter"] + 1 and second["token"] > first["token"],
          f"{first} {second}")
    for verb in ("renew", "complete", "release"):
        sentence = expect(FAILED, "work", verb, "wt", str(first["token"]), cluster=cluster)
    shown = parsed("work", "show", "wt", cluster=cluster)
    check((shown["state"], shown["owner"]) == ("claimed", "next"), f"{shown}")
    run_ok("work", "complete", "wt", str(second["token"]), cluster=cluster)
    return sentence


def work_json(cluster):
    """What changes a claim says what it did: the item as the deed left it."""
    def did(verb, *arguments):
        return parsed("work", verb, "w\"j", *arguments, cluster=cluster)
    first = did("claim", "--owner", "anna")
    token = str(first["token"])
    check(did("renew", token) == first, "renew prints another object than claim did")
    released = dict(first, state="free", token=0)
    check(did("release", token) == released, f"release prints another object than {released}")
    check(did("show") == released, "show")
    second = did("claim", "--owner", "otto")
    done = dict(second, state="done", result="all fine")
    for _ in range(2):  # again, as one does who did not hear that it is done
        check(did("complete", str(second["token"]), "all fine") == done, f"complete, and not {done}")
    check(did("show") == done, "show")
    for verb in ("renew", "release", "complete"):
        for item in ("w\"j", "never claimed"):
            sentence = expect(FAILED, "work", verb, item, token, "-o", "json", words=("of the past",),
                              cluster=cluster)
    return sentence


def work_escaped(cluster):
    """Names and owners are chosen by anybody: they break no line and say nothing to the terminal."""
    item, owner = "we/\n\x1b[2Jitem", "otto\x07\nfree  9"
    escaped_item, escaped_owner = "we/\\x0a\\x1b[2Jitem", "otto\\x07\\x0afree  9"
    token = text("work", "claim", item, "--owner", owner, cluster=cluster)
    line = f"claimed  1  {token}  {escaped_owner}"
    for form in ("plain", "table"):
        check(text("work", "show", item, "-o", form, cluster=cluster) == line, f"show -o {form}")
        listed = text("work", "list", "-o", form, cluster=cluster).splitlines()
        check(f"{line}  {escaped_item}" in listed, f"list -o {form}: {listed}")
    sentence = expect(FAILED, "work", "claim", item, words=(escaped_owner,), cluster=cluster)
    check("\x07" not in sentence, sentence)
    run_ok("work", "complete", item, token, cluster=cluster)
    expect(FAILED, "work", "claim", item, words=(escaped_owner, "is done"), cluster=cluster)


def queue_json(cluster):
    """What changes a claim says what it did."""
    run_ok("queue", "push", "qj", "x", cluster=cluster)
    for verb in ("extend", "release", "ack"):
        message = parsed("queue", "claim", "qj", cluster=cluster)
        name = ("qj", message["id"], str(message["token"]))
        found = parsed("queue", verb, *name, cluster=cluster)
        check(found == {"queue": "qj", "id": message["id"], "token": message["token"]}, f"{found}")
        if verb == "extend":
            run_ok("queue", "release", *name, cluster=cluster)
    return expect(FAILED, "queue", "ack", *name, "-o", "json", cluster=cluster)


# ---- queues

def claim(cluster, queue, *options):
    return parsed("queue", "claim", queue, *options, cluster=cluster)


def queues(cluster):
    """In the order of arrival, each to one at a time; what is released comes first again."""
    ids = [text("queue", "push", "q", f"m{i}", cluster=cluster) for i in range(4)]
    check(ids == sorted(set(ids)), f"ids {ids}")
    run_ok("queue", "push", "q", cluster=cluster, stdin=b"\xff\0\n")
    first, second = claim(cluster, "q"), claim(cluster, "q")
    check([(m["id"], m["data"]) for m in (first, second)] == [(ids[0], "m0"), (ids[1], "m1")],
          f"{first} {second}")
    check(parsed("queue", "show", "q", cluster=cluster) == {"queue": "q", "length": 5, "claimed": 2},
          "show")
    run_ok("queue", "release", "q", first["id"], str(first["token"]), cluster=cluster)
    again = claim(cluster, "q")
    check(again["id"] == first["id"] and again["token"] > first["token"], f"{again}")
    sentence = expect(FAILED, "queue", "ack", "q", first["id"], str(first["token"]), cluster=cluster)
    run_ok("queue", "extend", "q", again["id"], str(again["token"]), cluster=cluster)
    for message in (again, second):
        run_ok("queue", "ack", "q", message["id"], str(message["token"]), cluster=cluster)
    lines = text("queue", "claim", "q", cluster=cluster).splitlines()
    check(lines[0].split()[0] == ids[2] and lines[1:] == ["m2"], f"{lines}")
    claim(cluster, "q")
    check(bytes_of(claim(cluster, "q"), "data") == b"\xff\0\n", "any bytes")
    expect(FAILED, "queue", "claim", "q", cluster=cluster)
    expect(FAILED, "queue", "claim", "nothing-was-ever-here", "--wait", "200ms", cluster=cluster)
    expect(FAILED, "queue", "ack", "q", ids[0], str(again["token"]), cluster=cluster)
    expect(USAGE, "queue", "ack", "q", ids[0], words=("token",), cluster=cluster)
    return sentence


def queue_visibility(cluster):
    """A claim that expires puts the message back to the front, also when the leader was killed; the
    old claim is worth nothing then; --wait waits for it."""
    for data in ("one", "two"):
        run_ok("queue", "push", "qv", data, cluster=cluster)
    lost = claim(cluster, "qv", "--visibility", "1s")
    other = claim(cluster, "qv")
    leader = cluster.leader()
    leader.kill()
    cluster.leader()
    leader.start()
    again = claim(cluster, "qv", "--wait", "30s")
    check(again["data"] == "one" and again["token"] > lost["token"], f"{lost} {again}")
    for verb in ("ack", "extend", "release"):
        expect(FAILED, "queue", verb, "qv", lost["id"], str(lost["token"]), cluster=cluster)
    for message in (again, other):
        run_ok("queue", "ack", "qv", message["id"], str(message["token"]), cluster=cluster)
    check(parsed("queue", "show", "qv", cluster=cluster)["length"] == 0, "messages are left")


def queue_wakes(cluster):
    """Who waits is served by a push."""
    waiter = start(cluster, "queue", "claim", "qw", "--wait", "60s", "-o", "json")
    try:
        time.sleep(0.3)  # it does not matter if it has not begun to wait by then
        run_ok("queue", "push", "qw", "hello", cluster=cluster)
        out, err = waiter.communicate(timeout=30)
        check(waiter.returncode == DONE and json.loads(out)["data"] == "hello", f"{out!r} {err!r}")
    finally:
        end(waiter)


def queue_workers(cluster, messages=40, workers=3):
    """Several workers, one of them killed with a claim in its hands, and leaders killed: each message
    is acknowledged once, and nothing is left."""
    for i in range(messages):
        run_ok("queue", "push", "qs", str(i), cluster=cluster)
    path = f"{cluster.directory}/acked"
    script = (f'while m=$({SYNOD} queue claim qs --visibility 2s --wait 4s 2>/dev/null); do set -- $m; '
              f'{SYNOD} queue ack qs $1 $2 2>/dev/null && echo $3 >>{path}; done')
    claim(cluster, "qs", "--visibility", "2s")  # a worker that died before it did anything
    environment = dict(os.environ, SYNOD_CLUSTER=cluster.config)
    processes = [spawn(["sh", "-c", script], env=environment, stdin=subprocess.DEVNULL)
                 for _ in range(workers)]
    try:
        leader = cluster.leader()
        leader.kill()
        cluster.leader()
        leader.start()
        for process in processes:
            process.wait(150)
    finally:
        end(*processes)
    check(sorted(map(int, content(path))) == list(range(messages)), f"acknowledged: {content(path)}")
    check(parsed("queue", "show", "qs", cluster=cluster)["length"] == 0, "messages are left")


# ---- no quorum

def no_quorum_once(cluster):
    """Without a quorum each verb ends with 2 after its --timeout, and does not ask again for as long:
    all of them end before one that was started after them and has half as much time more."""
    stopped = cluster.members("acceptor")[:2]
    for node in stopped:
        node.signal(signal.SIGSTOP)
    processes = []
    try:
        for arguments in (("lock", "nq"), ("lock", "nq", "--wait", "100ms"), ("elect", "nq", "x"),
                          ("elect", "nq", "--observe"), ("work", "claim", "nq"),
                          ("work", "complete", "nq", "1", "-o", "json"), ("work", "list"),
                          ("queue", "claim", "nq"), ("queue", "claim", "nq", "--wait", "1m")):
            processes.append((arguments, start(cluster, *arguments, "--timeout", "4s")))
        expect(UNAVAILABLE, "get", "nq", "--timeout", "6s", cluster=cluster)
        late = [arguments for arguments, process in processes if process.poll() is None]
        check(not late, f"these still wait: {late}")
        for arguments, process in processes:
            check(process.returncode == UNAVAILABLE, f"{arguments} ended with {process.returncode}")
    finally:
        for node in stopped:
            node.signal(signal.SIGCONT)
        end(*[process for _, process in processes])
    cluster.leader()


def run(report):
    with Cluster(name="recipes") as cluster:
        for what, function in (
                ("lock -- CMD: exit statuses, environment, release", lock_statuses),
                ("lock -- CMD: no descriptor is inherited", lock_descriptors),
                ("lock -- CMD, watch -- CMD: a parent that ignores SIGCHLD", children_ignored),
                ("lock: waiters in order, --wait, tokens", lock_is_taken),
                ("lock: Ctrl-C while it waits", lock_interrupted),
                ("lock: signals are passed on", lock_forwards),
                ("lock: a token that nobody can read", lock_in_vain),
                ("lock: lost by a holder that stood still, and its command told", lock_lost),
                ("lock: lost by a command that does not listen", lock_lost_stubborn),
                ("lock: taken away", lock_taken_away),
                ("lock: the holder is killed", parent_killed),
                ("the cron job of several hosts runs once", cron_job),
                ("lock: one at a time while leaders are killed", mutual_exclusion),
                ("elect: in order, and all observers see the same", elections),
                ("elect -- CMD, and what is refused", elect_command),
                ("work: claim, renew, release, complete, show, list", work),
                ("work -o json: each verb prints the item as it left it", work_json),
                ("work: names and owners are printed escaped", work_escaped),
                ("queue -o json: each verb prints what it dealt with", queue_json),
                ("work: a silent holder is taken over, and refused when it comes late",
                 work_takeover),
                ("queue: order, release, acknowledgement", queues),
                ("queue: a claim that expires returns to the front", queue_visibility),
                ("queue: a push wakes who waits", queue_wakes),
                ("queue: several workers, each message once", queue_workers),
                ("no quorum: each verb gives up after its --timeout", no_quorum_once),
                ("lock: the cluster is gone for longer than the TTL", lock_without_cluster)):
            report.test(what, lambda function=function: function(cluster))
