"""Runs all checks on the tree and on trees with known offences; speaks TAP."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import layering
import mutants
import purity
import selftest
import tidy

ROOT = os.getcwd()
ARCHIVE = os.path.join(os.environ.get("BUILD", "build"), "libcores.a")


def results():
    yield "includes go downwards only", layering.check(ROOT)
    yield "the archive of cores is pure", purity.check(ARCHIVE, bool(os.environ.get("SAN")))
    yield "the archive of cores holds no seeded bug", mutants.check(ROOT, ARCHIVE)
    yield "width, length, tabs, banned calls", tidy.check_text(ROOT)
    yield "no dead file", tidy.check_reachable(ROOT, tidy.built_sources(ROOT))
    yield "nothing strange at the top level", tidy.check_top_level(ROOT)
    yield from selftest.cases()


def main():
    number = failed = 0
    for number, (what, complaints) in enumerate(results(), 1):
        print(("not ok" if complaints else "ok"), number, "-", what)
        for complaint in complaints:
            print("#", complaint)
        failed += bool(complaints)
    print(f"1..{number}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
