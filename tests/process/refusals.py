"""What a daemon refuses at its start: one clear sentence, the right exit status, and nobody else is
disturbed while it tries."""

import os
import shutil
import socket
import subprocess

from cluster import PROTOCOL, SLOWER, Cluster, check, command, rewrite, spawn, wait_until
from load import Load, prove

USAGE, FAILED, REFUSED = 3, 1, 4


def refusal_of(arguments, seconds=10):
    """Runs a daemon that has to end by itself: (exit status, its last line)."""
    process = spawn(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
    try:
        _, err = process.communicate(timeout=seconds * SLOWER)
    except subprocess.TimeoutExpired:
        process.kill()
        _, err = process.communicate()
        check(False, f"{' '.join(arguments)} did not end within {seconds} s: "
              f"{err.decode(errors='replace')[-600:]}")
    lines = err.decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    check(len(errors) == 1 and lines[-1] == errors[0],
          f"expected one sentence at the end, got: {lines}")
    return process.returncode, errors[0]


def expect(arguments, status, *words, seconds=10):
    got, sentence = refusal_of(arguments, seconds)
    check(got == status, f"exit status {got} and not {status}: {sentence}")
    for word in words:
        check(word in sentence, f'"{word}" is missing in: {sentence}')
    check("; try: " in sentence, f"no way out is named in: {sentence}")
    return sentence


def copy_config(cluster, name, edit):
    path = f"{cluster.directory}/{name}.yml"
    shutil.copy(cluster.config, path)
    rewrite(path, edit)
    return path


def line_of(path, word):
    with open(path, encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if word in line)


def replaced(old, new):
    def edit(text):
        check(old in text, f'cluster.yml has no "{old}"')
        return text.replace(old, new)
    return edit


def other_ports(text):
    """The same cluster as one would find it on another host by mistake: all ports moved on."""
    for digit in range(10):
        text = text.replace(f'127.0.0.1:{digit}', f'127.0.0.1:@{digit}')
    words = text.split("127.0.0.1:@")
    out = words[0]
    for word in words[1:]:
        port, rest = word.split('"', 1)
        out += f'127.0.0.1:{int(port) + 50}"{rest}'
    return out


def config_mistakes(cluster):
    acceptor = cluster.node("acceptor", 1)

    def unknown_key():
        path = copy_config(cluster, "unknown", lambda text: text.replace("oracle:", "orakle:"))
        return expect(acceptor.arguments(config=path), USAGE,
                      f"{path}:{line_of(path, 'orakle')}", "orakle", "unknown key")

    def quorums():
        path = copy_config(cluster, "quorums",
                           lambda text: text + "quorums: { prepare: 1, accept: 2 }\n")
        return expect(acceptor.arguments(config=path), USAGE,
                      f"{path}:{line_of(path, 'quorums')}", "do not intersect")

    def no_file():
        return expect(acceptor.arguments(config="/nowhere/cluster.yml"), USAGE,
                      "/nowhere/cluster.yml")

    def stranger():
        arguments = acceptor.arguments()
        arguments[arguments.index("--id") + 1] = "9"
        return expect(arguments, USAGE, "acceptor 9", cluster.config)

    return unknown_key, quorums, no_file, stranger


def store_mistakes(cluster):
    acceptor = cluster.node("acceptor", 1)

    def missing():
        return expect(acceptor.arguments(data=f"{cluster.directory}/nothing"), FAILED,
                      f"{cluster.directory}/nothing", "synod init")

    def other_node():
        learner = cluster.node("learner", 2)
        one = expect(acceptor.arguments(data=cluster.node("acceptor", 2).data), REFUSED, "acceptor 2")
        expect(learner.arguments(data=cluster.node("learner", 1).data), REFUSED, "learner 1")
        return one

    def other_cluster():
        path = copy_config(cluster, "other", renumber)
        return expect(acceptor.arguments(config=path), REFUSED, "cluster")

    return missing, other_node, other_cluster


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def damaged_stores(cluster, load):
    """Each file of an acceptor's store that has votes in it, cut to half or gone: it does not start.

    LevelDB's LOG is text for people. Half of the guard is one of its two copies, and enough."""
    load.wait_for_more(100)
    acceptor = cluster.node("acceptor", 1)
    acceptor.kill()
    path = f"{cluster.directory}/damaged"
    count = 0
    for name in sorted(os.listdir(acceptor.data)):
        for damage in (cut, os.unlink):
            if name in ("LOCK", "LOG", "LOG.old") or (name == "guard" and damage is cut):
                continue
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(acceptor.data, path)
            damage(f"{path}/{name}")
            status, sentence = refusal_of(acceptor.arguments(data=path))
            check(status == FAILED and path in sentence,
                  f"{name} {damage.__name__}: status {status}: {sentence}")
            count += 1
    acceptor.start()
    load.wait_for_more(100)
    check(count >= 5, f"only {count} damages could be tried")
    return f"{count} damages, the last: {sentence}"


def lost_tail(cluster, load):
    """An acceptor whose newest log lost its tail has lost votes that it acknowledged: the guard
    knows, and it does not start (amnesia would let two values be chosen). A quarter of the log is
    more than the one batch that kill -9 can leave unacknowledged."""
    load.wait_for_more(100)
    acceptor = cluster.node("acceptor", 2)
    acceptor.kill()
    path = f"{cluster.directory}/tail"
    shutil.copytree(acceptor.data, path)
    log = max(name for name in os.listdir(path) if name.endswith(".log"))
    os.truncate(f"{path}/{log}", os.path.getsize(f"{path}/{log}") * 3 // 4)
    sentence = expect(acceptor.arguments(data=path), FAILED, "lost acknowledged state", path)
    acceptor.start()
    load.wait_for_more(100)
    return sentence


def learner_made_anew(cluster, load):
    """A learner that lost everything gets an empty store and fetches the whole log again."""
    learner = cluster.node("learner", 2)
    learner.kill()
    shutil.rmtree(learner.data)
    status, _, err = command("init", "--cluster-file", cluster.config, "--role", "learner", "--id",
                             "2", "--data", learner.data)
    check(status == 0, f"synod init ended with {status}: {err!r}")
    learner.start()
    load.wait_for_more(100)


def renumber(text):
    return "\n".join("id: 00000000deadbeef" if line.startswith("id: ") else line
                     for line in text.splitlines()) + "\n"


def other_protocol(cluster):
    """Promises and terms mean nothing to each other: acceptors and learners say whose store it is."""
    other = {"paxos": "raft", "raft": "paxos"}[PROTOCOL]
    path = copy_config(cluster, other, replaced(f"protocol: {PROTOCOL}", f"protocol: {other}"))
    for role in ("acceptor", "learner"):
        sentence = expect(cluster.node(role, 1).arguments(config=path), REFUSED, PROTOCOL, other)
    return sentence


def address_in_use(cluster):
    acceptor = cluster.node("acceptor", 1)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", cluster.ports(acceptor)[0]))
        taken.listen()
        return expect(acceptor.arguments(), USAGE, str(cluster.ports(acceptor)[0]), "in use")


def second_process(cluster, load):
    """The store is locked: the second acceptor 1 ends and the first goes on."""
    path = copy_config(cluster, "moved", other_ports)
    sentence = expect(cluster.node("acceptor", 1).arguments(config=path), REFUSED, "acceptor-1")
    load.wait_for_more(100)
    return sentence


def duplicate_proposer(cluster, load):
    """A proposer of the same id from a copied cluster.yml, moved to other ports, has to end."""
    leader = cluster.leader()
    proposer = leader if leader.role == "proposer" else cluster.members("proposer")[0]
    path = f"{cluster.directory}/duplicate.yml"
    shutil.copy(cluster.config, path)
    ports = {str(port): str(port + 50) for port in cluster.ports(proposer)}

    def move(text):
        for old, new in ports.items():
            text = text.replace(f':{old}"', f':{new}"')
        return text
    rewrite(path, move)
    sentence = expect(proposer.arguments(config=path), REFUSED, f"proposer {proposer.id}",
                      seconds=20)
    load.wait_for_more(100)
    check(cluster.leader() is leader, f"{leader} led before its double came")
    return sentence


def other_cluster_speaks(cluster, load):
    """A proposer of another cluster whose cluster.yml names our addresses is turned away."""
    standby = cluster.standby()
    load.wait_for_more(100)
    leader = cluster.leader()
    path = copy_config(cluster, "foreign", renumber)
    ports = {str(port): str(port + 50) for port in cluster.ports(standby)}

    def move(text):
        for old, new in ports.items():
            text = text.replace(f':{old}"', f':{new}"')
        return text
    rewrite(path, move)
    process = spawn(standby.arguments(config=path), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        acceptor = cluster.node("acceptor", 1)
        wait_until(lambda: "reason=cluster" in acceptor.log_text(), 5,
                   "acceptor 1 to log that it refused a process of another cluster")
        load.wait_for_more(100)
        check(cluster.leader() is leader, "a stranger's hello changed who leads")
    finally:
        process.kill()
        process.wait()


def client_of_other_cluster(cluster, load):
    """A client whose cluster.yml belongs to another cluster is refused, with status 4."""
    path = copy_config(cluster, "client", renumber)
    status, _, err = command("append", "x", "--cluster", path, "--timeout", "5s")
    check(status == REFUSED, f"exit status {status} and not {REFUSED}: {err!r}")
    check(b"cluster" in err, f"the sentence does not name the cluster: {err!r}")
    load.wait_for_more(100)
    return err.decode().strip()


def run(report):
    with Cluster(name="refusals", start=False) as cluster:
        unknown_key, quorums, no_file, stranger = config_mistakes(cluster)
        report.test("an unknown key in cluster.yml is refused with file, line and key", unknown_key)
        report.test("quorums that do not intersect are refused", quorums)
        report.test("a missing cluster.yml is refused", no_file)
        report.test("an id that cluster.yml does not list is refused", stranger)
        missing, other_node, other_cluster = store_mistakes(cluster)
        report.test("a missing store is refused, and how to make one is said", missing)
        report.test("the store of another node is refused", other_node)
        report.test("the store of another cluster is refused", other_cluster)
        report.test("a directory of one protocol is refused under the other",
                    lambda: other_protocol(cluster))
        report.test("an address in use is refused", lambda: address_in_use(cluster))
    with Cluster(name="doubles") as cluster:
        load = Load(cluster, "doubles")
        report.test("a second process on one store is refused", lambda: second_process(cluster, load))
        report.test("a second proposer of one id is refused and disturbs nobody",
                    lambda: duplicate_proposer(cluster, load))
        report.test("a process of another cluster is turned away",
                    lambda: other_cluster_speaks(cluster, load))
        report.test("a client of another cluster is refused",
                    lambda: client_of_other_cluster(cluster, load))
        report.test("a damaged store is refused, whichever file is cut or gone",
                    lambda: damaged_stores(cluster, load))
        report.test("an acceptor that lost acknowledged votes is refused",
                    lambda: lost_tail(cluster, load))
        report.test("a learner made anew fetches the whole log",
                    lambda: learner_made_anew(cluster, load))
        report.test("nothing acknowledged meanwhile is lost", lambda: finish(cluster, load))


def finish(cluster, load):
    load.stop()
    return f"{prove(cluster, [load])} records"
