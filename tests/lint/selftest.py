"""Shows that each check can fail: a small tree with one offence each, and what is said of it."""

import os
import subprocess
import tempfile

import layering
import mutants
import purity
import tidy

LONG = "void f(void)\n{\n" + "    g();\n" * 80 + "}\n"
GUARDED = "#ifndef SYNOD_X_H\n#define SYNOD_X_H\n#endif\n"

# What is refused, file, its text, the check, a part of the complaint ("" for none).
CASES = (
    ("layering refuses base that includes protocol", "common/base/a.c",
     '#include "common/protocol/types.h"\n', layering.check, "must not know common/protocol"),
    ("layering refuses net that includes wire", "common/net/a.c",
     '#include "common/wire/wire.h"\n', layering.check, "must not know common/wire"),
    ("layering refuses a core that includes the store", "acceptor/a.c",
     '#include "common/store/store.h"\n', layering.check, "must not know common/store"),
    ("layering refuses an oracle that includes the proposer", "proposer/oracle/a.c",
     '#include "proposer/proposer.h"\n', layering.check, "must not know proposer"),
    ("layering refuses zmq.h outside of net", "common/runtime/a.c",
     "#include <zmq.h>\n", layering.check, "only common/net"),
    ("layering refuses msgpack.h outside of wire", "common/client/a.c",
     "#include <msgpack.h>\n", layering.check, "only common/wire"),
    ("layering refuses leveldb outside of store", "learner/main.c",
     "#include <leveldb/c.h>\n", layering.check, "only common/store"),
    ("layering refuses a clock in a pure folder", "learner/a.c",
     "#include <time.h>\n", layering.check, "is pure"),
    ("layering refuses an include without its path", "acceptor/a.c",
     '#include "acceptor.h"\n', layering.check, "without its path"),
    ("layering refuses a folder that is no layer", "common/extra/a.c",
     '#include "common/base/error.h"\n', layering.check, "no layer"),
    ("layering lets main.c use the runtime", "acceptor/main.c",
     '#include "common/runtime/runtime.h"\n', layering.check, ""),
    ("tidy refuses 101 columns", "deploy/a.c", "/" * 101 + "\n", tidy.check_text, "101 columns"),
    ("tidy allows 100 columns", "deploy/a.c", "/" * 100 + "\n", tidy.check_text, ""),
    ("tidy refuses 801 lines", "deploy/a.c", "\n" * 801, tidy.check_text, "801 lines"),
    ("tidy refuses a long function", "deploy/a.c", LONG, tidy.check_text, "of 82 lines"),
    ("tidy allows a long table in a function", "deploy/a.c",
     "void f(void)\n{\n" + "    {1, 2},\n" * 80 + "}\n", tidy.check_text, ""),
    ("tidy refuses strcpy", "deploy/a.c", "x = strcpy(a, b);\n", tidy.check_text, "calls strcpy"),
    ("tidy refuses system", "deploy/a.c", "system (a);\n", tidy.check_text, "calls system"),
    ("tidy allows strcpy in a comment", "deploy/a.c", "/* strcpy(a, b) */\n", tidy.check_text, ""),
    ("tidy refuses an error that is not said by log_error", "deploy/a.c",
     'fprintf(stderr, "error: %s\\n", a);\n', tidy.check_text, "use log_error"),
    ("tidy allows log_error to say one", "common/runtime/log.c", 'say("error: ", a);\n',
     tidy.check_text, ""),
    ("tidy refuses a tab", "deploy/a.h", "\tint a;\n", tidy.check_text, "a tab"),
    ("tidy refuses unfinished work", "deploy/a.c", "/* TO" "DO */\n", tidy.check_text,
     "unfinished"),
    ("tidy refuses a source that is not built", "common/base/sub/a.c", "int a;\n",
     lambda root: tidy.check_reachable(root, set()), "does not build it"),
    ("tidy refuses a header that nobody includes", "common/base/a.h", GUARDED,
     lambda root: tidy.check_reachable(root, set()), "nothing includes it"),
    ("tidy refuses a stray file at the top", "notes.txt", "x\n", tidy.check_top_level,
     "no place at the top"),
)

# What is refused, source of a core, a part of the complaint.
PURITY_CASES = (
    ("purity refuses a clock", "#include <time.h>\nlong f(void);\nlong f(void)"
     "{ return time(0); }\n", "calls time"),
    ("purity refuses a random source", "#include <stdlib.h>\nint f(void);\nint f(void)"
     "{ return rand(); }\n", "calls rand"),
    ("purity refuses a file", "#include <stdio.h>\nint f(void);\nint f(void)"
     "{ return puts(\"\"); }\n", "calls puts"),
    ("purity refuses a writable global", "int counter = 1;\n", "counter is a writable global"),
    ("purity refuses a writable static in a function", "int f(void);\nint f(void)"
     "{ static int n; return ++n; }\n", "is a writable global"),
    ("purity allows a table of constant pointers",
     "const char *const names[] = {\"a\", \"b\"};\n", ""),
)

WITH_MUTANT = """#include "common/base/mutant.h"
int f(int x);
int f(int x) { return MUTANT(answer_is_wrong) ? x + 1 : x; }
"""
WITH_ITS_NAME = """#include "common/base/check.h"
#include "common/base/mutant.h"
void f(int x);
void f(int x) { CHECK(x == 1 || MUTANT(answer_is_wrong)); }
"""

# What is refused, source of a core, a flag of the compiler, a part of the complaint.
MUTANT_CASES = (
    ("a build for users may mention seeded bugs", WITH_MUTANT, "-O2", ""),
    ("a build with a seeded bug is noticed", WITH_MUTANT, "-DSYNOD_MUTANT=answer_is_wrong",
     "holds synod_mutant"),
    ("a build with another seeded bug is noticed", WITH_MUTANT, "-DSYNOD_MUTANT=other",
     "holds synod_mutant"),
    ("the name of a seeded bug is noticed", WITH_ITS_NAME, "-O2", "holds answer_is_wrong"),
)


def verdict(complaints, wanted):
    """Complaints that show the check to be wrong: none if it said what was wanted."""
    if wanted == "":
        return complaints
    if any(wanted in complaint for complaint in complaints):
        return []
    return [f"nothing was said of: {wanted}"] + complaints


def compiled(root, text, *flags):
    """An archive of the one source acceptor/a.c of the tree."""
    source = os.path.join(root, "acceptor", "a.c")
    archive = os.path.join(root, "a.a")
    os.makedirs(os.path.dirname(source))
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run([os.environ.get("CC") or "gcc", *flags, "-fPIC", "-c", source, "-o",
                    source + ".o"], check=True)
    subprocess.run(["ar", "rcs", archive, source + ".o"], check=True)
    return archive


def cases():
    """(what, complaints) of each case."""
    for what, path, text, check, wanted in CASES:
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
            yield what, verdict(check(root), wanted)
    for what, text, wanted in PURITY_CASES:
        with tempfile.TemporaryDirectory() as root:
            yield what, verdict(purity.check(compiled(root, text)), wanted)
    for what, text, flag, wanted in MUTANT_CASES:
        with tempfile.TemporaryDirectory() as root:
            archive = compiled(root, text, "-g", "-I" + os.getcwd(), flag)
            yield what, verdict(mutants.check(root, archive), wanted)
