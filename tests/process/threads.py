"""Sixteen threads of one program, each with a handle of its own (tool_threads.c), while leaders and
learners are killed: handles share nothing, and everything happens once."""

import os
import subprocess
import time

from acknowledged import OK, Outcomes, prove_keys, prove_leases, prove_records
from cluster import BUILD, SLOWER, Cluster, Failure, check, command, spawn
from load import prove_equal_digests

TOOL = os.path.join(BUILD, "tests", "process", "tool_threads")
THREADS, ROUNDS, LOCK_EVERY = 16, 36, 6
KILL_SECONDS = 0.3  # between two of them


def disturb(cluster, process):
    """Kills the leader and the learners by turns, until the program ends; answers how often."""
    kills = 0
    deadline = time.monotonic() + 90 * SLOWER
    while process.poll() is None:
        check(time.monotonic() < deadline, f"the threads took more than {90 * SLOWER} s")
        time.sleep(KILL_SECONDS)
        learner = cluster.node("learner", 1 + kills // 2 % 2)
        node = cluster.leader() if kills % 2 == 0 else learner
        node.kill()
        node.start()
        kills += 1
    return kills


def all_at_once(cluster, outcomes):
    path = f"{cluster.directory}/threads.outcomes"
    with open(path, "wb") as file:
        process = spawn([TOOL, cluster.config, str(THREADS), str(ROUNDS)], stdout=file,
                        stderr=subprocess.PIPE)
    kills = disturb(cluster, process)
    check(process.returncode == 0,
          f"the program ended with {process.returncode}: {process.stderr.read()[-600:]!r}")
    with open(path, encoding="utf-8") as file:
        outcomes.append(Outcomes(file.read()))
    counts = (len(outcomes[0].appends), len(outcomes[0].puts))
    check(counts == (THREADS * ROUNDS, THREADS * ROUNDS), f"{counts} appends and puts were printed")
    records = prove_records(cluster, outcomes)
    check(records == THREADS * ROUNDS, f"the log has {records} records")
    prove_keys(cluster, outcomes)
    prove_equal_digests(cluster)
    status, out, err = command("get", "counter", cluster=cluster)
    wanted = THREADS * (ROUNDS // LOCK_EVERY)
    check(status == 0 and int(out) == wanted, f"{wanted} times counted, and it is {out!r} {err!r}")
    return f"{records} records and keys, {wanted} locks, {kills} kills"


def expect_failure(words, prove, *arguments):
    try:
        prove(*arguments)
    except Failure as failure:
        check(words in str(failure), f'no "{words}" in: {failure}')
    else:
        raise Failure(f'not found out: "{words}"')


def proof_can_fail(cluster, outcomes):
    """What was acknowledged is changed by one digit, or left out."""
    one = outcomes[0]
    code, index, record = one.appends[-1]
    one.appends[-1] = (code, index + 1, record)
    expect_failure("not where they were said to be", prove_records, cluster, outcomes)
    one.appends.pop()
    expect_failure("records that nobody appended", prove_records, cluster, outcomes)
    code, revision, key, lease = one.puts[-1]
    for changed, words in (((code, revision + 1, key, lease), "are not at their revision"),
                           ((code, revision, key, 7), "under another lease"),
                           ((code, revision, key + "0", lease), "are not at their revision")):
        one.puts[-1] = changed
        expect_failure(words, prove_keys, cluster, outcomes)
    one.puts.pop()
    expect_failure("keys that nobody put", prove_keys, cluster, outcomes)
    one.grants = [(OK, 5, 0), (OK, 0, 1)]
    expect_failure("the id 0", prove_leases, outcomes)
    one.grants = [(OK, 5, 0), (OK, 5, 1)]
    expect_failure("granted twice", prove_leases, outcomes)


def run(report):
    with Cluster(name="threads") as cluster:
        outcomes = []
        report.test(f"{THREADS} threads with a handle each: everything happens once",
                    lambda: all_at_once(cluster, outcomes))
        report.test("the proof finds out what is missing, misplaced or under another lease",
                    lambda: proof_can_fail(cluster, outcomes))
