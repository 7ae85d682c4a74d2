"""The verbs on keys, transactions, watches and leases against a real cluster: every answer in every
form, every refusal with its sentence and exit status, and what they promise while processes die."""

import ast
import base64
import json
import os
import signal
import subprocess
import threading
import time

from cluster import SYNOD, Cluster, Failure, check, command, spawn, wait_until
from commands import DONE, FAILED, INTERRUPTED, UNAVAILABLE, USAGE, expect, run_ok

VALUE_BYTES_MAX = 1 << 20
KEY_BYTES_MAX = 4096
TXN_OPS_MAX = 128


def text(*arguments, cluster, stdin=b""):
    """What a command prints, without the last newline."""
    return run_ok(*arguments, cluster=cluster, stdin=stdin).decode().removesuffix("\n")


def parsed(*arguments, cluster, stdin=b""):
    """The one object that a command prints as JSON."""
    lines = run_ok(*arguments, "-o", "json", cluster=cluster, stdin=stdin).splitlines()
    check(len(lines) == 1, f"synod {arguments[0]} -o json prints {len(lines)} lines")
    return json.loads(lines[0])


def rows(*arguments, cluster):
    return [json.loads(line)
            for line in run_ok(*arguments, "-o", "json", cluster=cluster).splitlines()]


def put(cluster, key, value, *options):
    """Answers the revision."""
    return int(text("put", key, value, *options, cluster=cluster))


def bytes_of(item, name):
    if name in item:
        return item[name].encode()
    return base64.b64decode(item[name + "_base64"], validate=True)


def keys_of(answer):
    return [bytes_of(kv, "key").decode() for kv in answer["kvs"]]


def expect_input(status, *arguments, stdin, words=(), cluster):
    """As expect, with a standard input."""
    got, _, err = command(*arguments, cluster=cluster, stdin=stdin)
    said = err.decode(errors="replace")
    check(got == status, f"synod {' '.join(arguments)}: exit status {got} and not {status}: {said}")
    check(said.startswith("error: ") and "try: " in said, f"no sentence with a way out: {said!r}")
    for word in words:
        check(word in said, f'"{word}" is missing in: {said}')
    return said.strip()


# ---- puts, gets, deletes

def put_and_get(cluster):
    """Revision, create and mod revision, version and lease are what etcd would say."""
    first = put(cluster, "pg/a", "one")
    second = put(cluster, "pg/a", "two")
    check(second == first + 1, f"two puts have the revisions {first} and {second}")
    check(text("get", "pg/a", cluster=cluster) == "two", "get prints another value")
    answer = parsed("get", "pg/a", cluster=cluster)
    check(answer["revision"] >= second and answer["count"] == 1 and answer["more"] is False,
          f"{answer}")
    check(answer["kvs"] == [{"key": "pg/a", "value": "two", "create_revision": first,
                             "mod_revision": second, "version": 2, "lease": 0}], f"{answer}")
    check(text("get", "pg/a", "--rev", str(first), cluster=cluster) == "one", "the old revision")
    before = parsed("put", "pg/a", "three", "--prev-kv", cluster=cluster)
    check(before["previous"]["value"] == "two" and before["revision"] == second + 1, f"{before}")
    check(text("put", "pg/a", "four", "--prev-kv", cluster=cluster) ==
          f"{second + 2}\npg/a\nthree", "put --prev-kv")
    check(text("get", "pg/a", "--consistency", "local", "--learner", "1", cluster=cluster) in
          ("three", "four"), "a local read")
    table = text("get", "pg/a", "-o", "table", cluster=cluster).splitlines()
    check(table[0].split() == ["CREATE", "MOD", "VERSION", "LEASE", "KEY", "VALUE"], f"{table}")
    check(table[1].split() == [str(first), str(second + 2), "4", "0", "pg/a", "four"], f"{table}")


def any_bytes(cluster):
    """A value keeps every byte; what is not UTF-8 is base64 in JSON."""
    for value in (b"", b"\n", b"a\n", b"\0", b"\xff\xfe", bytes(range(256)), os.urandom(5000),
                  b"x" * VALUE_BYTES_MAX):
        run_ok("put", "bytes", cluster=cluster, stdin=value)
        check(run_ok("get", "bytes", cluster=cluster) == value + b"\n", f"value {value[:20]!r}")
        check(run_ok("get", "bytes", "--null", cluster=cluster) == value + b"\0", "with --null")
        kv = parsed("get", "bytes", cluster=cluster)["kvs"][0]
        check(bytes_of(kv, "value") == value, f"value {value[:20]!r} as JSON")
    check(put(cluster, "Schlüssel 漢字", "") > 0, "a key in UTF-8")
    check(parsed("get", "Schlüssel 漢字", cluster=cluster)["kvs"][0]["key"] == "Schlüssel 漢字", "it")
    put(cluster, "k" * KEY_BYTES_MAX, "long")
    check(text("get", "k" * KEY_BYTES_MAX, cluster=cluster) == "long", "the longest key")


def put_options(cluster):
    lease = text("lease", "grant", "5m", cluster=cluster)
    put(cluster, "po/a", "1", "--lease", lease)
    run_ok("put", "po/a", "2", "--ignore-lease", cluster=cluster)
    kv = parsed("get", "po/a", cluster=cluster)["kvs"][0]
    check(kv["value"] == "2" and kv["lease"] == int(lease), f"--ignore-lease: {kv}")
    run_ok("put", "po/a", "--ignore-value", cluster=cluster)
    kv = parsed("get", "po/a", cluster=cluster)["kvs"][0]
    check(kv["value"] == "2" and kv["lease"] == 0, f"--ignore-value: {kv}")
    expect(FAILED, "put", "po/none", "--ignore-value", cluster=cluster)
    expect(FAILED, "put", "po/none", "x", "--ignore-lease", cluster=cluster)
    names = [text("put", "po/seq/", str(i), "--sequential", cluster=cluster) for i in range(5)]
    check(names == sorted(names) and all(len(n) == len("po/seq/") + 24 for n in names), f"{names}")
    check(keys_of(parsed("get", "--prefix", "po/seq/", cluster=cluster)) == names, "their order")


def ranges(cluster):
    for beyond in ("q/before", "r", "r0", "s/behind"):
        put(cluster, beyond, "")
    for i, name in enumerate("cabed"):
        put(cluster, f"r/{name}", str(i))
    put(cluster, "r/a", "9")
    whole = ["r/a", "r/b", "r/c", "r/d", "r/e"]
    for arguments, expected in (
            (("--prefix", "r/"), whole), (("r/b", "r/d"), ["r/b", "r/c"]), (("r/x", "r/z"), []),
            (("--prefix", "r/", "--order", "desc"), whole[::-1]),
            (("--prefix", "r/", "--sort-by", "create"), ["r/c", "r/a", "r/b", "r/e", "r/d"]),
            (("--prefix", "r/", "--sort-by", "modify", "--order", "desc"),
             ["r/a", "r/d", "r/e", "r/b", "r/c"]),
            (("--prefix", "r/", "--sort-by", "value", "--limit", "2"), ["r/c", "r/b"])):
        answer = parsed("get", *arguments, cluster=cluster)
        check(keys_of(answer) == expected, f"get {arguments}: {keys_of(answer)}")
    answer = parsed("get", "--prefix", "r/", "--limit", "2", cluster=cluster)
    check((answer["count"], answer["more"], len(answer["kvs"])) == (5, True, 2), f"{answer}")
    check(text("get", "--prefix", "r/", "--count-only", cluster=cluster) == "5", "--count-only")
    check(text("get", "--prefix", "r/", "--keys-only", cluster=cluster) == "\n".join(whole), "keys")
    check(text("get", "--prefix", "r/", "--print-value-only", cluster=cluster) == "9\n2\n0\n4\n3",
          "values")
    check(text("range", "r/d", "r/z", cluster=cluster) == "r/d\n4\nr/e\n3", "range")
    check("r/e" in text("range", "r/e", cluster=cluster), "range without an end")
    check(keys_of(parsed("range", cluster=cluster)) ==
          keys_of(parsed("get", "", "--prefix", cluster=cluster)), "all keys")
    kv = parsed("get", "r/b", cluster=cluster)["kvs"][0]
    new = keys_of(parsed("get", "--prefix", "r/", "--min-mod", str(kv["mod_revision"] + 1),
                         cluster=cluster))
    check(new == ["r/a", "r/d", "r/e"], f"--min-mod: {new}")
    old = keys_of(parsed("get", "--prefix", "r/", "--max-create", str(kv["create_revision"]),
                         cluster=cluster))
    check(old == ["r/a", "r/b", "r/c"], f"--max-create: {old}")


def large_ranges(cluster):
    """Larger than an answer: a range of any order has any size, what changes something has not."""
    whole = [f"l/{name}" for name in "abcdefgh"]
    for i, name in enumerate(whole):
        put(cluster, name, f"{i * 5 % 8}" + "x" * 120000)
    for name in whole[::2]:
        run_ok("put", name, cluster=cluster, stdin=b"9" * 900000)
    by_mod = whole[1::2] + whole[::2]
    for arguments, expected in (
            (("--order", "desc"), whole[::-1]), (("--sort-by", "modify"), by_mod),
            (("--sort-by", "modify", "--order", "desc", "--limit", "5"), by_mod[:-6:-1]),
            (("--sort-by", "version", "--order", "desc"), whole[::2] + whole[1::2]),
            (("--sort-by", "value"), ["l/f", "l/h", "l/b", "l/d"] + whole[::2]),
            (("--sort-by", "value", "--order", "desc", "--limit", "4", "--keys-only"), whole[::2])):
        answer = parsed("range", "--prefix", "l/", *arguments, cluster=cluster)
        check(keys_of(answer) == expected, f"range {arguments}: {keys_of(answer)}")
        check(answer["count"] == 8 and answer["more"] == (len(expected) < 8), f"{arguments}: counts")
    sentence = expect(FAILED, "del", "--prefix", "l/", "--prev-kv", words=("too large",),
                      cluster=cluster)
    expect_input(FAILED, "txn", stdin=b"\nget --prefix l/\n", words=("too large",), cluster=cluster)
    check(text("del", "--prefix", "l/", cluster=cluster) == "8", "a refused del has deleted")
    return sentence


def deletes(cluster):
    for name in "abc":
        put(cluster, f"d/{name}", name)
    check(text("del", "d/none", cluster=cluster) == "0", "del of nothing prints another number")
    check(text("del", "d/a", "--prev-kv", cluster=cluster) == "1\nd/a\na", "del --prev-kv")
    answer = parsed("del", "--prefix", "d/", "--prev-kv", cluster=cluster)
    check(answer["deleted"] == 2 and [kv["key"] for kv in answer["previous"]] == ["d/b", "d/c"],
          f"{answer}")
    sentence = expect(FAILED, "get", "d/a", words=("no such key",), cluster=cluster)
    check(run_ok("get", "--prefix", "d/", cluster=cluster) == b"", "no key of a range is no failure")
    return sentence


# ---- transactions

MOVE = b"""value("t/from") = "x"
version("t/to") = 0

put t/to x --prev-kv
del t/from
get --prefix t/

get t/from
"""


def txn_text(cluster):
    """The compares decide, the path taken is executed as one, and the other is not."""
    put(cluster, "t/from", "x")
    before = parsed("get", "t/from", cluster=cluster)["revision"]
    out = text("txn", cluster=cluster, stdin=MOVE)
    check(out == "SUCCESS\n\nOK\n\n1\n\nt/to\nx", f"{out!r}")
    after = parsed("get", "t/to", cluster=cluster)
    check(after["kvs"][0]["mod_revision"] == before + 1, f"it took more than one revision: {after}")
    out = run_ok("txn", cluster=cluster, stdin=MOVE)
    check(out == b"FAILURE\n\n", f"a second move: {out!r}")
    path = f"{cluster.directory}/txn.txt"
    with open(path, "wb") as file:
        file.write(b'mod("t/to") > "0"\n\nput t/two "2 words"\n')
    check(text("txn", path, cluster=cluster) == "SUCCESS\n\nOK", "from a file")
    check(text("get", "t/two", cluster=cluster) == "2 words", "a quoted value")
    for compare, holds in (('mod("t/none") > "-1"', True), ('version("t/to") < "-1"', False),
                           ('create("t/to") != "-1"', True), ('lease("t/to") > "-1"', True)):
        answer = parsed("txn", cluster=cluster, stdin=compare.encode() + b"\n")
        check(answer["succeeded"] is holds, f"{compare}: {answer}")
    check(parsed("txn", cluster=cluster, stdin=b"")["succeeded"] is True, "an empty transaction")


def txn_json(cluster):
    """Nested transactions, ranges of keys in compares, and any bytes."""
    nested = {"compare": [{"key": "j/", "prefix": True, "target": "create", "relation": "=",
                           "number": 0}],
              "then": [{"put": {"key_base64": base64.b64encode(b"j/\xff").decode(),
                                "value": "a\0b"}},
                       {"txn": {"compare": [{"key": "j/x", "target": "version", "relation": ">",
                                             "number": 0}],
                                "then": [{"put": {"key": "j/wrong", "value": ""}}],
                                "else": [{"put": {"key": "j/right", "value": "r"}},
                                         {"range": {"key": "j/", "prefix": True}}]}}],
              "else": [{"delete": {"key": "j/", "prefix": True, "previous": True}}]}
    stdin = json.dumps(nested).encode()
    answer = parsed("txn", "--json", cluster=cluster, stdin=stdin)
    check(answer["succeeded"] and [r["op"] for r in answer["responses"]] == ["put", "txn"],
          f"{answer}")
    inner = answer["responses"][1]
    check(not inner["succeeded"] and [r["op"] for r in inner["responses"]] == ["put", "range"],
          f"{answer}")
    kvs = inner["responses"][1]["kvs"]
    check([bytes_of(kv, "key") for kv in kvs] == [b"j/right", b"j/\xff"], f"{kvs}")
    check(bytes_of(kvs[1], "value") == b"a\0b", f"{kvs}")
    check({kv["mod_revision"] for kv in kvs} == {answer["revision"]}, "one revision for all")
    answer = parsed("txn", "--json", cluster=cluster, stdin=stdin)
    check(not answer["succeeded"] and answer["responses"][0]["deleted"] == 2, f"{answer}")


def txn_refused(cluster):
    """What a transaction must not be is refused by name, and changes nothing."""
    before = parsed("range", "--count-only", cluster=cluster)["revision"]
    expect_input(USAGE, "txn", stdin=b"\nput x 1\nput x 2\n", cluster=cluster)
    many = b"\n" + b"".join(b"put x%d 1\n" % i for i in range(TXN_OPS_MAX + 1))
    expect_input(USAGE, "txn", stdin=many, words=(str(TXN_OPS_MAX),), cluster=cluster)
    expect_input(USAGE, "txn", stdin=b"mod(x) ~ 1\n", words=("standard input:1",), cluster=cluster)
    expect_input(USAGE, "txn", stdin=b"\nput x\n", words=("standard input:2",), cluster=cluster)
    expect_input(USAGE, "txn", "--json", stdin=b"{", words=("JSON",), cluster=cluster)
    expect_input(USAGE, "txn", "--json", stdin=b'{"then": [{"put": {"kez": "a"}}]}',
                 words=("then[0].put",), cluster=cluster)
    expect_input(FAILED, "txn", stdin=b"\nput x 1\nput y 1 --lease 123456789\n", cluster=cluster)
    expect(USAGE, "txn", "/nowhere", words=("/nowhere",), cluster=cluster)
    after = parsed("range", "--count-only", cluster=cluster)["revision"]
    check(before == after, f"the revision rose from {before} to {after}")
    check(text("get", "x", "--count-only", cluster=cluster) == "0", "half a transaction happened")
    whole = b"\n" + b"".join(b"put m/%03d 1\n" % i for i in range(TXN_OPS_MAX))
    run_ok("txn", cluster=cluster, stdin=whole)
    check(text("get", "--prefix", "m/", "--count-only", cluster=cluster) == str(TXN_OPS_MAX),
          "a transaction of the largest size")


# ---- watches

class Watch:
    """A watch in the background; its lines are collected as they come."""

    def __init__(self, cluster, *arguments):
        self.process = spawn([SYNOD, "watch", *arguments, "-o", "json", "--cluster", cluster.config],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.lines = []
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def events(self):
        return [(row["revision"], event["event"], bytes_of(event, "key").decode())
                for row in list(self.lines) for event in row["events"]]

    def wait_for(self, count, seconds=30):
        def reached():
            check(self.process.poll() is None or len(self.events()) >= count,
                  f"the watch ended: {self.process.returncode}")
            return len(self.events()) >= count
        wait_until(reached, seconds, f"{count} events (there are {len(self.events())})")
        return self.events()

    def stop(self):
        """Ctrl-C; answers the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the watch did not end with Ctrl-C")
        self.thread.join(20)
        return self.process.returncode


def watches(cluster):
    first = put(cluster, "w/a", "1")
    run_ok("txn", cluster=cluster, stdin=b"\nput w/b 2\nput w/c 3\nput v/x 4\n")
    run_ok("del", "w/a", cluster=cluster)
    watch = Watch(cluster, "--prefix", "w/", "--rev", str(first), "--prev-kv")
    events = watch.wait_for(4)
    put(cluster, "w/b", "5")
    events = watch.wait_for(5)
    check(watch.stop() == INTERRUPTED, f"Ctrl-C ended it with {watch.process.returncode}")
    check(events == [(first, "put", "w/a"), (first + 1, "put", "w/b"), (first + 1, "put", "w/c"),
                     (first + 2, "delete", "w/a"), (first + 3, "put", "w/b")], f"{events}")
    last = watch.lines[-1]["events"][0]
    check(last["value"] == "5" and last["previous"]["value"] == "2" and last["version"] == 2,
          f"{last}")
    deleted = [row for row in watch.lines if row["revision"] == first + 2][0]["events"][0]
    check(deleted["previous"]["value"] == "1", f"{deleted}")
    check(all(not row["continued"] for row in watch.lines), "a small revision came in pieces")


def watch_filters(cluster):
    first = put(cluster, "wf/a", "1")
    run_ok("del", "wf/a", cluster=cluster)
    put(cluster, "wf/end", "")
    puts = Watch(cluster, "--prefix", "wf/", "--rev", str(first), "--no-delete")
    deletes_only = Watch(cluster, "wf/", "wf0", "--rev", str(first), "--no-put")
    check([e[1:] for e in puts.wait_for(2)] == [("put", "wf/a"), ("put", "wf/end")], "--no-delete")
    check([e[1:] for e in deletes_only.wait_for(1)] == [("delete", "wf/a")], "--no-put")
    for watch in (puts, deletes_only):
        check(watch.stop() == INTERRUPTED, "Ctrl-C")
    process = spawn([SYNOD, "watch", "wf/a", "--rev", str(first), "--cluster", cluster.config],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines = [process.stdout.readline() for _ in range(6)]
        check(lines == [b"PUT\n", b"wf/a\n", b"1\n", b"DELETE\n", b"wf/a\n", b"\n"], f"{lines}")
    finally:
        process.kill()
        process.wait()


def watch_from_now(cluster):
    """Without --rev a watch tells what comes after it was started, and nothing from before."""
    put(cluster, "wn/before", "")
    watch = Watch(cluster, "--prefix", "wn/")

    def told():
        put(cluster, "wn/after", "")
        return watch.events()
    wait_until(told, 20, "the watch to tell of a put")
    check(watch.stop() == INTERRUPTED, "Ctrl-C")
    check({key for _, _, key in watch.events()} == {"wn/after"}, f"{watch.events()}")


def watch_command(cluster):
    """Each change runs the command once, in order; the first that fails ends the watch."""
    first = put(cluster, "wc/a", "eins")
    run_ok("del", "wc/a", cluster=cluster)
    put(cluster, "wc/stop", "zwei")
    put(cluster, "wc/never", "drei")
    script = 'echo "$SYNOD_EVENT $SYNOD_KEY $SYNOD_REVISION $(cat)"; test "$SYNOD_KEY" != wc/stop'
    process = spawn([SYNOD, "watch", "--prefix", "wc/", "--rev", str(first), "--cluster",
                     cluster.config, "--", "sh", "-c", script], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    check(out.decode().splitlines() == [f"put wc/a {first} eins", f"delete wc/a {first + 1} ",
                                        f"put wc/stop {first + 2} zwei"], f"{out!r}")
    check(process.returncode == 1 and f"--rev {first + 2}".encode() in err,
          f"{process.returncode} {err!r}")
    status, _, err = command("watch", "wc/a", "--rev", str(first), "--cluster", cluster.config, "--",
                             "/nowhere")
    check(status == 127 and b"/nowhere" in err, f"{status} {err!r}")


def watch_command_keys(cluster):
    """The command gets every key whole: a variable ends at a zero byte, so that a key with one is in
    SYNOD_KEY_BASE64 only, which is always there."""
    keys = (b"wb/plain", b"wb/a\0b", b"wb/\xff\n", b"wb/" + b"k" * (KEY_BYTES_MAX - 3), b"wb/stop")
    revisions = []
    for key in keys:
        request = {"then": [{"put": {"key_base64": base64.b64encode(key).decode(), "value": ""}}]}
        revisions.append(parsed("txn", "--json", cluster=cluster,
                                stdin=json.dumps(request).encode())["revision"])
    script = ("import os; print([os.environb.get(name) for name in "
              "(b'SYNOD_KEY', b'SYNOD_KEY_BASE64')], flush=True); "
              "raise SystemExit(os.environ.get('SYNOD_KEY') == 'wb/stop')")
    _, out, err = command("watch", "--prefix", "wb/", "--rev", str(revisions[0]), "--cluster",
                          cluster.config, "--", "python3", "-c", script,
                          environment={"SYNOD_KEY": "of the caller"})
    told = [ast.literal_eval(line) for line in out.decode().splitlines()]
    check(told == [[None if b"\0" in key else key, base64.b64encode(key)] for key in keys],
          f"{str(told)[:300]} {err!r}")


def watch_through_kills(cluster, changes=150):
    """A watch tells every change once, in order, while learners and leaders are killed under it."""
    first = put(cluster, "wk/0", "")
    watch = Watch(cluster, "--prefix", "wk/", "--rev", str(first))
    victims = [cluster.node("learner", 1), cluster.leader(), cluster.node("learner", 2)]
    for i in range(1, changes):
        run_ok("put", f"wk/{i}", "", cluster=cluster)
        if i % 50 == 25:
            victim = victims[i // 50]
            victim.kill()
            run_ok("put", "wk/dead", "", cluster=cluster)
            victim.start()
    events = watch.wait_for(changes + changes // 50, 60)
    check(watch.stop() == INTERRUPTED, "Ctrl-C")
    revisions = [event[0] for event in events]
    check(revisions == sorted(set(revisions)), "events twice, or out of order")
    check([key for _, _, key in events if key != "wk/dead"] == [f"wk/{i}" for i in range(changes)],
          "events are missing")
    return f"{len(events)} events"


# ---- compaction

def compaction(cluster):
    first = put(cluster, "c/a", "1")
    second = put(cluster, "c/a", "2")
    third = put(cluster, "c/a", "3")
    check(parsed("compact", str(second), cluster=cluster) == {"compacted": second}, "compact")
    sentence = expect(FAILED, "get", "c/a", "--rev", str(first), words=("compact",), cluster=cluster)
    expect(FAILED, "compact", str(first), words=("compact",), cluster=cluster)
    expect(FAILED, "compact", str(third + 1000), cluster=cluster)
    expect(FAILED, "get", "c/a", "--rev", str(third + 1000), cluster=cluster)
    expect(FAILED, "watch", "c/a", "--rev", str(first), words=("compact",), cluster=cluster)
    check(text("get", "c/a", "--rev", str(second), cluster=cluster) == "2", "the one that is kept")
    check(text("get", "c/a", cluster=cluster) == "3", "the newest")
    expect(USAGE, "compact", "-1", words=('REV: "-1"',), cluster=cluster)
    expect(USAGE, "compact", "now", words=("now",), cluster=cluster)
    return sentence


# ---- leases

def leases(cluster):
    lease = text("lease", "grant", "5m", cluster=cluster)
    check(lease.isdigit() and int(lease) > 0, f"the id is {lease!r}")
    answer = parsed("lease", "grant", "2m", "--id", "4711", cluster=cluster)
    check(answer == {"lease": 4711, "ttl_ms": 120000}, f"{answer}")
    expect(FAILED, "lease", "grant", "2m", "--id", "4711", words=("or 0",), cluster=cluster)
    given = text("lease", "grant", "2m", "--id", "0", cluster=cluster)
    check(given not in ("0", "4711", lease), f"--id 0 gave {given}")
    put(cluster, "l/a", "", "--lease", "4711")
    put(cluster, "l/b", "", "--lease", "4711")
    ttl = parsed("lease", "ttl", "4711", "--keys", cluster=cluster)
    check(ttl["ttl_ms"] == 120000 and 0 < ttl["left_ms"] <= 120000, f"{ttl}")
    check([bytes_of(key, "key") for key in ttl["keys"]] == [b"l/a", b"l/b"], f"{ttl}")
    plain = text("lease", "ttl", "4711", "--keys", cluster=cluster).splitlines()
    check(plain[0].startswith("4711  120s  ") and plain[1:] == ["l/a", "l/b"], f"{plain}")
    listed = rows("lease", "list", cluster=cluster)
    check({int(lease), 4711} <= {row["lease"] for row in listed}, f"{listed}")
    left = parsed("lease", "keepalive", "4711", "--once", cluster=cluster)
    check(left["lease"] == 4711 and 100000 < left["left_ms"] <= 120000, f"{left}")
    run_ok("lease", "revoke", "4711", cluster=cluster)
    check(text("get", "--prefix", "l/", "--count-only", cluster=cluster) == "0", "keys outlived it")


def no_such_lease(cluster):
    """An unknown lease is an error, never a new one."""
    for arguments in (("lease", "revoke", "999"), ("lease", "ttl", "999"),
                      ("lease", "keepalive", "999"), ("lease", "keepalive", "999", "--once"),
                      ("put", "nl", "x", "--lease", "999")):
        sentence = expect(FAILED, *arguments, cluster=cluster)
    check(text("get", "nl", "--count-only", cluster=cluster) == "0", "the key was put")
    expect(FAILED, "lease", "ttl", "999", cluster=cluster)
    return sentence


def lease_ends(cluster):
    """A lease that nobody keeps alive ends, and its keys are deleted, which a watch sees; one that is
    kept alive outlives its TTL and a change of leader."""
    kept = text("lease", "grant", "2s", cluster=cluster)
    first = put(cluster, "le/kept", "", "--lease", kept)
    keeper = spawn([SYNOD, "lease", "keepalive", kept, "--cluster", cluster.config],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        check(keeper.stdout.readline().strip().endswith(b"s"), "it says nothing of what is left")
        dropped = text("lease", "grant", "1s", cluster=cluster)
        put(cluster, "le/dropped", "", "--lease", dropped)
        watch = Watch(cluster, "--prefix", "le/", "--rev", str(first), "--no-put")
        check([e[1:] for e in watch.wait_for(1)] == [("delete", "le/dropped")], "another key ended")
        leader = cluster.leader()
        leader.kill()
        cluster.leader()
        leader.start()
        time.sleep(4)  # twice the TTL of the one that is kept, by the cluster's clock at last
        check(keeper.poll() is None, f"the keeper ended: {keeper.returncode}")
        check(text("get", "le/kept", "--count-only", cluster=cluster) == "1", "the kept key is gone")
        keeper.send_signal(signal.SIGINT)
        check(keeper.wait(20) == INTERRUPTED, f"Ctrl-C ended it with {keeper.returncode}")
        check([e[2] for e in watch.wait_for(2)] == ["le/dropped", "le/kept"], "the kept lease goes on")
        watch.stop()
    finally:
        keeper.kill()
        keeper.wait()


def keeper_loses(cluster):
    """A keeper whose lease is revoked says so and ends with 1."""
    lease = text("lease", "grant", "2s", cluster=cluster)
    keeper = spawn([SYNOD, "lease", "keepalive", lease, "--cluster", cluster.config],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        keeper.stdout.readline()
        run_ok("lease", "revoke", lease, cluster=cluster)
        _, err = keeper.communicate(timeout=30)
        check(keeper.returncode == FAILED and b"is lost" in err, f"{keeper.returncode} {err!r}")
    finally:
        keeper.kill()
        keeper.wait()
    return err.decode().strip()


# ---- exactly once

def counters(cluster, clients=3, each=25):
    """Increments by several clients while leaders are killed add up exactly."""
    put(cluster, "counter", "0")
    script = ("i=0; while [ $i -lt %d ]; do v=$(%s get counter) || exit 1; printf 'value(counter) = "
              "\"%%s\"\\n\\nput counter %%s\\n' $v $((v + 1)) | %s txn | grep -q SUCCESS && "
              "i=$((i + 1)); done" % (each, SYNOD, SYNOD))
    environment = dict(os.environ, SYNOD_CLUSTER=cluster.config)
    processes = [spawn(["sh", "-c", script], env=environment, stdin=subprocess.DEVNULL,
                       stderr=subprocess.PIPE) for _ in range(clients)]
    try:
        kills = 0
        while any(process.poll() is None for process in processes) and kills < 4:
            leader = cluster.leader()
            leader.kill()
            cluster.leader()
            leader.start()
            kills += 1
        for process in processes:
            _, err = process.communicate(timeout=120)
            check(process.returncode == 0, f"a client failed: {err!r}")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    value = text("get", "counter", cluster=cluster)
    check(value == str(clients * each), f"{clients * each} increments came to {value}")
    return f"{value} increments, {kills} leaders killed"


# ---- what is refused

def bad_words(cluster):
    expect(USAGE, "put", words=("a key",), cluster=cluster)
    expect(USAGE, "put", "", "x", words=("at least one byte",), cluster=cluster)
    expect(USAGE, "put", "k" * (KEY_BYTES_MAX + 1), "x", words=(str(KEY_BYTES_MAX),), cluster=cluster)
    expect_input(USAGE, "put", "k", stdin=b"x" * (VALUE_BYTES_MAX + 1),
                 words=(str(VALUE_BYTES_MAX),), cluster=cluster)
    expect(USAGE, "get", "", cluster=cluster)
    expect(USAGE, "get", "k" * (KEY_BYTES_MAX + 1), words=(str(KEY_BYTES_MAX),), cluster=cluster)
    expect(USAGE, "get", "a", "--prefix", "--from-key", words=("exclude",), cluster=cluster)
    expect(USAGE, "get", "a", "--rev", "-1", words=("--rev",), cluster=cluster)
    expect(USAGE, "get", "a", "--sort-by", "size", words=("size",), cluster=cluster)
    expect(USAGE, "lease", words=("grant",))
    expect(USAGE, "lease", "grnat", "5s", words=("did you mean grant",))
    expect(USAGE, "lease", "grant", words=("TTL",), cluster=cluster)
    expect(USAGE, "lease", "grant", "10", words=("TTL",), cluster=cluster)
    expect(USAGE, "lease", "grant", "0s", words=("TTL",), cluster=cluster)
    expect(USAGE, "lease", "grant", "-5", words=('TTL: "-5"',), cluster=cluster)
    expect(USAGE, "lease", "grant", "-5s", words=('TTL: "-5s"', "from 1ms"), cluster=cluster)
    expect(USAGE, "lease", "revoke", "-5", words=('ID: "-5"',), cluster=cluster)
    expect(USAGE, "work", "renew", "a", "-5", words=('TOKEN: "-5"',), cluster=cluster)
    expect(USAGE, "lease", "grant", "400d", words=("TTL",), cluster=cluster)
    expect(USAGE, "lease", "revoke", "x", cluster=cluster)
    expect(USAGE, "watch", cluster=cluster)
    for end in ("a", "z", "zz"):
        expect(USAGE, "watch", "zz", end, words=("watch", "no key lies"), cluster=cluster)
    return expect(USAGE, "gett", "a", words=("did you mean get",))


def helps():
    """Every verb and sub-verb has a help on standard output, with 0."""
    _, out, _ = command("--help")
    subs = {"lease": ("grant", "revoke", "keepalive", "ttl", "list"),
            "work": ("claim", "renew", "release", "complete", "show", "list"),
            "queue": ("push", "claim", "extend", "ack", "release", "show")}
    names = [("put",), ("get",), ("range",), ("del",), ("txn",), ("watch",), ("compact",), ("lock",),
             ("elect",)]
    names += [(verb,) for verb in subs] + [(verb, sub) for verb in subs for sub in subs[verb]]
    for name in names:
        if len(name) == 1:
            check(f"  {name[0]} ".encode() in out, f"--help does not list {name[0]}")
        for arguments in ((*name, "--help"), ("help", *name)):
            status, said, err = command(*arguments)
            check(status == DONE and said.startswith(f"usage: synod {' '.join(name)} ".encode()) and
                  not err, f"{arguments}: {status} {said[:80]!r} {err!r}")


def no_quorum(cluster):
    """Without a quorum changes and linearizable reads end with 2; local reads go on."""
    put(cluster, "q/a", "here")
    stopped = cluster.members("acceptor")[:2]
    for node in stopped:
        node.signal(signal.SIGSTOP)
    try:
        for arguments in (("put", "q/a", "x"), ("get", "q/a"), ("del", "q/a"), ("watch", "q/a"),
                          ("lease", "grant", "5s"), ("lock", "q"), ("elect", "q", "--observe")):
            sentence = expect(UNAVAILABLE, *arguments, "--timeout", "500ms", cluster=cluster)
        check(text("get", "q/a", "--consistency", "local", cluster=cluster) == "here", "a local get")
    finally:
        for node in stopped:
            node.signal(signal.SIGCONT)
    wait_until(lambda: command("put", "q/b", "x", "--timeout", "1s", cluster=cluster)[0] == DONE, 10,
               "a put after the quorum came back")
    return sentence


def nobody_there(cluster):
    """No cluster running: 2, within the timeout that was asked for."""
    for arguments in (["put", "a", "b"], ["get", "a"], ["del", "a"], ["watch", "a"], ["compact", "5"],
                      ["lease", "grant", "5s"], ["lease", "list"], ["lock", "a"], ["elect", "a", "b"],
                      ["work", "claim", "a"], ["queue", "push", "a", "b"], ["queue", "claim", "a"]):
        sentence = expect(UNAVAILABLE, *arguments, "--timeout", "300ms", cluster=cluster)
    return sentence


def run(report):
    report.test("every verb and sub-verb has its help", helps)
    with Cluster(name="keys") as cluster:
        for what, function in (
                ("put and get: revisions, versions, previous values, old revisions", put_and_get),
                ("values of any bytes, up to the largest, and the longest key", any_bytes),
                ("put --ignore-value, --ignore-lease and --sequential", put_options),
                ("ranges: intervals, prefixes, order, limits, filters", ranges),
                ("ranges of any size in any order; answers of changes are bounded", large_ranges),
                ("del counts what it deletes, and get of what is not there fails", deletes),
                ("txn in text: one path or the other, as one", txn_text),
                ("txn in JSON: nested, over ranges, with any bytes", txn_json),
                ("transactions that break a rule are refused and change nothing", txn_refused),
                ("watch: every change once, in order, with what was before", watches),
                ("watch: filters, intervals and the plain form", watch_filters),
                ("watch without --rev: from now on", watch_from_now),
                ("watch -- CMD runs once for each change", watch_command),
                ("watch -- CMD is told every key whole", watch_command_keys),
                ("compaction, and what is refused below and above", compaction),
                ("leases: grant, ttl, list, keepalive, revoke", leases),
                ("an unknown lease is an error", no_such_lease),
                ("a lease ends with its keys, or lives on, through a change of leader", lease_ends),
                ("a keeper is told that its lease is lost", keeper_loses),
                ("watch through killed learners and leaders", watch_through_kills),
                ("increments add up while leaders are killed", counters),
                ("bad keys, options and TTLs end with 3", bad_words),
                ("no quorum ends with 2, and local reads go on", no_quorum)):
            report.test(what, lambda function=function: function(cluster))
        cluster.kill_all()
        report.test("no cluster at all ends with 2", lambda: nobody_there(cluster))
