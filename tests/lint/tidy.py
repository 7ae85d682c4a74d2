"""House rules that no compiler checks: width, length, banned calls, dead files."""

import os
import re
import subprocess

from layering import PUBLIC_HEADER
from sources import blank_comments_and_strings, c_files, includes, read

COLUMNS_MAX = 100
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70

BANNED_CALLS = {
    "strcpy": "memcpy with a known size", "strcat": "snprintf", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "strtok_r", "rand": "struct rng",
    "system": "posix_spawn", "alloca": "effects_alloc or memory_alloc",
}
BANNED = re.compile(r"\b(%s)\s*\(" % "|".join(BANNED_CALLS))
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")

TOP_LEVEL = {"acceptor", "common", "deploy", "learner", "proposer", "tests", "Makefile",
             "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}


def check_lines(path, text):
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield f"{path}:{number}: {len(line)} columns, at most {COLUMNS_MAX}"
        if "\t" in line:
            yield f"{path}:{number}: a tab"
        if line != line.rstrip():
            yield f"{path}:{number}: space at the end of the line"
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished work is finished or filed, not noted in the source"
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"


def check_calls(path, bare):
    for number, line in enumerate(bare.splitlines(), 1):
        for m in BANNED.finditer(line):
            if m.group(1) == "system" and path.startswith("tests/"):
                continue  # a test may have the shell copy or damage a folder
            yield f"{path}:{number}: calls {m.group(1)}; use {BANNED_CALLS[m.group(1)]}"


def check_sentences(path, text):
    """Sentences for people quote what was typed: one function prints them, and escapes that."""
    if path.startswith("tests/") or path == "common/runtime/log.c" or not path.endswith(".c"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if '"error: ' in line:
            yield f"{path}:{number}: says an error by itself; use log_error"


def check_functions(path, text, bare):
    """clang-format puts the braces of a function, and of nothing else, into the first column. The rows
    of a table and the lines of a long string are data and do not count."""
    begin = None
    for number, (line, raw) in enumerate(zip(bare.splitlines(), text.splitlines()), 1):
        if line.startswith("{"):
            begin, length = number, 1
        elif begin is not None:
            length += not re.match(r'\s+("|\{.)', raw)
        if line.startswith("}") and begin is not None:
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{begin}: a function of {length} lines, at most {FUNCTION_LINES_MAX}"
            begin = None


def check_text(root):
    """Width, length, tabs, banned calls, notes of unfinished work."""
    complaints = []
    for path in c_files(root):
        text = read(root, path)
        bare = blank_comments_and_strings(text)
        complaints += check_lines(path, text)
        complaints += check_calls(path, bare)
        complaints += check_sentences(path, text)
        complaints += check_functions(path, text, bare)
    return complaints


def check_reachable(root, built):
    """Every .c is among those that are built; every header is included somewhere, and guarded."""
    complaints = []
    paths = c_files(root)
    included = {name for path in paths for _, name, _ in includes(read(root, path))}
    included |= {os.path.join(os.path.dirname(PUBLIC_HEADER), name)
                 for _, name, _ in includes(read(root, PUBLIC_HEADER))
                 } if os.path.exists(os.path.join(root, PUBLIC_HEADER)) else set()
    for path in paths:
        if path.endswith(".c"):
            if path not in built:
                complaints.append(f"{path}: a dead file, the Makefile does not build it")
        elif path not in included:
            complaints.append(f"{path}: a dead file, nothing includes it")
        elif not re.search(r"^#ifndef SYNOD_\w*H$", read(root, path), re.M):
            complaints.append(f"{path}: no include guard SYNOD_..._H")
    return complaints


def built_sources(root):
    """The .c files that the Makefile builds."""
    out = subprocess.run(["make", "-s", "sources"], cwd=root, check=True, capture_output=True,
                         text=True).stdout
    return set(out.split())


def check_top_level(root):
    """Nothing but the design's folders and files at the top, dot files aside."""
    if os.path.isdir(os.path.join(root, ".git")):
        listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True,
                                text=True).stdout.split("\n")
        names = {path.split("/")[0] for path in listed if path}
    else:
        names = set(os.listdir(root)) - {"build"}
    return [f"{name}: has no place at the top level" for name in sorted(names - TOP_LEVEL)
            if not name.startswith(".")]
