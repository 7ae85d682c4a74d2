"""Includes go downwards only (the layers of the design), one folder alone knows each outside
library, and the pure layers see nothing of the operating system."""

import os
import re

from sources import c_files, includes, read

BASE = {"common/base"}
PROTOCOL = BASE | {"common/protocol"}
BELOW_RUNTIME = PROTOCOL | {"common/wire", "common/net", "common/store", "common/config"}
BELOW_MAIN = BELOW_RUNTIME | {"common/runtime"}

# Folder: the folders it may include from, besides itself.
MAY_INCLUDE = {
    "common/base": set(),
    "common/protocol": BASE,
    "acceptor/log": PROTOCOL,
    "acceptor": PROTOCOL | {"acceptor/log"},
    "acceptor/raft": PROTOCOL | {"acceptor/log"},
    "proposer": PROTOCOL | {"proposer/oracle"},
    "proposer/oracle": PROTOCOL,
    "learner": PROTOCOL | {"learner/machine"},
    "learner/machine": PROTOCOL,
    "common/wire": PROTOCOL,
    "common/net": PROTOCOL,
    "common/store": PROTOCOL,
    "common/config": PROTOCOL,
    "common/runtime": BELOW_RUNTIME,
    "common/client/core": PROTOCOL,
    "common/client": PROTOCOL | {"common/client/core", "common/client/synod", "common/wire", "common/net",
                                 "common/config"},
    "common/client/synod": set(),
    "deploy": PROTOCOL | {"common/client", "common/config", "common/store", "common/runtime"},
    "deploy/oracles": PROTOCOL | {"common/client", "common/config", "common/runtime", "deploy"},
}

# The only files of a role's folder that do I/O; they may include all that serves a daemon.
MAIN_FILES = {
    "acceptor/main.c": BELOW_MAIN | {"acceptor/raft"},
    "proposer/main.c": BELOW_MAIN | {"proposer/oracle"},
    "learner/main.c": BELOW_MAIN | {"learner/machine"},
}

# It is installed, with its parts in a folder beside it, and so includes them from there.
PUBLIC_HEADER = "common/client/synod.h"

# Header of an outside library: the only folder that includes it. Tests may include anything.
OUTSIDE = (
    (re.compile(r"zmq|czmq"), "common/net"),
    (re.compile(r"msgpack"), "common/wire"),
    (re.compile(r"leveldb/"), "common/store"),
    (re.compile(r"cyaml/|yaml\.h"), "common/config"),
    (re.compile(r"libpq|postgres"), "deploy/oracles"),
)

PURE = {"common/base", "common/protocol", "common/client/core", "acceptor", "acceptor/log",
        "acceptor/raft", "proposer", "proposer/oracle", "learner", "learner/machine"}
PURE_SYSTEM_HEADERS = {
    "assert.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "stdlib.h", "string.h", "uthash.h", "utlist.h", "xxhash.h", "bsd/sys/tree.h",
}


def check_include(path, name, is_system):
    """One sentence if path may not include name, else None."""
    folder = os.path.dirname(path)
    if folder.startswith("tests"):
        return None
    for header, owner in OUTSIDE:
        if header.match(name) and folder != owner:
            return f"includes {name}, which only {owner} may"
    is_main = path in MAIN_FILES
    if is_system:
        if folder in PURE and not is_main and path != "common/base/check.c" \
                and name not in PURE_SYSTEM_HEADERS:
            return f"includes <{name}>, but {folder} is pure"
        return None
    if path == PUBLIC_HEADER:
        name = os.path.join(folder, name)
    target = os.path.dirname(name)
    if target == "":
        return f'includes "{name}" without its path from the top'
    allowed = MAIN_FILES[path] if is_main else MAY_INCLUDE.get(folder)
    if allowed is None:
        return f"lies in {folder}, which is no layer of the design"
    if target != folder and target not in allowed:
        return f"includes {name}: {folder} must not know {target}"
    return None


def check(root):
    complaints = []
    for path in c_files(root):
        for number, name, is_system in includes(read(root, path)):
            complaint = check_include(path, name, is_system)
            if complaint:
                complaints.append(f"{path}:{number}: {complaint}")
    return complaints
