"""Runs all groups of process tests, or those named as arguments; speaks TAP."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import beside_etcd  # noqa: E402
import commands  # noqa: E402
import coordination  # noqa: E402
import descendants  # noqa: E402
import digests  # noqa: E402
import disks  # noqa: E402
import failures  # noqa: E402
import keys  # noqa: E402
import nonsense  # noqa: E402
import oracle  # noqa: E402
import outside  # noqa: E402
import readme  # noqa: E402
import recipes  # noqa: E402
import refusals  # noqa: E402
import sessions  # noqa: E402
import storm  # noqa: E402
import threads  # noqa: E402
from cluster import PROTOCOL  # noqa: E402
from tap import Report, note  # noqa: E402

GROUPS = {
    "refusals": refusals.run,
    "commands": commands.run,
    "keys": keys.run,
    "recipes": recipes.run,
    "descendants": descendants.run,
    "beside_etcd": beside_etcd.run,
    "oracle": oracle.run,
    "failures": failures.run,
    "storm": storm.run,
    "coordination": coordination.run,
    "sessions": sessions.run,
    "threads": threads.run,
    "digests": digests.run,
    "outside": outside.run,
    "nonsense": nonsense.run,
    "disks": disks.run,
    "readme": readme.run,
}

# What happens in the verb, or in the state machine, is the same whatever made the log: once is enough,
# unless they are named.
ONCE = {"descendants", "beside_etcd"}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    report = Report()
    for name in sys.argv[1:] or [n for n in GROUPS if PROTOCOL == "paxos" or n not in ONCE]:
        note(name)
        report.group(name, GROUPS[name])
    return report.finish()


sys.exit(main())
