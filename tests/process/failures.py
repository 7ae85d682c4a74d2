"""Processes that die, hang, and are asked to end, under load: nothing that was acknowledged is lost,
doubled or out of order, and the cluster goes on."""

import signal
import time

from cluster import Cluster, Failure, check, wait_until
from load import Load, prove, prove_equal_digests

ELECTION_SECONDS = 0.5  # the default of cluster.yml


def others_than(cluster, node):
    return [n for n in cluster.members(node.role) if n is not node]


def in_elections(seconds):
    return f"{seconds * 1000:.0f} ms, {seconds / ELECTION_SECONDS:.1f} election timeouts"


def kill_and_restart(load, node):
    """kill -9 under load, more acknowledgements without the node, restart, more with it."""
    load.wait_for_more(100)
    moment = time.monotonic()
    node.kill()
    load.wait_for_more()
    gap = load.gap_since(moment)
    node.start()
    load.wait_for_more()
    return f"longest time without an acknowledgement: {in_elections(gap)}"


def stop_and_continue(load, node):
    """SIGSTOP under load, more acknowledgements without the node, SIGCONT, more with it."""
    load.wait_for_more(100)
    moment = time.monotonic()
    node.signal(signal.SIGSTOP)
    try:
        load.wait_for_more()
        gap = load.gap_since(moment)
    finally:
        node.signal(signal.SIGCONT)
    load.wait_for_more()
    return f"longest time without an acknowledgement: {in_elections(gap)}"


def leader_stopped(cluster, load):
    """A stopped leader is replaced; when it goes on it finds itself deposed and disturbs nobody."""
    old = cluster.leader()
    load.wait_for_more(100)
    moment = time.monotonic()
    old.signal(signal.SIGSTOP)
    try:
        load.wait_for_more()
        gap = load.gap_since(moment)
        new = cluster.leader()
        check(new is not old, f"{old} is stopped and said to lead")
    finally:
        old.signal(signal.SIGCONT)
    moment = time.monotonic()
    load.wait_for_more(1000)
    check(cluster.leader() is new, f"{new} led, and {cluster.leader()} after {old} went on")
    check(load.gap_since(moment) < 2 * ELECTION_SECONDS,
          f"after {old} went on nothing was acknowledged for {load.gap_since(moment):.2f} s")

    def deposed():
        row = [n for n in cluster.status()["nodes"] if n["role"] == old.role and n["id"] == old.id]
        return row[0]["state"] in ("standby", "voting")
    wait_until(deposed, 5, f"{old} to be a standby again")
    return f"replaced within {in_elections(gap)}"


def quorum_stopped(cluster, load):
    """Without a quorum nothing is acknowledged; when it is back, everything goes on."""
    stopped = cluster.members("acceptor")[:2]
    load.wait_for_more(100)
    for node in stopped:
        node.signal(signal.SIGSTOP)
    try:
        time.sleep(0.2)  # answers that were on their way
        before = load.acked
        time.sleep(3 * ELECTION_SECONDS)
        check(load.acked == before, f"{load.acked - before} records were acknowledged by one of "
              "three acceptors")
    finally:
        moment = time.monotonic()
        for node in stopped:
            node.signal(signal.SIGCONT)
    load.wait_for_more()
    return f"acknowledged again after {in_elections(load.gap_since(moment))}"


def everything_killed(cluster, load):
    """kill -9 of all processes at once: nothing acknowledged is gone when they are back."""
    load.wait_for_more(100)
    for node in cluster.nodes:
        node.signal(signal.SIGKILL)
    for node in cluster.nodes:
        node.process.wait()
    for node in cluster.nodes:
        node.start()
    load.wait_for_more()


def leader_terminated(cluster, load):
    """SIGTERM of the leader hands over: it ends with 0 and the other goes on at once."""
    old = cluster.leader()
    load.wait_for_more(100)
    moment = time.monotonic()
    status = old.terminate()
    check(status == 0, f"{old} ended with status {status}: {old.log_text()[-600:]}")
    load.wait_for_more()
    gap = load.gap_since(moment)
    check(cluster.leader() is not old, f"{old} has ended and is said to lead")
    old.start()
    load.wait_for_more()
    return f"longest time without an acknowledgement: {gap * 1000:.0f} ms"


def others_terminated(cluster, load):
    """SIGTERM of every other role under load: each drains and ends with 0."""
    for node in (cluster.standby(), cluster.node("acceptor", 2), cluster.node("learner", 1)):
        status = node.terminate()
        check(status == 0, f"{node} ended with status {status}: {node.log_text()[-600:]}")
        load.wait_for_more(100)
        node.start()
        load.wait_for_more(100)


def leader_killed_again(cluster, load, times=4):
    """Several leaders in a row. The figures are printed; tests/bench/failover.sh measures more."""
    gaps = []
    for _ in range(times):
        leader = cluster.leader()
        load.wait_for_more(100)
        moment = time.monotonic()
        leader.kill()
        load.wait_for_more()
        gaps.append(load.gap_since(moment))
        leader.start()
    return ("times without an acknowledgement in ms: " +
            " ".join(f"{gap * 1000:.0f}" for gap in sorted(gaps)))


def proof_can_fail(cluster, loads):
    """The proof itself: a record that is missing, and two that changed places, are found out."""
    load = loads[0]
    last = load.indexes[-1]
    for wrong in ([last + 100000], [load.indexes[0]]):
        right, load.indexes = load.indexes, load.indexes[:-1] + wrong
        try:
            prove(cluster, loads)
        except Failure as failure:
            check("are not where they were said to be" in str(failure), str(failure))
        else:
            check(False, f"a record that is not at index {wrong[0]} was not found out")
        finally:
            load.indexes = right


def run(report):
    with Cluster(name="failures") as cluster:
        load = Load(cluster, "first")
        report.test("kill -9 of the leader under load", lambda: kill_and_restart(load, cluster.leader()))
        report.test("kill -9 of the standby under load",
                    lambda: kill_and_restart(load, cluster.standby()))
        report.test("kill -9 of an acceptor under load",
                    lambda: kill_and_restart(load, cluster.node("acceptor", 1)))
        report.test("kill -9 of each learner under load",
                    lambda: "; ".join(kill_and_restart(load, node)
                                      for node in cluster.members("learner")))
        report.test("kill -9 of four leaders in a row", lambda: leader_killed_again(cluster, load))
        report.test("kill -9 of all processes at once", lambda: everything_killed(cluster, load))
        report.test("after all kills every learner holds what was acknowledged, once, in order",
                    lambda: finish(cluster, [load]))
        report.test("the proof finds out what is missing or misplaced",
                    lambda: proof_can_fail(cluster, [load]))
        loads = [load, Load(cluster, "second")]
        load = loads[1]
        report.test("SIGSTOP of the leader: it is replaced, and disturbs nobody afterwards",
                    lambda: leader_stopped(cluster, load))
        report.test("SIGSTOP of the standby under load",
                    lambda: stop_and_continue(load, cluster.standby()))
        report.test("SIGSTOP of an acceptor under load",
                    lambda: stop_and_continue(load, cluster.node("acceptor", 3)))
        report.test("SIGSTOP of each learner under load",
                    lambda: "; ".join(stop_and_continue(load, node)
                                      for node in cluster.members("learner")))
        report.test("SIGSTOP of a quorum of acceptors: nothing is acknowledged without it",
                    lambda: quorum_stopped(cluster, load))
        report.test("SIGTERM of the leader under load: hand-over",
                    lambda: leader_terminated(cluster, load))
        report.test("SIGTERM of a standby, an acceptor and a learner under load",
                    lambda: others_terminated(cluster, load))
        report.test("after all stops every learner holds what was acknowledged, once, in order",
                    lambda: finish(cluster, loads))
        report.test("two learners have the same digest at the same slot",
                    lambda: prove_equal_digests(cluster))


def finish(cluster, loads):
    loads[-1].stop()
    return f"{prove(cluster, loads)} records, {sum(load.acked for load in loads)} acknowledged"
