"""What the checks share: the tree's C files, and C text without comments and strings."""

import os
import re

TOP_FOLDERS = ("acceptor", "common", "deploy", "learner", "proposer", "tests")


def c_files(root):
    """Paths of all .c and .h files below the top folders, relative to root, sorted."""
    found = []
    for top in TOP_FOLDERS:
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            found += [os.path.relpath(os.path.join(folder, name), root)
                      for name in files if name.endswith((".c", ".h"))]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank_comments_and_strings(text):
    """The same text, line for line, with comments and the contents of literals made spaces."""
    return _TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def includes(text):
    """(line number, name, is_system) of every #include."""
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if m:
            yield number, m.group(2), m.group(1) == "<"
