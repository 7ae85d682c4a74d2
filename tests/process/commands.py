"""The `synod` command against a real cluster: records of every kind go through unchanged or are
refused as said; exit statuses, sentences and JSON are what the help promises."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from cluster import (BUILD, LEADER_ROLE, PROTOCOL, SLOWER, SYNOD, Cluster, check, command, rewrite, spawn,
                     wait_until)
from load import Load, read_log, record_of

DONE, FAILED, UNAVAILABLE, USAGE, INTERRUPTED = 0, 1, 2, 3, 5
RECORD_BYTES_MAX = 1 << 20


def run_ok(*arguments, cluster, stdin=b""):
    status, out, err = command(*arguments, cluster=cluster, stdin=stdin)
    check(status == DONE, f"synod {arguments[0]} ended with {status}: {err!r}")
    return out


def expect(status, *arguments, words=(), cluster=None, environment=None):
    """Runs a command that has to fail with a sentence that holds the words."""
    got, _, err = command(*arguments, cluster=cluster, environment=environment)
    text = err.decode(errors="replace")
    check(got == status,
          f"synod {' '.join(arguments)[:80]}: exit status {got} and not {status}: {text}")
    check(text.startswith("error: ") and "try: " in text, f"no sentence with a way out: {text!r}")
    for word in words:
        check(word in text, f'"{word}" is missing in: {text}')
    return text.splitlines()[0]


# ---- records

def append_and_read(cluster, records, *, separator):
    """Appends the records through standard input; reads each back through every output form."""
    options = ["--null"] if separator == b"\0" else []
    out = run_ok("append", *options, cluster=cluster, stdin=separator.join(records) + separator)
    indexes = [int(line) for line in out.split()]
    check(len(indexes) == len(records), f"{len(records)} records got {len(indexes)} indexes")
    check(indexes == list(range(indexes[0], indexes[0] + len(records))), f"indexes {indexes}")
    span = ["--from", str(indexes[0]), "--count", str(len(records))]
    plain = run_ok("read", *span, *options, cluster=cluster)
    check(plain == separator.join(records) + separator, "read prints other bytes than were appended")
    rows = [record_of(json.loads(line))
            for line in run_ok("read", *span, "-o", "json", cluster=cluster).splitlines()]
    check(rows == list(zip(indexes, records)), "read -o json answers other records or indexes")


def odd_records(cluster):
    append_and_read(cluster, [b"", b" ", b"\r", "Ελληνικά 漢字".encode(), b"\xff\xfe\x80", b"-o", b"--",
                              b"a\0b", b"\0", b"\x01\x7f\x1b[31m"], separator=b"\n")
    append_and_read(cluster, [b"", b"a\nb\n", b"\xff" * 300, bytes(range(1, 256))], separator=b"\0")


def random_bytes(cluster):
    data = os.urandom(200000)
    append_and_read(cluster, data.split(b"\n"), separator=b"\n")
    return f"{data.count(10) + 1} records of random bytes"


def arguments_as_records(cluster):
    texts = ["one", "", "two words", "line\nbreak", "Zürich"]
    indexes = run_ok("append", *texts, cluster=cluster).split()
    rows = run_ok("read", "--from", indexes[0].decode(), "-o", "json", cluster=cluster).splitlines()
    check([json.loads(row)["text"] for row in rows] == texts, f"read back: {rows}")


def no_final_newline(cluster):
    out = run_ok("append", cluster=cluster, stdin=b"first\nlast")
    first = out.split()[0].decode()
    text = run_ok("read", "--from", first, cluster=cluster)
    check(text == b"first\nlast\n", f"read back: {text!r}")
    check(run_ok("append", cluster=cluster, stdin=b"") == b"", "no input is no record")


def largest_record(cluster):
    append_and_read(cluster, [b"x" * RECORD_BYTES_MAX, b"after"], separator=b"\n")


def too_large(cluster):
    """One byte more than the limit is refused by name; what stood before it is in the log."""
    status, out, err = command("append", cluster=cluster,
                               stdin=b"before\n" + b"x" * (RECORD_BYTES_MAX + 1) + b"\nafter\n")
    check(status == USAGE, f"exit status {status} and not {USAGE}: {err!r}")
    check(b"line 2" in err and str(RECORD_BYTES_MAX).encode() in err,
          f"neither the line nor the limit is named: {err!r}")
    rows = run_ok("read", "--from", out.split()[0].decode(), cluster=cluster)
    check(rows == b"before\n", f"in the log is {rows[:100]!r}")
    return err.decode().splitlines()[0]


def from_file(cluster):
    path = f"{cluster.directory}/lines.txt"
    with open(path, "wb") as file:
        file.write(b"".join(b"line %d\n" % i for i in range(5000)))
    out = run_ok("append", "--quiet", "--file", path, "-o", "json", cluster=cluster)
    summary = json.loads(out)
    check(summary["records"] == 5000, f"summary: {summary}")
    check(summary["last"] - summary["first"] == 4999, f"summary: {summary}")
    text = run_ok("read", "--from", str(summary["first"]), cluster=cluster)
    with open(path, "rb") as file:
        check(text == file.read(), "read prints other lines than the file has")


def follow(cluster):
    """tail --follow prints each record as it is appended; Ctrl-C ends it with 5."""
    mark = int(run_ok("append", "mark", cluster=cluster))
    process = spawn([SYNOD, "tail", "--follow", "--from", str(mark), "--cluster", cluster.config],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        check(process.stdout.readline() == b"mark\n", "the first line is another")
        for text in ("a", "b", "c"):
            run_ok("append", text, cluster=cluster)
            check(process.stdout.readline() == text.encode() + b"\n", f"{text} is not followed")
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=10)
        check(process.returncode == INTERRUPTED, f"exit status {process.returncode}: {err!r}")
        check(rest == b"", f"more was printed: {rest!r}")
    finally:
        process.kill()
        process.wait()


# ---- forms of output

def json_forms(cluster):
    """Every client verb answers JSON that a program can use."""
    leader = json.loads(run_ok("leader", "-o", "json", cluster=cluster))
    number = leader["term"] if PROTOCOL == "raft" else leader["ballot"]["round"]
    check(leader[LEADER_ROLE] in (1, 2, 3) and number > 0 and leader["since"],
          f"leader: {leader}")
    nodes = json.loads(run_ok("status", "-o", "json", cluster=cluster))["nodes"]
    names = sorted((node["role"], node["id"]) for node in nodes)
    check(names == sorted((node.role, node.id) for node in cluster.nodes), f"status lists {names}")
    check(all(node["reachable"] for node in nodes), f"status: {nodes}")
    bench = json.loads(run_ok("bench", "--outstanding", "10", "--duration", "200ms", "--warmup",
                              "100ms", "-o", "json", cluster=cluster))
    check(bench["records"] > 0 and bench["errors"] == 0, f"bench: {bench}")
    latency = bench["latency_us"]
    check(0 < latency["median"] <= latency["p99"] <= latency["p999"] <= latency["max"], f"{bench}")
    rated = json.loads(run_ok("bench", "--rate", "500", "--duration", "500ms", "--warmup", "100ms",
                              "-o", "json", cluster=cluster))
    check(100 <= rated["records_per_s"] <= 1000 and rated["errors"] == 0, f"bench: {rated}")


def without_learners(cluster):
    """Since when the leader leads is known to learners only: without them nothing is said of it."""
    leader = cluster.leader()
    dead = cluster.members("learner")
    for node in dead:
        node.kill()
    try:
        def told():
            status, out, _ = command("leader", "-o", "json", cluster=cluster)
            return status == DONE and json.loads(out)
        told = wait_until(told, 10, "the leader without a learner")
        check(told[LEADER_ROLE] == leader.id and told["since"] is None, f"leader: {told}")
        plain = run_ok("leader", cluster=cluster)
        check(plain.startswith(f"{LEADER_ROLE} {leader.id} ".encode()) and b"since" not in plain,
              f"it says {plain!r}")
        table = run_ok("leader", "-o", "table", cluster=cluster).split()
        check(table[-1] == b"-", f"the table says {table}")
    finally:
        for node in dead:
            node.start()
    wait_until(lambda: json.loads(run_ok("leader", "-o", "json", cluster=cluster))["since"], 20,
               "since when it leads")
    return plain.decode().strip()


def one_dead(cluster):
    """What is dead is shown as unreachable soon; the rest works; only the dead learner cannot be
    asked."""
    dead = [cluster.node("acceptor", 3), cluster.node("learner", 2)]

    def silent():
        # In Raft mode the dead acceptor may have been the leader: then status says for a moment
        # that nobody leads, and ends with 2.
        status, out, err = command("status", "-o", "json", cluster=cluster)
        check(status in (DONE, UNAVAILABLE), f"synod status ended with {status}: {err!r}")
        if status != DONE:
            return None
        nodes = json.loads(out)["nodes"]
        return {(node["role"], node["id"]) for node in nodes if not node["reachable"]}
    for node in dead:
        node.kill()
    try:
        begin = time.monotonic()
        wait_until(lambda: silent() == {("acceptor", 3), ("learner", 2)}, 5,
                   "acceptor 3 and learner 2, and only these, to be shown as unreachable")
        seconds = time.monotonic() - begin
        run_ok("append", "without them", cluster=cluster)
        expect(UNAVAILABLE, "read", "--learner", "2", "--timeout", "500ms", cluster=cluster)
    finally:
        for node in dead:
            node.start()
    run_ok("read", "--learner", "2", "--from", "1", "--count", "1", cluster=cluster)
    return f"shown after {seconds:.1f} s"


# ---- what is refused

def bad_words(cluster):
    """Bad options and arguments end with 3 and a sentence."""
    nothing = {"SYNOD_CLUSTER": ""}
    expect(USAGE, "apend", "x", words=("append",))
    expect(USAGE, "read", "--frm", "1", words=("--frm",), cluster=cluster)
    expect(USAGE, "read", "--from", "first", words=("--from", "first"), cluster=cluster)
    expect(USAGE, "read", "--from", "0", cluster=cluster)
    for verb in ("read", "tail", "bench", "status", "leader", "explain"):
        expect(USAGE, verb, "now", words=("no arguments", '"now" is too much'), cluster=cluster)
    for verb in ("dev", "init"):
        expect(USAGE, verb, "now", words=("options only", '"now" is too much'))
    expect(USAGE, "read", "--from", cluster=None)
    expect(USAGE, "read", "-o", "xml", words=("xml",), cluster=cluster)
    expect(USAGE, "append", "x", "--timeout", "10", words=("--timeout",), cluster=cluster)
    expect(USAGE, "append", "--learner", "9", "x", words=("learner 9",), cluster=cluster)
    expect(USAGE, "append", "--file", "/nowhere", words=("/nowhere",), cluster=cluster)
    expect(USAGE, "append", "--file", "/nowhere", "x", cluster=cluster)
    expect(USAGE, "bench", "--size", str(RECORD_BYTES_MAX + 1), cluster=cluster)
    expect(USAGE, "bench", "--outstanding", "0", cluster=cluster)
    expect(USAGE, "dev", "--acceptors", "0")
    expect(USAGE, "dev", "--protocol", "zab", words=("zab",))
    expect(USAGE, "init", words=("--dir",))
    expect(USAGE, "init", "--dir", cluster.directory, words=("cluster.yml",))
    expect(USAGE, "append", "x", environment=nothing)
    return expect(USAGE, "append", "x", "--cluster", "/nowhere/cluster.yml", words=("/nowhere",))


def words_with_escapes(cluster):
    """A sentence that quotes what was typed moves no cursor and is one line, whatever was typed."""
    odd = "\x1b[2J\r\nerror: \x07\x7f\u009bx\u00fc"
    shown = r"\x1b[2J\x0d\x0aerror: \x07\x7f\xc2\x9bx" + "\u00fc"
    refused = [
        [odd], ["help", odd], ["lease", odd], ["get", "a", "b", odd], ["append", f"--{odd}"],
        ["append", "--file", f"/nowhere/{odd}"], ["txn", f"/nowhere/{odd}"],
        ["get", odd], ["read", "--from", odd], ["read", "-o", odd], ["read", "--timeout", odd],
        ["read", "--consistency", odd], ["init", "--dir", f"/proc/{odd}/x"], ["dev", f"--{odd}"],
        ["dev", "--oracle", odd], ["oracle", "set", odd], ["oracle", "zone", f"1={odd}"],
        ["oracle", "set", "static", "--order", odd], ["lock", "odd", "--", f"/nowhere/{odd}"],
        ["status", "--cluster", f"/nowhere/{odd}"]]
    runs = [[SYNOD, *words] for words in refused]
    runs.append([os.path.join(BUILD, "synod-acceptor"), "--id", odd])
    for arguments in runs:
        process = spawn(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, env=dict(os.environ, SYNOD_CLUSTER=cluster.config))
        out, err = process.communicate(timeout=60 * SLOWER)
        text = err.decode()
        check(process.returncode != DONE and out == b"" and text.startswith("error: "),
              f"{arguments}: {process.returncode} {out!r} {text!r}")
        check(text.count("\n") == 1 and text.endswith("\n") and text[:-1].isprintable(),
              f"{arguments} says {text!r}")
        check(shown[:14] in text, f"{arguments} does not quote it: {text!r}")
    check(shown in text, f"it says {text!r}")
    return f"{len(runs)} commands, the last: {text.strip()}"


def bad_config(cluster):
    """A client finds a mistake in cluster.yml as a daemon does: file, line and key."""
    path = f"{cluster.directory}/bad.yml"
    shutil.copy(cluster.config, path)
    rewrite(path, lambda text: text.replace("timing: {", "timing: { hartbeat_ms: 5,"))
    return expect(USAGE, "status", "--cluster", path, words=(path + ":", "hartbeat_ms"))


def helps():
    """Every verb has a help; it and the list of verbs go to standard output, with 0."""
    status, out, err = command("--help")
    check(status == DONE and out and not err, f"--help: {status} {err!r}")
    verbs = ["dev", "init", "append", "read", "tail", "status", "leader", "bench"]
    for verb in verbs:
        check(f"  {verb} ".encode() in out, f"--help does not list {verb}")
        status, text, err = command(verb, "--help")
        check(status == DONE and text.startswith(b"usage: synod " + verb.encode()) and not err,
              f"{verb} --help: {status} {text[:80]!r} {err!r}")


def full_outputs():
    """What was asked for and could not be written is a failure of every program, with a sentence."""
    names = ["synod", "synod-acceptor", "synod-proposer", "synod-learner", "synod-sim",
             "synod-oracle-queue"]
    programs = {name: os.path.join(BUILD, name) for name in names}
    with tempfile.TemporaryDirectory() as directory:
        commands = [[programs[name], "--help"] for name in names]
        commands += [[programs[name], "--version"] for name in names[:4]]
        commands += [[SYNOD, *words] for words in (
            ["help"], ["help", "put"], ["put", "--help"], ["lease", "--help"], ["dev", "-h"],
            ["lease", "grant", "--help"], ["init", "--dir", f"{directory}/cluster"])]
        commands += [[programs["synod-sim"], "--seed", "1", "--minutes", "0.5"],
                     [programs["synod-sim"], "--seeds", "1..2", "--minutes", "0.5"]]
        for arguments in commands:
            with open("/dev/full", "wb") as full:
                process = spawn(arguments, stdin=subprocess.DEVNULL, stdout=full,
                                stderr=subprocess.PIPE)
                _, err = process.communicate(timeout=60 * SLOWER)
            what = " ".join(os.path.basename(word) for word in arguments)
            check(process.returncode == FAILED, f"{what}: {process.returncode} {err!r}")
            check(err.startswith(b"error: standard output cannot be written (No space left on device)"
                                 b"; try: ") and err.count(b"\n") == 1, f"{what} says {err!r}")
    return f"{len(commands)} commands"


def interrupted(cluster):
    """Ctrl-C while it waits for input: what was acknowledged is said, and 5."""
    process = spawn([SYNOD, "append", "--cluster", cluster.config], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        check(process.returncode == INTERRUPTED, f"exit status {process.returncode}: {err!r}")
        check(b"2 records are acknowledged" in err, f"it says {err!r}")
    finally:
        process.kill()
        process.wait()
    return err.decode().strip()


def broken_outputs(cluster):
    """A full destination is an error; a reader that went away is not worth a word."""
    with open("/dev/full", "wb") as full:
        process = spawn([SYNOD, "read", "--from", "1", "--cluster", cluster.config], stdout=full,
                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=20)
    check(process.returncode == FAILED and err.startswith(b"error: "),
          f"/dev/full: {process.returncode} {err!r}")
    process = spawn([SYNOD, "read", "--from", "1", "--cluster", cluster.config],
                    stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    err = process.stderr.read()
    check(process.wait(20) in (DONE, FAILED) and err == b"", f"{process.returncode} {err!r}")


def no_quorum(cluster):
    """Without a quorum an append and a linearizable read end with 2; a local read works."""
    stopped = cluster.members("acceptor")[:2]
    for node in stopped:
        node.signal(signal.SIGSTOP)
    try:
        sentence = expect(UNAVAILABLE, "append", "x", "--timeout", "1s", cluster=cluster)
        expect(UNAVAILABLE, "read", "--from", "1", "--count", "1", "--timeout", "1s", cluster=cluster)
        out = run_ok("read", "--from", "1", "--count", "1", "--consistency", "local", cluster=cluster)
        check(out, "a local read answered nothing")
    finally:
        for node in stopped:
            node.signal(signal.SIGCONT)
    wait_until(lambda: command("append", "again", "--timeout", "1s", cluster=cluster)[0] == DONE, 10,
               "an append after the quorum came back")
    return sentence


def nobody_there(cluster):
    """No cluster running: 2, within the timeout that was asked for."""
    for arguments in (["append", "x"], ["read"], ["tail"], ["leader"], ["status"], ["bench"]):
        expect(UNAVAILABLE, *arguments, "--timeout", "300ms", cluster=cluster)
    for verb in ("leader", "status", "transfer"):
        expect(UNAVAILABLE, verb, "--timeout", "300ms", words=("try: synod explain",),
               cluster=cluster)
    return expect(UNAVAILABLE, "append", "x", "--timeout", "300ms", cluster=cluster)


def dev():
    """`synod dev` says where its processes are, serves, and removes everything at the end."""
    process = spawn([SYNOD, "dev", "--acceptors", "1", "--proposers", "1", "--learners", "1"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines = [process.stdout.readline().decode() for _ in range(4)]
        names = [line.split("  pid ")[0] for line in lines[:3]]
        check(names == ["acceptor 1", "proposer 1", "learner 1"], f"it says {lines}")
        check(lines[3].startswith("ready "), f"it says {lines}")
        config = lines[3].split()[1]
        status, out, err = command("append", "x", "--cluster", config)
        check((status, out) == (DONE, b"1\n"), f"append: {status} {err!r}")
        pids = [int(line.split("  pid ")[1].split()[0]) for line in lines[:3]]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        check(process.returncode in (DONE, INTERRUPTED), f"exit status {process.returncode}")
        check(not os.path.exists(config), f"{config} is still there")
        check(not any(os.path.exists(f"/proc/{pid}") for pid in pids), "a daemon outlived it")
    finally:
        process.kill()
        process.wait()


def two_clients(cluster):
    """Two loads at once are merged into one order, the same at both learners."""
    loads = [Load(cluster, "left"), Load(cluster, "right")]
    for load in loads:
        load.wait_for_more()
    for load in loads:
        load.stop()
    logs = [read_log(cluster, learner) for learner in cluster.members("learner")]
    check(logs[0] == logs[1], "the learners differ")
    at = dict(logs[0])
    for load in loads:
        check(all(at[index] == load.record(n) for n, index in enumerate(load.indexes)),
              f"load {load.tag} is not where it was said to be")


def run(report):
    report.test("every verb has its help", helps)
    report.test("output that cannot be written ends with 1, of every program", full_outputs)
    report.test("synod dev starts, serves and cleans up", dev)
    with Cluster(name="commands") as cluster:
        for what, function in (
                ("empty, binary and UTF-8 records go through unchanged", odd_records),
                ("random bytes go through unchanged", random_bytes),
                ("arguments are records", arguments_as_records),
                ("a last line without newline is a record", no_final_newline),
                ("a record of 1 MiB goes through", largest_record),
                ("a record of one byte more is refused, and the limit named", too_large),
                ("append --file, with a summary", from_file),
                ("tail --follow prints what is appended, and ends with 5", follow),
                ("two clients at once, one order", two_clients),
                ("every verb answers JSON", json_forms),
                ("bad options and arguments end with 3", bad_words),
                ("what was typed is quoted without its control characters", words_with_escapes),
                ("a mistake in cluster.yml ends with 3, file, line and key", bad_config),
                ("Ctrl-C ends with 5", interrupted),
                ("output that nobody takes", broken_outputs),
                ("unreachable members are shown, and a pinned one that is dead ends with 2", one_dead),
                ("leader without a learner says nothing of since when", without_learners),
                ("no quorum ends with 2, and local reads go on", no_quorum)):
            report.test(what, lambda function=function: function(cluster))
        cluster.kill_all()
        report.test("no cluster at all ends with 2", lambda: nobody_there(cluster))
