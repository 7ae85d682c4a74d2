"""A learner whose state is not the one that was agreed on: it is found out, also when nobody asks for
anything, serves nobody any more, does not start again, and can be made anew."""

import os
import shutil
import subprocess

from cluster import BUILD, Cluster, check, command, wait_until
from load import Load, prove, prove_equal_digests
from refusals import FAILED, refusal_of

TWIST = os.path.join(BUILD, "tests", "process", "tool_twist")


def twist(cluster, learner):
    """Stops it, changes its state by one bit, and starts it again."""
    status = learner.terminate()
    check(status == 0, f"{learner} ended with status {status} after SIGTERM")
    done = subprocess.run([TWIST, cluster.config, str(learner.id), learner.data], check=False,
                          stderr=subprocess.PIPE)
    check(done.returncode == 0, f"tool_twist: {done.stderr!r}")
    learner.start()


def expect_end(learner, words):
    """It ends by itself, says why, and the next start is refused for the same reason."""
    wait_until(lambda: not learner.is_running(), 20, f"{learner} to end, which differs")
    check(learner.process.returncode == FAILED, f"it ended with {learner.process.returncode}")
    last = learner.log_text().splitlines()[-1]
    check(words in last and "at slot " in last and "; try: " in last,
          f'expected "{words}" and the slot in: {last}')
    status, sentence = refusal_of(learner.arguments())
    check(status == FAILED and "was found to differ from learner" in sentence,
          f"the next start ended with {status}: {sentence}")
    return last[last.index("differs"):last.index(" (")]


def make_anew(cluster, learner):
    shutil.rmtree(learner.data)
    status, _, err = command("init", "--cluster-file", cluster.config, "--role", "learner", "--id",
                             str(learner.id), "--data", learner.data)
    check(status == 0, f"synod init ended with {status}: {err!r}")
    learner.start()


def one_of_three():
    """The other two go on; when it has been made anew it is like them."""
    with Cluster(learners=3, name="digests") as cluster:
        load = Load(cluster, "digests")
        load.wait_for_more(200)
        load.stop()
        wrong = cluster.node("learner", 3)
        twist(cluster, wrong)  # and nobody asks for anything
        said = expect_end(wrong, "differs from learner ")
        more = Load(cluster, "more")
        more.wait_for_more(200)
        more.stop()
        make_anew(cluster, wrong)
        count = prove(cluster, [load, more])
        prove_equal_digests(cluster)
        return f"\"{said}\"; {count} records afterwards"


def after_a_rolling_restart():
    """The others have just been started, and know nothing of each other: that one alone ends, and they
    go on."""
    with Cluster(learners=3, name="digests") as cluster:
        load = Load(cluster, "digests")
        load.wait_for_more(200)
        load.stop()
        *sound, wrong = cluster.members("learner")
        for learner in sound:
            learner.terminate()
            learner.start()
        twist(cluster, wrong)
        expect_end(wrong, "differs from learner ")
        make_anew(cluster, wrong)
        for learner in sound:
            check(learner.is_running(), f"{learner} ended: {learner.log_text()[-600:]}")
        prove(cluster, [load])
        prove_equal_digests(cluster)


def one_of_two():
    """Nobody can tell who is right: both end. Made anew from the log, both are."""
    with Cluster(name="digests") as cluster:
        load = Load(cluster, "digests")
        load.wait_for_more(200)
        load.stop()
        first, second = cluster.members("learner")
        twist(cluster, second)
        expect_end(first, "differs from learner 2")
        expect_end(second, "differs from learner 1")
        for learner in (first, second):
            make_anew(cluster, learner)
        prove(cluster, [load])
        prove_equal_digests(cluster)


def run(report):
    report.test("a learner of three that differs ends for good, without any traffic", one_of_three)
    report.test("a learner that differs after all were restarted ends alone", after_a_rolling_restart)
    report.test("two learners that differ both end for good", one_of_two)
