#!/usr/bin/env python3
"""The reference answers as a real etcd 3.4 does: replays random sequences through its HTTP gateway
and compares every field of every answer.

    etcd.py TOOL COUNT SEED...

TOOL (tool_model) prints the sequences. One TAP line a seed, and what differed first. Where there is
no etcd the answers are at least still those that one gave: their checksums are recorded."""

import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "record.txt")
START_SECONDS = 20
WATCH_SECONDS = 10
# etcd looks every 100 ms for watches that have to catch up; what comes later does not belong to them.
WATCH_GRACE_SECONDS = 0.13

ERRORS = {
    "mvcc: required revision has been compacted": "compacted",
    "mvcc: required revision is a future revision": "future",
    "requested lease not found": "lease_not_found",
    "lease already exists": "lease_exists",
    "key not found": "key_not_found",
    "key is not provided": "empty_key",
    "value is provided": "value_provided",
    "lease is provided": "lease_provided",
    "too many operations in txn request": "too_many_ops",
    "duplicate key given in txn request": "duplicate_key",
    "mvcc: watcher range is empty": "empty_range",
}
ORDERS = ("NONE", "ASCEND", "DESCEND")
TARGETS = ("KEY", "VERSION", "CREATE", "MOD", "VALUE", "LEASE")
RELATIONS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
KEYS_ONLY, COUNT_ONLY = 1, 2
PREVIOUS, IGNORE_VALUE, IGNORE_LEASE = 1, 2, 4
WATCH_PREVIOUS, WATCH_NO_PUT, WATCH_NO_DELETE = 1, 2, 4


class Mismatch(Exception):
    pass


# ---- the server

def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Etcd:
    """An empty one-member cluster on this machine. before: called in its process when it is forked."""

    def __init__(self, before=None):
        self.before = before

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="etcd.")
        self.port, peer_port = free_ports(2)
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer_port}"
        self.log_path = os.path.join(self.dir, "log")
        env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", os.path.join(self.dir, "data"),
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}", "--logger", "zap",
                 "--heartbeat-interval", "50", "--election-timeout", "500"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                preexec_fn=self.before)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                gateway = Gateway(self.port)
                gateway.post("/v3/kv/range", {"key": bytes_to_json("00")})
                return gateway
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    text = open(self.log_path, encoding="utf-8", errors="replace").read()[-2000:]
                    self.__exit__()
                    raise RuntimeError(f"etcd did not start: {text}") from None
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Gateway:
    """etcd's JSON interface. Numbers of 64 bits are strings there, zero fields are left out."""

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCH_SECONDS)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body))
        answer = json.loads(self.connection.getresponse().read())
        if "error" in answer:
            text = answer["error"]
            text = text if isinstance(text, str) else text.get("message", str(text))
            return ERRORS.get(text.removeprefix("etcdserver: "), text), answer
        return "ok", answer

    def watch(self, creation):
        return Watch(self.port, creation)


class Watch:
    """One watch on a connection of its own (etcd does not read several from one request reliably)."""

    def __init__(self, port, creation):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCH_SECONDS)
        self.connection.request("POST", "/v3/watch", json.dumps(creation))
        self.response = None
        self.error = "ok"
        self.compacted = 0
        self.events = []

    def read(self, seconds):
        """Takes what comes next. 0 if nothing came in time."""
        self.connection.sock.settimeout(max(seconds, 0.001))
        try:
            self.response = self.response or self.connection.getresponse()
            line = self.response.readline()
        except (TimeoutError, socket.timeout):
            return 0
        if not line:
            return 0
        result = json.loads(line)["result"]
        self.events += [event_from_etcd(event) for event in result.get("events", [])]
        self.compacted = number(result, "compact_revision")
        if self.compacted > 0:
            self.error = "compacted"
        elif result.get("canceled"):
            reason = result.get("cancel_reason", "canceled")
            self.error = ERRORS.get(reason, reason)
        return 1

    def close(self):
        if self.connection.sock is not None:
            self.connection.sock.close()
        self.connection.close()


# ---- to etcd

def bytes_to_json(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


def range_to_etcd(request):
    return {
        "key": bytes_to_json(request["key"]), "range_end": bytes_to_json(request["end"]),
        "limit": str(request["limit"]), "revision": str(request["revision"]),
        "sort_order": ORDERS[request["order"]], "sort_target": TARGETS[request["target"]],
        "keys_only": bool(request["flags"] & KEYS_ONLY),
        "count_only": bool(request["flags"] & COUNT_ONLY),
        "min_mod_revision": str(request["min_mod"]), "max_mod_revision": str(request["max_mod"]),
        "min_create_revision": str(request["min_create"]),
        "max_create_revision": str(request["max_create"]),
    }


def put_to_etcd(request):
    return {
        "key": bytes_to_json(request["key"]), "value": bytes_to_json(request["value"]),
        "lease": str(request["lease"]), "prev_kv": bool(request["flags"] & PREVIOUS),
        "ignore_value": bool(request["flags"] & IGNORE_VALUE),
        "ignore_lease": bool(request["flags"] & IGNORE_LEASE),
    }


def delete_to_etcd(request):
    return {"key": bytes_to_json(request["key"]), "range_end": bytes_to_json(request["end"]),
            "prev_kv": bool(request["flags"] & PREVIOUS)}


def compare_to_etcd(compare):
    target = TARGETS[compare["target"]]
    body = {"target": target, "result": RELATIONS[compare["relation"]],
            "key": bytes_to_json(compare["key"]), "range_end": bytes_to_json(compare["end"])}
    if target == "VALUE":
        body["value"] = bytes_to_json(compare["value"])
    else:
        name = {"CREATE": "create_revision", "MOD": "mod_revision"}.get(target, target.lower())
        body[name] = str(compare["number"])
    return body


def txn_to_etcd(request):
    return {"compare": [compare_to_etcd(compare) for compare in request["compares"]],
            "success": [{FIELDS[part["op"]]: TO_ETCD[part["op"]](part)}
                        for part in request["then"]],
            "failure": [{FIELDS[part["op"]]: TO_ETCD[part["op"]](part)}
                        for part in request["else"]]}


FIELDS = {"range": "request_range", "put": "request_put", "delete": "request_delete_range",
          "txn": "request_txn"}
TO_ETCD = {"range": range_to_etcd, "put": put_to_etcd, "delete": delete_to_etcd,
           "txn": txn_to_etcd}
PATHS = {"range": "/v3/kv/range", "put": "/v3/kv/put", "delete": "/v3/kv/deleterange",
         "txn": "/v3/kv/txn"}


# ---- from etcd

def number(answer, name):
    return int(answer.get(name, 0))


def bytes_from_json(answer, name):
    return base64.b64decode(answer.get(name, "")).hex()


def kv_from_etcd(kv):
    return {"create": number(kv, "create_revision"), "mod": number(kv, "mod_revision"),
            "version": number(kv, "version"), "lease": number(kv, "lease"),
            "key": bytes_from_json(kv, "key"), "value": bytes_from_json(kv, "value")}


def response_from_etcd(op, answer):
    if op == "range":
        return {"op": op, "count": number(answer, "count"), "more": answer.get("more", False),
                "kvs": [kv_from_etcd(kv) for kv in answer.get("kvs", [])]}
    if op == "put":
        return {"op": op, "kvs": [kv_from_etcd(answer["prev_kv"])] if "prev_kv" in answer else []}
    if op == "delete":
        return {"op": op, "count": number(answer, "deleted"),
                "kvs": [kv_from_etcd(kv) for kv in answer.get("prev_kvs", [])]}
    responses = []
    for part in answer.get("responses", []):
        (name, inner), = part.items()
        responses.append(response_from_etcd(OPS[name], inner))
    return {"op": op, "succeeded": answer.get("succeeded", False), "responses": responses}


OPS = {"response_range": "range", "response_put": "put", "response_delete_range": "delete",
       "response_txn": "txn"}


# ---- operations

def same(what, expected, found):
    if expected != found:
        raise Mismatch(f"{what}: the reference says {json.dumps(expected)}\n"
                       f"etcd says {json.dumps(found)}")


def same_head(line, error, answer):
    same("error", line["error"], error)
    if error == "ok":
        same("revision", line["revision_after"], number(answer["header"], "revision"))


def replay_request(gateway, line):
    request = line["request"]
    error, answer = gateway.post(PATHS[request["op"]], TO_ETCD[request["op"]](request))
    same_head(line, error, answer)
    if error == "ok":
        same("response", line["response"], response_from_etcd(request["op"], answer))


def replay_compact(gateway, line):
    # Physical: etcd answers when it is done, so that what a watch sees does not depend on time.
    same_head(line, *gateway.post("/v3/kv/compaction", {"revision": str(line["revision"]),
                                                        "physical": True}))


def replay_grant(gateway, line):
    error, answer = gateway.post("/v3/lease/grant", {"ID": str(line["id"]),
                                                     "TTL": str(line["ttl_ms"] // 1000)})
    same_head(line, error, answer)
    if error == "ok":
        same("ttl", line["ttl_ms"] // 1000, number(answer, "TTL"))
        same("id", line["id"], number(answer, "ID"))


def replay_revoke(gateway, line):
    same_head(line, *gateway.post("/v3/lease/revoke", {"ID": str(line["id"])}))


def replay_keepalive(gateway, line):
    _, answer = gateway.post("/v3/lease/keepalive", {"ID": str(line["id"])})
    same("ttl", line["ttl_ms"] // 1000, number(answer["result"], "TTL"))


def replay_lease(gateway, line):
    _, answer = gateway.post("/v3/lease/timetolive", {"ID": str(line["id"]), "keys": True})
    found = "lease_not_found" if number(answer, "TTL") == -1 else "ok"
    same_head(line, found, answer)
    same("granted ttl", line["ttl_ms"] // 1000, number(answer, "grantedTTL"))
    keys = sorted(base64.b64decode(key).hex() for key in answer.get("keys", []))
    same("keys", [key["key"] for key in line["keys"]], keys)


def replay_leases(gateway, line):
    _, answer = gateway.post("/v3/lease/leases", {})
    same("leases", line["leases"], sorted(int(one["ID"]) for one in answer.get("leases", [])))


REPLAY = {"request": replay_request, "compact": replay_compact, "grant": replay_grant,
          "revoke": replay_revoke, "keepalive": replay_keepalive, "lease": replay_lease,
          "leases": replay_leases}


# ---- watches

def watch_to_etcd(line):
    filters = [name for flag, name in ((WATCH_NO_PUT, "NOPUT"), (WATCH_NO_DELETE, "NODELETE"))
               if line["flags"] & flag]
    return {"create_request": {
        "key": bytes_to_json(line["key"]), "range_end": bytes_to_json(line["end"]),
        "start_revision": str(line["revision"]), "filters": filters,
        "prev_kv": bool(line["flags"] & WATCH_PREVIOUS)}}


def event_from_etcd(event):
    return {"kind": event.get("type", "PUT").lower(), "kv": kv_from_etcd(event["kv"]),
            "previous": kv_from_etcd(event["prev_kv"]) if "prev_kv" in event else None}


def without_compacted(events, compacted):
    """etcd 3.4 tells what changed at the very revision that was compacted, but for deletions and what
    else that revision itself replaced (issue 18089, mended in 3.4.34): those are not compared."""
    kept = []
    for i, event in enumerate(events):
        is_replaced = any(later["kv"]["key"] == event["kv"]["key"] and
                          later["kv"]["mod"] == compacted for later in events[i + 1:])
        if event["kv"]["mod"] != compacted or (event["kind"] == "put" and not is_replaced):
            kept.append(event)
    return kept


def read_watch(watch, line):
    """Reads until there is what the reference says; more of it comes with the same answer."""
    wanted = without_compacted(line["events"], line["compacted"])
    while watch.error == "ok":
        found = without_compacted(watch.events, line["compacted"])
        if line["error"] == "ok" and len(found) >= len(wanted):
            break
        if not watch.read(WATCH_SECONDS):
            break


def check_watch(watch, line):
    try:
        same("error", line["error"], watch.error)
        if watch.error == "compacted":
            same("compacted", line["compacted"], watch.compacted)
        same("events", without_compacted(line["events"], line["compacted"]),
             without_compacted(watch.events, line["compacted"]))
    except Mismatch as difference:
        raise Mismatch(f"{difference}\nwatch {json.dumps(watch_to_etcd(line))}, compacted "
                       f"{line['compacted']}") from None


def replay_watches(gateway, lines):
    """All at once, since etcd takes a tenth of a second to catch up with however many."""
    watches = [gateway.watch(watch_to_etcd(line)) for line in lines]
    deadline = time.monotonic() + WATCH_GRACE_SECONDS
    try:
        for watch, line in zip(watches, lines):
            read_watch(watch, line)
        for watch in watches:
            while watch.error == "ok" and watch.read(deadline - time.monotonic()):
                pass
    finally:
        for watch in watches:
            watch.close()
    for watch, line in zip(watches, lines):
        check_watch(watch, line)


# ---- one seed

def replay(gateway, lines):
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and lines[end]["kind"] == "watch":
            end += 1
        try:
            if end > at:
                replay_watches(gateway, lines[at:end])
                at = end
                continue
            REPLAY[lines[at]["kind"]](gateway, lines[at])
        except Mismatch as difference:
            text = json.dumps({name: value for name, value in lines[at].items()
                               if name not in ("response", "events")})
            raise Mismatch(f"operation {at}: {text}\n{difference}") from None
        at += 1


def sequence(tool, seed, count):
    return subprocess.run([tool, str(seed), str(count)], check=True,
                          stdout=subprocess.PIPE).stdout


def run_seed(output):
    lines = [json.loads(line) for line in output.splitlines()]
    with Etcd() as gateway:
        replay(gateway, lines)
    refused = sum(line["error"] != "ok" for line in lines)
    return f"{len(lines)} operations ({refused} refused)"


# ---- what is left where there is no etcd

def recorded():
    """Checksums of sequences with their answers, as they were when an etcd gave the same ones."""
    with open(RECORD, encoding="utf-8") as file:
        return [line.split() for line in file if not line.startswith("#")]


def check_record(tool):
    for seed, count, checksum in recorded():
        if hashlib.sha256(sequence(tool, seed, count)).hexdigest() != checksum:
            raise Mismatch(f"seed {seed}: the operations or the answers of the reference are not "
                           "those that were recorded\nif etcd gives the same: MODEL_RECORD=1 "
                           "tests/model/run.sh")
    return f"{len(recorded())} sequences are answered as etcd did when they were recorded"


def write_record(tool, count, seeds):
    with open(RECORD, "w", encoding="utf-8") as file:
        file.write("# Seed, number of operations, SHA-256 of what tool_model prints; an etcd 3.4.23 "
                   "gave the same answers.\n")
        for seed in seeds:
            checksum = hashlib.sha256(sequence(tool, seed, count)).hexdigest()
            file.write(f"{seed} {count} {checksum}\n")


def why_no_etcd():
    if shutil.which("etcd") is None:
        return "etcd-server is not installed; try: apt-get install etcd-server"
    output = subprocess.run(["etcd", "--version"], check=True, stdout=subprocess.PIPE, text=True)
    version = output.stdout.split()[2]
    return None if version.startswith("3.4.") else f"etcd is {version}; the model is that of 3.4"


# ---- TAP

class Report:
    def __init__(self):
        self.count = self.failed = 0

    def test(self, what, function, *arguments):
        self.count += 1
        begin = time.monotonic()
        try:
            text = function(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.failed += 1
            print(f"not ok {self.count} - {what}")
            for line in f"{type(error).__name__}: {error}".splitlines():
                print(f"# {line}")
        else:
            print(f"ok {self.count} - {what}: {text}, {time.monotonic() - begin:.1f} s")
        sys.stdout.flush()


def main():
    tool, count, seeds = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    is_recording = os.environ.get("MODEL_RECORD") == "1"
    report = Report()
    if not is_recording:
        report.test("the record", check_record, tool)
    why = why_no_etcd()
    if why is not None:
        report.count += 1
        print(f"ok {report.count} - the reference answers as a real etcd # SKIP {why}")
        seeds = []
    for seed in seeds:
        report.test(f"seed {seed} is answered as by etcd",
                    lambda seed=seed: run_seed(sequence(tool, seed, count)))
    if is_recording and seeds and not report.failed:
        write_record(tool, count, seeds)
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
