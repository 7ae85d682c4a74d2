#!/usr/bin/env python3
"""Measures the simulator by the bugs it catches. Each seeded bug of common/base/mutant.h is compiled
into the cores in turn, and synod-sim runs with it until a seed fails; one that survives all seeds
has to break a scenario of tests/trace, or, if it is a bug of one oracle, the unit test of that: two
that hold one lease, for example, break nothing, which is the point of oracles; or, if it is one of
the sources in UNITS, the unit test named there: what is remembered of thousands of changes, for
example, is not forgotten within a minute. Otherwise it fails this program. Without a bug the same
seeds must pass, or a failure would prove nothing.

    make mutants                          all of them
    make mutants MUTANTS="name name"      only these
    make mutants SEEDS=2000               more seeds than 500

Only the sources that mention a bug are compiled again, into build/mutants/NAME."""

import os
import re
import shlex
import subprocess
import sys

ROOT = os.getcwd()
sys.path.insert(0, os.path.join(ROOT, "tests/lint"))

from mutants import MUTANT, names  # noqa: E402
from sources import blank_comments_and_strings, c_files, read  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
SEEDS = int(os.environ.get("SEEDS") or 500)
COUNT_MIN = 25
UNITS = {  # rules that no random run of a minute meets, and the unit tests that do
    "learner/machine/events.c": "test_machine_events",
    "learner/machine/recent.c": "test_machine_events",
    "learner/machine/sweep.c": "test_machine_events",
    "learner/machine/session.c": "test_machine_txn",
    "learner/machine/query.c": "test_machine_leases",
    "proposer/clients.c": "test_proposer_clients",
}
KINDS = ("connected", "lease", "ring", "floodmax", "gossip", "succession", "static", "external")

FAILED = re.compile(r"^FAILED seed=(\d+) scenario=\S+ checker=([\w-]+)(?: at=\S+)?: (.*)$", re.M)
CHECK = re.compile(r'check="(.*)" at=(\S+)')


def sources_of(mutant):
    """The sources that behave otherwise with the bug."""
    return [path for path in c_files(ROOT) if path.endswith(".c")
            and mutant in MUTANT.findall(blank_comments_and_strings(read(ROOT, path)))]


def scenario(mutant):
    """What of tests/trace fails with the bug: (0, "scenario", its name), or None. Some rules matter only
    where another one has failed already (pre-vote and stickiness, for example, stand in for each
    other), so that no random run shows who is missing."""
    folder = os.path.join(BUILD, "mutants", mutant)
    program = os.path.join(folder, "tool_trace")
    objects = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".o")]
    parts = [part for part in os.environ["SIM_PARTS"].split() if "/tests/trace/" in part]
    own = [os.path.join(BUILD, "obj", name) for name in ("tests/trace/tool_trace.o",
                                                         "common/base/check.o")]
    subprocess.run([*shlex.split(os.environ["LINK"]), "-o", program, *objects, *own, *parts,
                    os.path.join(BUILD, "libcores.a"), "-lxxhash"], check=True)
    for name in sorted(os.listdir("tests/trace/scenarios")):
        if name.startswith("raft_") == (protocol_of(mutant) == "raft"):
            done = subprocess.run([program, "tests/trace/scenarios/" + name], capture_output=True,
                                  text=True, check=False)
            if done.returncode != 0:
                return 0, "scenario", name
    return None


def unit_of(mutant):
    """The unit test that knows the bug's module, of its oracle or one of UNITS; or None."""
    if kind_of(mutant):
        return f"tests/unit/test_oracle_{kind_of(mutant)}"
    known = [UNITS[path] for path in sources_of(mutant) if path in UNITS]
    return "tests/unit/" + known[0] if known else None


def unit(mutant):
    """What unit_of says of the bug: (0, "unit", the test that fails), or None."""
    name = unit_of(mutant)
    source = os.path.join(BUILD, "obj", name + ".o")
    if not os.path.exists(source):
        return None
    folder = os.path.join(BUILD, "mutants", mutant)
    objects = [os.path.join(folder, entry) for entry in os.listdir(folder) if entry.endswith(".o")]
    program = os.path.join(folder, "unit")
    subprocess.run([*shlex.split(os.environ["LINK"]), "-o", program, source, *objects,
                    *os.environ["UNIT_PARTS"].split()], check=True)
    try:
        done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return 0, "unit", "a test that does not end"
    if done.returncode == 0:
        return None
    failed = re.search(r"^\[  FAILED  \] (test_\w+)", done.stdout + done.stderr, re.M)
    return 0, "unit", failed.group(1) if failed else f"exit status {done.returncode}"


def protocol_of(mutant):
    """Bugs of the Raft core and of who hands over to it are named raft_."""
    return "raft" if mutant.startswith("raft_") else "paxos"


def build(mutant):
    """The path of a synod-sim with the bug. The objects with it come before the archive that has the
    same ones without, so that the linker takes nothing but the rest from there."""
    folder = os.path.join(BUILD, "mutants", mutant)
    os.makedirs(folder, exist_ok=True)
    objects = []
    for path in sources_of(mutant):
        objects.append(os.path.join(folder, path.replace("/", "_")[:-2] + ".o"))
        subprocess.run([*shlex.split(os.environ["COMPILE"]), f"-DSYNOD_MUTANT={mutant}", "-c",
                        "-o", objects[-1], path], check=True)
    program = os.path.join(folder, "synod-sim")
    subprocess.run([*shlex.split(os.environ["LINK"]), "-o", program, *objects,
                    *os.environ["SIM_PARTS"].split(), os.path.join(BUILD, "libcores.a"),
                    "-lxxhash"], check=True)
    return program


def kind_of(mutant):
    """Bugs of who should lead are named oracle_, and those of one oracle oracle_KIND_: its conformance
    suite looks for them, or that of `connected`, before the random runs do."""
    words = mutant.split("_")
    if words[0] != "oracle":
        return None
    return words[1] if words[1] in KINDS else "connected"


def run(program, protocol, scenario="swarm"):
    """(seed, checker, sentence) of the first seed that fails, or None."""
    done = subprocess.run([program, "--seeds", f"1..{SEEDS}", "--failures", "1", "--protocol",
                           protocol, "--scenario", scenario], capture_output=True, text=True,
                          check=False)
    found = FAILED.search(done.stdout)
    if found is None:
        if done.returncode != 0:
            return 0, "?", f"exit status {done.returncode} without a verdict {done.stderr[-200:]}"
        return None
    seed, checker, sentence = found.groups()
    check = CHECK.search(done.stderr)
    if checker == "signal" and check:
        return int(seed), "CHECK", f"{check.group(1)} at {check.group(2)}"
    return int(seed), checker, sentence


def main():
    known = names(ROOT)
    chosen = sys.argv[1:] or known
    runs = {(protocol_of(mutant), "swarm") for mutant in chosen}
    runs |= {("paxos", f"conformance:{kind_of(mutant)}") for mutant in chosen if kind_of(mutant)}
    for protocol, name in sorted(runs):
        found = run(os.path.join(BUILD, "synod-sim"), protocol, name)
        if found:
            print(f"error: seed {found[0]} fails without a seeded bug ({found[2]}); try: {BUILD}/"
                  f"synod-sim --protocol {protocol} --scenario {name} --seed {found[0]} -v")
            return 1
    survivors = []
    print(f"{'seeded bug':36} {'caught by':14} {'seed':>4}  what broke")
    for mutant in chosen:
        if mutant not in known:
            print(f"error: no source mentions MUTANT({mutant}); try: one of {' '.join(known)}")
            return 3
        program, kind = build(mutant), kind_of(mutant)
        found = kind and run(program, "paxos", f"conformance:{kind}")
        found = found or (kind and unit(mutant))
        found = found or run(program, protocol_of(mutant)) or scenario(mutant)
        found = found or (unit_of(mutant) and unit(mutant))
        if found is None:
            survivors.append(mutant)
            print(f"{mutant:36} {'NOBODY':14} {SEEDS:4}", flush=True)
        else:
            seed, checker, sentence = found
            print(f"{mutant:36} {checker:14} {seed:4}  {sentence[:100]}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} seeded bugs caught "
          f"within {SEEDS} seeds each" + "".join(f"\nsurvived: {name}" for name in survivors))
    if len(known) < COUNT_MIN:
        print(f"error: only {len(known)} seeded bugs (at least {COUNT_MIN} are wanted); "
              "try: MUTANT(name) beside a rule that no other one breaks")
        return 1
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
