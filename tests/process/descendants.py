"""What a command under a lock has started, children of children and orphans too: when the lock is lost
all of it is told and then killed, and nothing of it is touched when the command ends by itself."""

import os
import select
import signal
import subprocess
import time

from cluster import SLOWER, SYNOD, Cluster, check, spawn, wait_until
from commands import FAILED, run_ok
from keys import parsed
from recipes import content, end, start
from tap import Skip

# Parts of scripts for sh -c: each process that is to be followed adds its pid to $OUT.
ME = "echo $$ >>$OUT"
PROGRAMS = {
    "worker": f"{ME}; exec sleep 1000",
    "deaf": f"trap '' TERM; {ME}; exec sleep 1000",
    "deep": "case $1 in 0) $TO/worker;; *) $TO/deep $(($1 - 1));; esac; true",
    "stopped": f"{ME}; kill -STOP $$; sleep 1000",
    "other": "exec setpriv --reuid=65534 --clear-groups sh -c 'echo $$; exec sleep 1000' >>$OUT",
}


def write_programs(cluster):
    for name, script in PROGRAMS.items():
        path = f"{cluster.directory}/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)


def hold_on_to(pid, path):
    """A descriptor of the process, so that nobody else with its pid is ever taken for it, or None: it
    has ended, and if somebody has its pid he does not have our environment."""
    try:
        fd = os.pidfd_open(pid)
        with open(f"/proc/{pid}/environ", "rb") as file:
            if f"OUT={path}".encode() in file.read().split(b"\0"):
                return fd
        os.close(fd)
    except (ProcessLookupError, FileNotFoundError):
        pass
    return None


class Followed:
    """Processes that write their pids into a file."""

    def __init__(self, path):
        self.path, self.fds = path, {}

    def pids(self):
        return [int(word) for word in content(self.path) if word.isdigit()]

    def alive(self):
        for pid in self.pids():
            if pid not in self.fds:
                self.fds[pid] = hold_on_to(pid, self.path)
        return [pid for pid, fd in self.fds.items()
                if fd is not None and not select.select([fd], [], [], 0)[0]]

    def is_one_stopped(self):
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "T":
                    return True
        return False

    def kill(self):
        for pid in self.alive():
            try:
                signal.pidfd_send_signal(self.fds[pid], signal.SIGKILL)
            except ProcessLookupError:
                pass
        for fd in self.fds.values():
            if fd is not None:
                os.close(fd)
        self.fds = {}


class Held:
    """`synod lock NAME OPTIONS -- sh -c SCRIPT`, whose processes write their pids, and are gone at the
    end of the test whatever happens."""

    def __init__(self, cluster, name, script, count, options=(), verb=("lock",), before=()):
        self.cluster, self.name = cluster, name
        self.kind = {"lock": "lock", "elect": "election"}[verb[0]]
        self.out = f"{cluster.directory}/{name}"
        self.errors = f"{self.out}.err"
        self.followed = Followed(self.out)
        arguments = [*before, SYNOD, verb[0], name, *verb[1:], "--cluster", cluster.config, *options,
                     "--", "sh", "-c", script]
        with open(self.errors, "wb") as errors:
            self.process = spawn(arguments, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                 env=dict(os.environ, OUT=self.out, TO=cluster.directory))
        try:
            wait_until(lambda: len(self.followed.pids()) >= count, 20, f"{count} processes to run")
            self.followed.alive()
        except Exception:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.followed.kill()

    def lose(self, way="session"):
        held = parsed("get", "--prefix", f"synod/{self.kind}/{self.name}/", cluster=self.cluster)["kvs"]
        if way == "key":
            run_ok("del", held[0]["key"], cluster=self.cluster)
        else:
            run_ok("lease", "revoke", str(held[0]["lease"]), cluster=self.cluster)

    def wait(self):
        """Its exit status and its last line on standard error."""
        try:
            self.process.wait(30 * SLOWER)
        except subprocess.TimeoutExpired:
            check(False, f"it has not ended; of its processes {self.followed.alive()} live")
        with open(self.errors, encoding="utf-8") as file:
            return self.process.returncode, (file.read().splitlines() or [""])[-1]

    def expect_lost(self):
        """It ends as who has lost the lock, and by then none of its processes is left."""
        status, sentence = self.wait()
        alive = self.followed.alive()
        check(status == FAILED and sentence.startswith("error: ") and "was lost" in sentence and
              sentence.endswith("and a longer --ttl"), f"{status} {sentence!r}")
        check(not alive, f"of {self.followed.pids()} there live {alive}")
        return sentence


# ---- when the lock is lost

def all_are_told(cluster):
    """SIGTERM is enough for those who listen: --grace never comes. A child in the foreground, one in
    the background, both ends of a pipe, an orphan in a session of its own, and one that was stopped."""
    scripts = {
        "foreground": (f"{ME}; $TO/worker; true", 2),
        "background": (f"{ME}; $TO/worker & wait", 2),
        "deep": ("$TO/deep 5; true", 1),
        "pipe": (f"{ME}; $TO/worker | $TO/worker; true", 3),
        "orphan": (f"(setsid $TO/worker &); $TO/worker; true", 2),
        "stopped": ("($TO/stopped &); $TO/worker; true", 2),
    }
    for name, (script, count) in scripts.items():
        with Held(cluster, f"told-{name}", script, count, ("--grace", "1h")) as held:
            if name == "stopped":
                wait_until(held.followed.is_one_stopped, 20, "it to stop")
            held.lose("key" if name == "pipe" else "session")
            sentence = held.expect_lost()
    return sentence


def leadership_lost(cluster):
    """The same for `synod elect`."""
    with Held(cluster, "led", f"{ME}; $TO/worker; true", 2, ("--grace", "1h"), ("elect", "me")) as held:
        held.lose()
        return held.expect_lost()


def deaf_are_killed(cluster):
    """Who does not hear SIGTERM gets SIGKILL after --grace, and so does what is started meanwhile; the
    end of the command itself is not the end."""
    scripts = {
        "child": (f"{ME}; $TO/deaf; true", 2),
        "orphan": (f"(setsid $TO/deaf &); $TO/worker", 2),
        "all": (f"trap '' TERM; {ME}; $TO/worker & $TO/worker & wait", 3),
        "busy": (f"trap '' TERM; {ME}; while :; do sleep 0.01; (sleep 0.05 &); done", 1),
    }
    for name, (script, count) in scripts.items():
        with Held(cluster, f"deaf-{name}", script, count, ("--grace", "500ms")) as held:
            held.lose()
            held.expect_lost()


def time_to_clean_up(cluster):
    """Who was told may start something to clean up with, and that has the time until --grace. What it
    leaves behind is told when it has ended itself."""
    script = ("trap 'sh -c \"trap \\\"echo told >>$OUT; exit\\\" TERM; echo cleaning >>$OUT; "
              "while [ ! -e $OUT.go ]; do sleep 0.05; done; echo clean >>$OUT\"; "
              f"(sleep 1000 & echo $! >>$OUT); exit 3' TERM; {ME}; while :; do sleep 0.05; done")
    with Held(cluster, "clean", script, 1, ("--grace", "1h")) as held:
        held.lose()
        wait_until(lambda: "cleaning" in content(held.out), 20, "the command to clean up")
        time.sleep(1)  # several looks, each of which could tell it
        with open(f"{held.out}.go", "wb"):
            pass
        held.expect_lost()
        said = [word for word in content(held.out) if not word.isdigit()]
        check(said == ["cleaning", "clean"], f"it says {said}")
        check(len(held.followed.pids()) == 2, f"nothing was left behind: {held.followed.pids()}")


def signals_while_some_are_left(cluster):
    """When the command has ended and others have not, there is nobody to pass a signal on to, and it
    does not end the wait for them."""
    with Held(cluster, "left", f"{ME}; $TO/deaf; true", 2, ("--grace", "3s")) as held:
        held.lose()
        wait_until(lambda: len(held.followed.alive()) <= 1, 20, "the command to end")
        held.process.send_signal(signal.SIGTERM)
        held.process.send_signal(signal.SIGINT)
        held.expect_lost()


def of_another_user(cluster):
    """What another user runs cannot be killed: that is said, with its pid, and not waited for."""
    if os.geteuid() != 0:
        raise Skip("needs root to become another user")
    without = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    for name, script, count in (("child", f"{ME}; $TO/other; true", 2), ("itself", "exec $TO/other", 1)):
        with Held(cluster, f"other-{name}", script, count, ("--grace", "200ms"),
                  before=without) as held:
            held.lose()
            status, sentence = held.wait()
            alive = held.followed.alive()
            check(len(alive) == 1, f"there live {alive}")
            check(status == FAILED and "was lost" in sentence and f"({alive[0]})" in sentence,
                  f"{status} {sentence!r}")
    return sentence


def without_proc(cluster):
    """Where /proc does not show it, the command is told as ever. What it leaves behind cannot be found:
    that is said when --grace is over."""
    before = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
    if subprocess.run([*before, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("needs root to hide /proc")
    with Held(cluster, "hidden-told", "exec $TO/worker", 1, ("--grace", "1h"), before=before) as held:
        held.lose()
        held.expect_lost()
    with Held(cluster, "hidden-deaf", "exec $TO/deaf", 1, ("--grace", "100ms"), before=before) as held:
        held.lose()
        held.expect_lost()
    with Held(cluster, "hidden", "($TO/worker &); exec $TO/worker", 2, ("--grace", "100ms"),
              before=before) as held:
        held.lose()
        status, sentence = held.wait()
        check(status == FAILED and "/proc does not show" in sentence, f"{status} {sentence!r}")
        check(len(held.followed.alive()) == 1, f"there live {held.followed.alive()}")
    return sentence


def strangers(cluster):
    """Children that the process had before it became `synod` are not its command's: they are neither
    told nor waited for."""
    before = ("sh", "-c", f"$TO/worker & while [ ! -s $OUT ]; do sleep 0.01; done; exec \"$@\"", "sh")
    for name, script in (("told", f"{ME}; $TO/worker; true"), ("killed", f"{ME}; $TO/deaf; true")):
        with Held(cluster, f"strange-{name}", script, 3, ("--grace", "500ms"), before=before) as held:
            held.lose()
            status, sentence = held.wait()
            alive = held.followed.alive()
            check(status == FAILED and "was lost" in sentence, f"{status} {sentence!r}")
            check(alive == held.followed.pids()[:1], f"of {held.followed.pids()} there live {alive}")


# ---- when it is not

def end_without_loss(cluster):
    """What a command leaves behind when it ends is left alone and not waited for."""
    with Held(cluster, "behind", f"$TO/worker & while [ ! -s $OUT ]; do sleep 0.01; done; exit 4",
              1) as held:
        status, _ = held.wait()
        check(status == 4, f"exit status {status}")
        check(held.followed.alive() == held.followed.pids(), "the child in the background is gone")


def told_to_end(cluster):
    """A shell that is told to end leaves its work behind: that ends, too, before the lock is free."""
    for name, script, grace in (("works", f"{ME}; $TO/worker; true", "1h"),
                                ("deaf", f"{ME}; $TO/deaf; true", "500ms")):
        with Held(cluster, f"end-{name}", script, 2, ("--grace", grace)) as held:
            held.process.send_signal(signal.SIGTERM)
            status, _ = held.wait()
            check(status == 128 + signal.SIGTERM, f"exit status {status}")
            check(not held.followed.alive(), f"there live {held.followed.alive()}")
    script = f"trap 'exit 5' TERM; {ME}; $TO/worker & wait"
    with Held(cluster, "end-trap", script, 2, ("--grace", "1h")) as held:
        held.process.send_signal(signal.SIGTERM)
        status, _ = held.wait()
        check(status == 5, f"exit status {status}")
        check(not held.followed.alive(), f"there live {held.followed.alive()}")


def orphans_are_reaped(cluster):
    """The orphans that are adopted while the command runs do not pile up as zombies."""
    script = (f"for i in 1 2 3; do (sh -c '{ME}' &); done; while [ ! -e $OUT.go ]; do sleep 0.05; done; "
              "exit 6")
    with Held(cluster, "zombies", script, 3) as held:
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in held.followed.pids()), 20,
                   "the orphans to be reaped")
        with open(f"{held.out}.go", "wb"):
            pass
        status, sentence = held.wait()
        check(status == 6, f"{status} {sentence!r}")


def signals_go_to_the_command(cluster):
    """A signal to the verb reaches the command alone."""
    child = "sh -c 'trap \"echo child\" USR1; echo up; while [ ! -e $0 ]; do sleep 0.05; done' $0"
    process = start(cluster, "lock", "alone", command_line=(
        "sh", "-c", f"trap 'echo parent; touch $0' USR1; {child} & wait $!; wait $!; exit 8",
        f"{cluster.directory}/alone.go"))
    try:
        check(process.stdout.readline() == b"up\n", "the command does not run")
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=30)
        check(process.returncode == 8 and out == b"parent\n", f"{process.returncode} {out!r} {err!r}")
    finally:
        end(process)


def run(report):
    with Cluster(name="descendants") as cluster:
        write_programs(cluster)
        for what, function in (
                ("lock lost: all that the command started is told", all_are_told),
                ("elect: leadership lost", leadership_lost),
                ("lock lost: who does not listen is killed, whatever the command does", deaf_are_killed),
                ("lock lost: time to clean up", time_to_clean_up),
                ("lock lost: signals while some are left", signals_while_some_are_left),
                ("lock lost: processes of another user", of_another_user),
                ("lock lost: no /proc", without_proc),
                ("lock lost: children from before are left alone", strangers),
                ("lock held to the end: what is left behind is left alone", end_without_loss),
                ("lock held: told to end, the whole job does", told_to_end),
                ("lock held: orphans are reaped", orphans_are_reaped),
                ("lock held: signals reach the command alone", signals_go_to_the_command)):
            report.test(what, lambda function=function: function(cluster))
