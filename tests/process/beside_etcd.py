"""Synod beside a real etcd, for what takes time and so is not among the sequences of tests/model: leases
that expire, and the progress of watches. The same steps are taken on both, and what they answer must be
the same, revisions included. Skipped where there is no etcd 3.4."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

from cluster import SLOWER, SYNOD, Cluster, check, command, die_with_parent, spawn, wait_until
from commands import DONE, FAILED, INTERRUPTED
from keys import Watch, bytes_of, parsed, rows
from tap import Skip

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
import etcd  # noqa: E402

NO_LEASE = "lease_not_found"
PREFIX, END = b"e/", b"e0"


def lease_of(operation):
    return operation[3] if len(operation) > 3 else 0


# ---- the two sides, with the same questions and the same form of answers

class Ours:
    def __init__(self, cluster):
        self.cluster = cluster

    def lease_verb(self, *arguments):
        """The object that a verb prints, or NO_LEASE."""
        status, out, err = command(*arguments, "-o", "json", cluster=self.cluster)
        check(status == DONE or (status == FAILED and b"no such lease" in err),
              f"synod {' '.join(arguments)}: {status} {err!r}")
        return json.loads(out) if status == DONE else NO_LEASE

    def grant(self, lease, ttl):
        answer = parsed("lease", "grant", f"{ttl}s", "--id", str(lease), cluster=self.cluster)
        return answer["lease"], answer["ttl_ms"] // 1000

    def revoke(self, lease):
        return NO_LEASE if self.lease_verb("lease", "revoke", str(lease)) == NO_LEASE else "ok"

    def keepalive(self, lease):
        answer = self.lease_verb("lease", "keepalive", str(lease), "--once")
        return answer if answer == NO_LEASE else answer["left_ms"] // 1000

    def lease(self, lease):
        answer = self.lease_verb("lease", "ttl", str(lease), "--keys")
        if answer == NO_LEASE:
            return answer
        return answer["ttl_ms"] // 1000, [bytes_of(key, "key").hex() for key in answer["keys"]]

    def leases(self, known):
        return [row["lease"] for row in rows("lease", "list", cluster=self.cluster)
                if row["lease"] in known]  # sessions are leases, too

    def put(self, key, lease):
        answer = self.lease_verb("put", key, "", "--lease", str(lease))
        return answer if answer == NO_LEASE else answer["revision"]

    def txn(self, operations):
        requests = [{"delete": {"key": operation[1]}} if operation[0] == "delete" else
                    {"put": {"key": operation[1], "value": operation[2], "lease": lease_of(operation)}}
                    for operation in operations]
        return parsed("txn", "--json", cluster=self.cluster,
                      stdin=json.dumps({"then": requests}).encode())["revision"]

    def keys(self, revision=0):
        options = ("--rev", str(revision)) if revision != 0 else ()
        answer = parsed("get", "--prefix", PREFIX.decode(), *options, cluster=self.cluster)
        return answer["revision"], [self.kv(kv) for kv in answer["kvs"]]

    @staticmethod
    def kv(kv):
        value = bytes_of(kv, "value").hex() if "value" in kv or "value_base64" in kv else ""
        return {"create": kv.get("create_revision", 0), "mod": kv["mod_revision"],
                "version": kv.get("version", 0), "lease": kv.get("lease", 0),
                "key": bytes_of(kv, "key").hex(), "value": value}

    def events(self, count):
        watch = Watch(self.cluster, "--prefix", PREFIX.decode(), "--rev", "1", "--prev-kv")
        watch.wait_for(count)
        check(watch.stop() == INTERRUPTED, f"the watch ended with {watch.process.returncode}")
        return [{"kind": event["event"], "kv": self.kv(event),
                 "previous": self.kv(event["previous"]) if "previous" in event else None}
                for row in watch.lines for event in row["events"]]


class Theirs:
    def __init__(self, gateway):
        self.gateway = gateway

    def post(self, path, body):
        error, answer = self.gateway.post(path, body)
        check(error in ("ok", NO_LEASE), f"etcd {path}: {answer}")
        return NO_LEASE if error == NO_LEASE else answer

    def grant(self, lease, ttl):
        answer = self.post("/v3/lease/grant", {"ID": str(lease), "TTL": str(ttl)})
        return etcd.number(answer, "ID"), etcd.number(answer, "TTL")

    def revoke(self, lease):
        return NO_LEASE if self.post("/v3/lease/revoke", {"ID": str(lease)}) == NO_LEASE else "ok"

    def keepalive(self, lease):
        answer = self.post("/v3/lease/keepalive", {"ID": str(lease)})
        return etcd.number(answer["result"], "TTL") or NO_LEASE

    def lease(self, lease):
        answer = self.post("/v3/lease/timetolive", {"ID": str(lease), "keys": True})
        if etcd.number(answer, "TTL") == -1:
            return NO_LEASE
        return etcd.number(answer, "grantedTTL"), sorted(
            etcd.base64.b64decode(key).hex() for key in answer.get("keys", []))

    def leases(self, known):
        answer = self.post("/v3/lease/leases", {})
        return sorted(int(one["ID"]) for one in answer.get("leases", []) if int(one["ID"]) in known)

    @staticmethod
    def bytes(value):
        return etcd.bytes_to_json(value.encode().hex())

    def put(self, key, lease):
        answer = self.post("/v3/kv/put", {"key": self.bytes(key), "lease": str(lease)})
        return answer if answer == NO_LEASE else etcd.number(answer["header"], "revision")

    def txn(self, operations):
        requests = [{"request_delete_range": {"key": self.bytes(operation[1])}}
                    if operation[0] == "delete" else
                    {"request_put": {"key": self.bytes(operation[1]), "value": self.bytes(operation[2]),
                                     "lease": str(lease_of(operation))}}
                    for operation in operations]
        return etcd.number(self.post("/v3/kv/txn", {"success": requests})["header"], "revision")

    def keys(self, revision=0):
        answer = self.post("/v3/kv/range", {"key": etcd.bytes_to_json(PREFIX.hex()),
                                            "range_end": etcd.bytes_to_json(END.hex()),
                                            "revision": str(revision)})
        return (etcd.number(answer["header"], "revision"),
                [etcd.kv_from_etcd(kv) for kv in answer.get("kvs", [])])

    def events(self, count):
        watch = self.gateway.watch({"create_request": {
            "key": etcd.bytes_to_json(PREFIX.hex()), "range_end": etcd.bytes_to_json(END.hex()),
            "start_revision": "1", "prev_kv": True}})
        try:
            while len(watch.events) < count:
                check(watch.read(etcd.WATCH_SECONDS), f"etcd tells only {watch.events}")
        finally:
            watch.close()
        return watch.events


# ---- leases that expire

# 11 expires with keys, 12 stays, 13 expires without a key, 14 is kept alive until those have ended.
LEASES = (11, 12, 13, 14)
TTL, LONG_TTL = 5 * SLOWER, 600


def expire(side):
    """What is answered while two leases expire, and then a third one that was kept alive until then."""
    told = {"granted": [side.grant(11, TTL), side.grant(12, LONG_TTL), side.grant(13, TTL),
                        side.grant(14, TTL)]}
    told["put"] = [
        side.txn([("put", "e/b", "1", 11), ("put", "e/a", "1", 11), ("put", "e/freed", "1", 11),
                  ("put", "e/moved", "1", 11), ("put", "e/deleted", "1", 11), ("put", "e/kept", "1", 14)]),
        side.txn([("put", "e/freed", "2"), ("put", "e/moved", "2", 12), ("delete", "e/deleted"),
                  ("put", "e/a", "2", 11)])]
    told["before"] = side.keys(), side.lease(11)

    def is_over(*leases):
        return all(side.lease(lease) == NO_LEASE for lease in leases) and \
            all(kv["lease"] not in leases for kv in side.keys()[1])

    def is_over_while_kept():
        check(side.keepalive(14) == TTL, "lease 14 has ended, although it was kept alive")
        return is_over(11, 13)
    wait_until(is_over_while_kept, 30, "two leases to expire")
    told["expired"] = side.keys(), side.lease(14), side.leases(LEASES)
    wait_until(lambda: is_over(14), 30, "the third lease to expire")
    told["all expired"] = side.keys(), side.leases(LEASES)
    told["old"] = side.keys(told["put"][-1])[1]
    told["late"] = [side.keepalive(11), side.revoke(11), side.put("e/late", 11), side.lease(13)]
    told["again"] = side.grant(11, LONG_TTL), side.lease(11), side.put("e/a", 11), side.lease(11)
    told["events"] = side.events(14)
    return told


def leases_expire(cluster, gateway):
    """What expired is gone with its keys, under one revision each, in order, and only if it had keys;
    what was attached elsewhere stays; nothing brings it back, and its id can be used again."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(expire, Theirs(gateway))
        ours = expire(Ours(cluster))
        theirs = other.result()
    for name, answer in theirs.items():
        check(ours[name] == answer, f"{name}: Synod says {ours[name]}\netcd says {answer}")
    kinds = [event["kind"] for event in ours["events"]]
    check(kinds.count("delete") == 4, f"nothing expired: {ours['events']}")
    return f"{len(kinds)} events"


# ---- progress

class Told:
    """What a watch prints: for each event and each progress its kind, and the key or the revision."""

    def __init__(self, arguments, progress, **options):
        self.process = spawn(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, **options)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.progress = progress  # what a line of progress begins with
        self.bytes = b""

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def read(self):
        check(self.process.poll() is None, f"the watch ended with {self.process.returncode}")
        self.bytes += self.process.stdout.read() or b""
        lines = self.bytes.decode().split("\n")[:-1]
        told = []
        while lines:
            if lines[0].startswith(self.progress):
                told.append(("progress", int(lines.pop(0)[len(self.progress):])))
            elif len(lines) >= 3:
                told.append((lines[0], lines[1], lines[2]))
                del lines[:3]
            else:
                break
        return told

    def close(self):
        self.process.kill()
        self.process.wait()


    def events(self):
        return [line for line in self.read() if line[0] != "progress"]

    def has_progress(self, revision):
        return any(line == ("progress", revision) for line in self.read())


def check_order(told, revisions):
    """Progress to a revision stands behind all events up to it and before all later ones."""
    for i, line in enumerate(told):
        for j, event in enumerate(told):
            if line[0] == "progress" and event[0] != "progress":
                is_before = revisions[event[:2]] <= line[1]
                check(is_before == (j < i), f"progress to {line[1]} is in a wrong place: {told}")


def progress(cluster, gateway):
    """Progress reaches the revision of the store although only other keys changed, and stands in the
    right place. etcd tells it when it is asked, Synod by itself."""
    sides = Ours(cluster), Theirs(gateway)
    revisions = {}

    def step(kind, key):
        answers = [side.txn([(kind, key, "x")]) for side in sides]
        check(answers[0] == answers[1], f"the revisions {answers} differ")
        revisions[(kind.upper(), key)] = answers[0]
        return answers[0]
    first = step("put", "p/base")
    ours = Told([SYNOD, "watch", "--prefix", "p/", "--rev", str(first), "--progress", "--cluster",
                 cluster.config], "PROGRESS ")
    theirs = Told(["etcdctl", "--endpoints", f"http://127.0.0.1:{gateway.port}", "watch", "-i"],
                  "progress notify: ", env=dict(os.environ, ETCDCTL_API="3"))
    try:
        theirs.ask(f"watch --prefix p/ --rev={first}")
        wait_until(theirs.events, 20, "etcd's first event")
        step("put", "q/other")
        last = step("delete", "q/other")
        theirs.ask("progress")
        for side in (theirs, ours):
            wait_until(lambda side=side: side.has_progress(last), 30, f"progress to {last}")
        for kind, key in (("put", "p/a"), ("delete", "p/base"), ("put", "p/b")):
            last = step(kind, key)
        for side in (theirs, ours):
            wait_until(lambda side=side: len(side.events()) == 4, 30, "four events")
        theirs.ask("progress")
        wait_until(lambda: theirs.has_progress(last), 20, f"etcd's progress to {last}")
        check(ours.events() == theirs.events(),
              f"Synod tells {ours.read()}\netcd tells {theirs.read()}")
        for side in (theirs, ours):
            check_order(side.read(), revisions)
    finally:
        ours.close()
        theirs.close()


def run(report):
    why = etcd.why_no_etcd()
    if why is None and shutil.which("etcdctl") is None:
        why = "etcdctl is not installed; try: apt-get install etcd-client"

    def skip():
        raise Skip(why)
    if why is not None:
        report.test("leases and progress as by a real etcd", skip)
        return

    def with_both(function):
        with Cluster(name="beside") as cluster, etcd.Etcd(die_with_parent) as gateway:
            return function(cluster, gateway)
    for what, function in (("leases expire as in etcd", leases_expire),
                           ("a watch progresses as in etcd", progress)):
        report.test(what, lambda function=function: with_both(function))
