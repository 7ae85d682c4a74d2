"""What programs print of what was acknowledged to them (tool_sessions.c, tool_threads.c), and the proof
that the cluster holds it: each record once, where it was said to be, each key as it was put.

An operation whose outcome is unknown may have happened or not, but not twice."""

import collections
import json
import os
import subprocess

from cluster import SYNOD, check, command, spawn, wait_until
from keys import bytes_of
from load import difference, read_log

OK, E_LEASE = 0, -14
END_KEY = "keys/~"  # behind all others


class Outcomes:
    """What one program printed, by kind."""

    def __init__(self, text):
        self.appends, self.puts, self.grants = [], [], []
        for line in text.splitlines():
            kind, code, number, *rest = line.split()
            code, number = int(code), int(number)
            if kind == "append":
                self.appends.append((code, number, rest[0]))
            elif kind == "put":
                self.puts.append((code, number, rest[0], int(rest[1])))
            else:
                self.grants.append((code, number, int(rest[0])))

    def count(self, code):
        return sum(row[0] == code for rows in (self.appends, self.puts, self.grants) for row in rows)

    @property
    def unknown(self):
        return sum(row[0] not in (OK, E_LEASE)
                   for rows in (self.appends, self.puts, self.grants) for row in rows)


def number_of(text):
    return int(text.rsplit("/", 1)[1])


def owner_of(text):
    return text.rsplit("/", 2)[-2]


def few(rows):
    return f"{len(rows)}, such as {rows[:3]}"


# ---- records

def prove_records(cluster, all_outcomes):
    """Every learner holds the same log; answers the number of its records."""
    logs = [read_log(cluster, learner) for learner in cluster.members("learner")]
    for other in logs[1:]:
        check(other == logs[0], f"two learners differ: {difference(other, logs[0])}")
    log = [(index, record.decode()) for index, record in logs[0]]
    check([index for index, _ in log] == list(range(1, len(log) + 1)),
          "indexes have a gap, or do not begin with 1")
    counts = collections.Counter(record for _, record in log)
    twice = [record for record, count in counts.items() if count > 1]
    check(not twice, f"records that stand twice: {few(twice)}")
    at = dict(log)
    for outcomes in all_outcomes:
        wrong = [row for row in outcomes.appends if row[0] == OK and at.get(row[1]) != row[2]]
        check(not wrong, "acknowledged records that are not where they were said to be: "
              f"{few(wrong)}; the first of these places holds {at.get((wrong or [[0, 0]])[0][1])}")
    prove_order(log)
    strangers = set(counts) - {row[2] for outcomes in all_outcomes for row in outcomes.appends}
    check(not strangers, f"records that nobody appended: {few(sorted(strangers))}")
    return len(log)


def prove_order(log):
    """Appends of one handle stand in the order of the calls."""
    newest = {}
    for index, record in log:
        owner, number = owner_of(record), number_of(record)
        check(newest.get(owner, 0) < number, f"record {record} at index {index} stands behind number "
              f"{newest.get(owner)} of the same handle")
        newest[owner] = number


# ---- keys

def tail_of(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 4096))
        return file.read().decode("utf-8", "replace")


def read_history(cluster):
    """Every change of the keys since the first revision: a list of (revision, event)."""
    status, out, err = command("put", END_KEY, "", cluster=cluster)
    check(status == 0, f"synod put ended with {status}: {err!r}")
    end = int(out)
    path = f"{cluster.directory}/history"
    with open(path, "wb") as file:
        watch = spawn([SYNOD, "watch", "keys/", "--prefix", "--rev", "1", "-o", "json", "--cluster",
                       cluster.config], stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: f'"revision":{end},' in tail_of(path) or watch.poll() is not None, 60,
                   "a watch to tell the whole history of the keys")
    finally:
        watch.kill()
        watch.wait()
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    history = [(row["revision"], event) for row in rows for event in row["events"]]
    check(end in {revision for revision, _ in history}, "the watch of the history ended early")
    return [(revision, event) for revision, event in history
            if revision < end and bytes_of(event, "key") != END_KEY.encode()]


def prove_keys(cluster, all_outcomes):
    """Each key was put once at most, and as it was said if it was said."""
    history = read_history(cluster)
    put_at, leases = {}, {}
    for revision, event in history:
        if event["event"] == "put":
            key = bytes_of(event, "key").decode()
            check(key not in put_at, f"{key} was put at revision {put_at.get(key)} and at {revision}")
            check(bytes_of(event, "value").decode() == key, f"{key} has another value: {event}")
            put_at[key], leases[key] = revision, event["lease"]
    for outcomes in all_outcomes:
        wrong = [row for row in outcomes.puts if row[0] == OK and put_at.get(row[2]) != row[1]]
        check(not wrong, f"acknowledged puts that are not at their revision: {few(wrong)}")
        wrong = [row for row in outcomes.puts if row[2] in put_at and leases[row[2]] != row[3]]
        check(not wrong, f"keys that were put under another lease, or none: {few(wrong)}")
        wrong = [row for row in outcomes.puts if row[0] == E_LEASE and row[2] in put_at]
        check(not wrong, f"puts that were refused and happened: {few(wrong)}")
    strangers = set(put_at) - {row[2] for outcomes in all_outcomes for row in outcomes.puts}
    check(not strangers, f"keys that nobody put: {few(sorted(strangers))}")


def prove_leases(all_outcomes):
    """Every lease that was granted has an id of its own."""
    ids = [row[1] for outcomes in all_outcomes for row in outcomes.grants if row[0] == OK]
    check(0 not in ids, "a grant was acknowledged with the id 0")
    twice = [lease for lease, count in collections.Counter(ids).items() if count > 1]
    check(not twice, f"leases that were granted twice: {few(twice)}")
