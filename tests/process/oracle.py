"""Who should lead, by hand: oracles set live under load without an error for clients, candidates that
are barred, allowed and preferred, leadership handed over under load, and what `synod explain` says
with a leader, without a quorum and with a proposer down; and each verb's bad input."""

import json
import subprocess

from cluster import LEADER_ROLE, PROTOCOL, SYNOD, Cluster, check, command, spawn, wait_until
from commands import DONE, FAILED, UNAVAILABLE, USAGE, expect, run_ok
from load import Load, prove

RAFT = PROTOCOL == "raft"
KINDS = ["static", "connected"] if RAFT else ["ring", "floodmax", "gossip", "lease", "succession",
                                              "static", "external", "connected"]
ID = LEADER_ROLE
NUMBER = "term" if RAFT else "ballot"


def show(cluster):
    return json.loads(run_ok("oracle", "show", "-o", "json", cluster=cluster))


def candidate(cluster, number):
    return next(row for row in show(cluster)["candidates"] if row[ID] == number)


def change(cluster, *arguments):
    return json.loads(run_ok("oracle", *arguments, "-o", "json", cluster=cluster))


def explain(cluster, *options):
    """(exit status, the JSON)."""
    status, out, err = command("explain", "-o", "json", *options, cluster=cluster)
    check(status in (DONE, UNAVAILABLE) and err == b"", f"synod explain ended with {status}: {err!r}")
    return status, json.loads(out)


def wait_for_leader(cluster, number):
    wait_until(lambda: cluster.leader_id() == number, 20, f"{ID} {number} to lead")


def other_than(cluster, number):
    return next(node.id for node in cluster.members(ID) if node.id != number)


def under_load(cluster, work):
    """Runs work(load) under load; every record must be acknowledged, and in place."""
    load = Load(cluster, work.__name__)
    try:
        load.wait_for_more(100)
        notes = work(load)
        load.wait_for_more(100)
    finally:
        load.stop()
    prove(cluster, [load])
    return f"{load.acked} records, longest pause {load.gap_since(load.sent_at[0]) * 1000:.0f} ms" + (
        f"; {notes}" if notes else "")


# ---- settings

def first_show(cluster):
    """Before anything was set the settings are those of cluster.yml, of version 0."""
    settings = show(cluster)
    check(settings["oracle"] == "connected" and settings["version"] == 0, f"{settings}")
    check([row[ID] for row in settings["candidates"]] == [n.id for n in cluster.members(ID)],
          f"{settings}")
    table = run_ok("oracle", "show", cluster=cluster).decode()
    check("VERSION" in table and "MAY LEAD" in table, table)
    plain = run_ok("oracle", "show", "-o", "plain", cluster=cluster).decode()
    check(plain.startswith("oracle connected version 0 preempt off\n"), plain)
    check(f"{ID} 1 priority 0\n" in plain, plain)


def every_kind(cluster):
    """Each oracle is set live, and afterwards somebody leads."""
    def set_each(load):
        for kind in KINDS:
            version = show(cluster)["version"]
            settings = change(cluster, "set", kind)
            check(settings["oracle"] == kind and settings["version"] == version + 1, f"{settings}")
            load.wait_for_more(100)
            cluster.leader()
    return under_load(cluster, set_each)


def every_option(cluster):
    """All that can be set is shown, and stays when something else is changed."""
    before = show(cluster)["version"]
    kind = "static" if RAFT else "floodmax"
    change(cluster, "zone", "1=us", "3=eu")
    change(cluster, "set", kind, "--zone", "eu", "--diameter", "2", "--order", "2,1",
           "--topology", "3-2,1-2")
    change(cluster, "priority", "1=7", "2=4294967295")
    settings = change(cluster, "bar", "1")
    check(settings["version"] == before + 4, f"{settings}")
    check(settings == show(cluster), f"shown is {show(cluster)}")
    check((settings["oracle"], settings["zone"], settings["diameter"], settings["order"],
           settings["topology"]) == (kind, "eu", 2, [2, 1], [[1, 2], [2, 3]]), f"{settings}")
    rows = {row[ID]: (row["priority"], row["zone"], row["barred"])
            for row in settings["candidates"]}
    check(rows == {1: (7, "us", True), 2: (4294967295, None, False), 3: (0, "eu", False)}, f"{rows}")
    settings = change(cluster, "set", "connected", "--zone", "none", "--diameter", "0", "--order",
                      "none", "--topology", "none")
    check((settings["zone"], settings["order"], settings["topology"]) == (None, [], []),
          f"{settings}")
    change(cluster, "zone", "1=", "3=none")
    change(cluster, "priority", "1=0", "2=0")
    change(cluster, "allow", "1")
    same = show(cluster)["version"]
    check(change(cluster, "allow", "1")["version"] == same, "a change that changes nothing is one")


def zone_of_nobody(cluster):
    """A preferred zone in which nobody is would do nothing: it is refused, and the zones are named."""
    expect(USAGE, "oracle", "set", "connected", "--zone", "ue",
           words=[f'no {ID} is in zone "ue" (none is in any)', "synod oracle zone ID=ue"],
           cluster=cluster)
    change(cluster, "zone", "1=us", "2=eu", "3=us")
    version = show(cluster)["version"]
    line = expect(USAGE, "oracle", "set", "connected", "--zone", "ue",
                  words=["(the zones are us, eu)"], cluster=cluster)
    check(show(cluster)["version"] == version, "what was refused changed something")
    change(cluster, "set", "connected", "--zone", "eu")
    change(cluster, "zone", "1=none", "2=none", "3=none")
    change(cluster, "set", "static")  # the option that is not named stays, whoever left the zone
    settings = change(cluster, "set", "connected", "--zone", "none")
    check(settings["zone"] is None, f"{settings}")
    return line


def at_the_same_time(cluster):
    """Changes at the same time are all made: each is tried again when another was first."""
    version = show(cluster)["version"]
    children = [spawn([SYNOD, "oracle", "priority", f"{number}={10 + number}", "--cluster",
                       cluster.config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE) for number in (1, 2, 3)]
    for child in children:
        _, err = child.communicate(timeout=120)
        check(child.returncode == DONE, f"ended with {child.returncode}: {err!r}")
    settings = show(cluster)
    check(settings["version"] == version + 3, f"{settings}")
    check([row["priority"] for row in settings["candidates"]] == [11, 12, 13], f"{settings}")
    change(cluster, "priority", "1=0", "2=0", "3=0")


def barred(cluster):
    """A leader that is barred hands over under load and does not come back; allowed, it may."""
    def bar(load):
        leader = cluster.leader().id
        change(cluster, "bar", str(leader))
        wait_until(lambda: cluster.leader_id() not in (None, leader), 20, "another leader")
        check(candidate(cluster, leader)["barred"], f"{show(cluster)}")
        load.wait_for_more(100)
        line = expect(FAILED, "transfer", "--to", str(leader), words=["barred", "oracle allow"],
                      cluster=cluster)
        rest = [str(node.id) for node in cluster.members(ID) if node.id != leader]
        expect(USAGE, "oracle", "bar", *rest, words=["nobody may lead"], cluster=cluster)
        change(cluster, "allow", str(leader))
        check(not candidate(cluster, leader)["barred"], f"{show(cluster)}")
        run_ok("transfer", "--to", str(leader), cluster=cluster)
        return line
    return under_load(cluster, bar)


def preferred(cluster):
    """A higher priority alone replaces nobody; with preempt it does, under load."""
    def prefer(load):
        leader = cluster.leader().id
        other = other_than(cluster, leader)
        change(cluster, "set", "connected", "--no-preempt")
        change(cluster, "priority", f"{other}=50")
        load.wait_for_more(300)
        check(cluster.leader_id() == leader, "a priority alone replaced the leader")
        status, told = explain(cluster)
        check(status == DONE and any("preempt is off" in line for line in told["why"]), f"{told}")
        change(cluster, "set", "connected", "--preempt")
        wait_for_leader(cluster, other)
        change(cluster, "priority", f"{other}=0")
        change(cluster, "set", "connected", "--no-preempt")
    return under_load(cluster, prefer)


def line_of_successors(cluster):
    """With another oracle there is none, and the sentence says so; succession has one soon."""
    line = expect(FAILED, "oracle", "line", words=["succession"], cluster=cluster)
    if RAFT:
        return line
    change(cluster, "set", "succession")

    def registered():
        status, out, _ = command("oracle", "line", "-o", "json", cluster=cluster)
        return status == DONE and out.splitlines()
    rows = [json.loads(row) for row in wait_until(registered, 20, "somebody in the line")]
    check([row["place"] for row in rows] == list(range(1, len(rows) + 1)), f"{rows}")
    check(all(row["proposer"] in (1, 2, 3) and row["since"] > 0 for row in rows), f"{rows}")
    check(b"PLACE" in run_ok("oracle", "line", cluster=cluster), "no heading")
    change(cluster, "set", "connected")
    return line


# ---- transfer

def transfers(cluster):
    """Every candidate in turn is made the leader under load, and leads when the command ends."""
    def hand_round(load):
        for node in cluster.members(ID) * 2:
            before = cluster.leader().id
            done = json.loads(run_ok("transfer", "--to", str(node.id), "-o", "json",
                                     cluster=cluster))
            number = done.pop(NUMBER, "nothing")
            check(done == {"role": ID, "from": before, "to": node.id, "already": before == node.id},
                  f"{done}, and {before} led before")
            now = json.loads(run_ok("leader", "-o", "json", cluster=cluster))
            check(number == (None if done["already"] else now[NUMBER]),
                  f"{done} is said to be under {number}; {now}")
            check(cluster.leader_id() == node.id, f"{node} does not lead")
            load.wait_for_more(50)
        text = run_ok("transfer", "--to", str(node.id), cluster=cluster).decode()
        check(text == f"{ID} {node.id} leads already\n", text)
        done = json.loads(run_ok("transfer", "-o", "json", cluster=cluster))
        check(done["from"] == node.id and done["to"] != node.id, f"{done}")
    return under_load(cluster, hand_round)


def bad_input(cluster):
    expect(USAGE, "transfer", "--to", "9", words=[f"no {ID} 9"], cluster=cluster)
    expect(USAGE, "transfer", "--to", "0", cluster=cluster)
    expect(USAGE, "transfer", "2", words=["--to"], cluster=cluster)
    expect(USAGE, "explain", "all", cluster=cluster)
    expect(USAGE, "oracle", words=["show", "set"], cluster=None)
    expect(USAGE, "oracle", "moon", words=["no verb"], cluster=cluster)
    expect(USAGE, "oracle", "show", "x", cluster=cluster)
    expect(USAGE, "oracle", "line", "x", cluster=cluster)
    expect(USAGE, "oracle", "set", cluster=cluster)
    expect(USAGE, "oracle", "set", "moon", words=["moon", "floodmax"], cluster=cluster)
    expect(USAGE, "oracle", "set", "static", "--order", "2,2", words=["each once"], cluster=cluster)
    expect(USAGE, "oracle", "set", "static", "--order", "2,", cluster=cluster)
    expect(USAGE, "oracle", "set", "static", "--order", "9", words=[f"no {ID} 9"], cluster=cluster)
    expect(USAGE, "oracle", "set", "connected", "--topology", "1-1", cluster=cluster)
    expect(USAGE, "oracle", "set", "connected", "--topology", "1-2", words=["not connected"],
           cluster=cluster)
    expect(USAGE, "oracle", "set", "connected", "--topology", "1-2,2-3", "--diameter", "1",
           words=["diameter of 2"], cluster=cluster)
    expect(USAGE, "oracle", "set", "connected", "--diameter", "32", cluster=cluster)
    expect(USAGE, "oracle", "set", "connected", "--zone", "a b", words=["no zone"], cluster=cluster)
    for sub in ("priority", "zone", "bar", "allow"):
        expect(USAGE, "oracle", sub, cluster=cluster)
    expect(USAGE, "oracle", "priority", "1", cluster=cluster)
    expect(USAGE, "oracle", "priority", "1=-1", cluster=cluster)
    expect(USAGE, "oracle", "priority", "9=1", words=[f"no {ID} 9"], cluster=cluster)
    expect(USAGE, "oracle", "zone", "1=a/b", words=["no zone"], cluster=cluster)
    expect(USAGE, "oracle", "bar", "x", cluster=cluster)
    expect(USAGE, "oracle", "bar", "1", "2", "3", words=["nobody may lead"], cluster=cluster)
    if RAFT:
        return expect(USAGE, "oracle", "set", "ring", words=["raft", "connected or static"],
                      cluster=cluster)
    return None


# ---- explain

def explain_healthy(cluster):
    """Who leads, under what, heard by whom, and why: in sentences and in JSON."""
    leader = cluster.leader().id
    status, told = explain(cluster)
    check(status == DONE and told["leader"]["id"] == leader and told["leader"]["role"] == ID,
          f"{told}")
    check(len(told["leader"]["heard_by"]) >= 2 and told["leader"]["lease_left_ms"] > 0, f"{told}")
    check(told["protocol"] == PROTOCOL and told["oracle"]["known"], f"{told}")
    check(told["why"] and len(told["acceptors"]) == 3 and len(told["proposers"]) == 3, f"{told}")
    text = run_ok("explain", cluster=cluster).decode()
    word = "in term" if RAFT else "under ballot"
    check(text.startswith(f"{ID.capitalize()} {leader} leads {word} "), text)
    check("FROM A1" in run_ok("explain", "-o", "table", cluster=cluster).decode(), "no table")
    return text.splitlines()[0]


def explain_proposer_down(cluster):
    """One proposer down: somebody leads, who is silent is named, and what to do."""
    node = cluster.standby() if not RAFT else cluster.node("proposer", 3)
    node.kill()
    try:
        def named():
            status, told = explain(cluster)
            return status == DONE and f"Proposer {node.id} does not answer." in told["missing"] and (
                f"start proposer {node.id}" in told["try"])
        wait_until(named, 20, f"explain to name {node}")
    finally:
        node.start()


def explain_no_quorum(cluster):
    """Two acceptors down: nobody leads, who is missing is named, and which to start; then one is
    started, and somebody leads."""
    dead = [cluster.node("acceptor", 1), cluster.node("acceptor", 2)]
    for node in dead:
        node.kill()

    def missing():
        status, told = explain(cluster)
        return status == UNAVAILABLE and told["leader"] is None and (
            "start acceptor 1 or 2" in told["try"]) and told
    try:
        told = wait_until(missing, 20, "explain to say what is missing")
        check("Acceptors 1 and 2 are silent: 1 of 3 acceptors answers, and 2 are needed."
              in told["missing"], f"{told}")
        status, out, _ = command("explain", cluster=cluster)
        check(status == UNAVAILABLE and b"try: start acceptor 1 or 2\n" in out, f"{out!r}")
        expect(UNAVAILABLE, "transfer", "--timeout", "1s", cluster=cluster)
        expect(UNAVAILABLE, "oracle", "set", "static", "--timeout", "1s", cluster=cluster)
        dead[0].start()
        wait_until(lambda: explain(cluster)[0] == DONE, 20, "a leader")
    finally:
        for node in dead:
            if not node.is_running():
                node.start()
    return told["who"][0]


def explain_nobody_there(cluster):
    """Every proposer down: that is said as soon as a learner has answered, not after the timeout;
    without learners, too, within the time given."""
    for node in cluster.members("proposer"):
        node.kill()
    try:
        status, told = explain(cluster, "--timeout", "1h")
        check(status == UNAVAILABLE and told["leader"] is None, f"{told}")
        check(told["missing"] == ["Proposers 1, 2 and 3 are silent."], f"{told}")
        for node in cluster.members("learner"):
            node.kill()
        status, told = explain(cluster, "--timeout", "1s")
        check(status == UNAVAILABLE and not told["oracle"]["known"], f"{told}")
        check("Proposers 1, 2 and 3 are silent." in told["missing"], f"{told}")
    finally:
        for node in cluster.members("proposer") + cluster.members("learner"):
            if not node.is_running():
                node.start()
    cluster.leader()


def run(report):
    with Cluster(proposers=3, name="oracle") as cluster:
        tests = [
            ("oracle show: what cluster.yml says", first_show),
            ("oracle set: every kind, live, without an error for clients", every_kind),
            ("oracle set, priority, zone, bar: everything is shown, and stays", every_option),
            ("oracle set --zone: a zone that nobody is in is refused", zone_of_nobody),
            ("oracle priority: changes at the same time are all made", at_the_same_time),
            ("oracle bar, allow: a barred leader hands over, under load", barred),
            ("oracle priority: replaces a leader only with preempt, under load", preferred),
            ("oracle line: the successors, or why there are none", line_of_successors),
            ("transfer: every candidate in turn, under load", transfers),
            ("explain: a healthy cluster", explain_healthy),
            ("explain: a proposer is down", explain_proposer_down),
            ("explain: no quorum of acceptors", explain_no_quorum),
            ("explain: no proposer", explain_nobody_there),
            ("bad input of each verb is refused with a sentence", bad_input),
        ]
        for what, function in tests:
            report.test(what, lambda function=function: function(cluster))
