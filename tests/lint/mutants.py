"""No seeded bug of common/base/mutant.h is in what users get, not even its name."""

import re

from sources import blank_comments_and_strings, c_files, read

MUTANT = re.compile(r"\bMUTANT\((\w+)\)")


def names(root):
    """The seeded bugs of the tree: every name that stands in MUTANT(...)."""
    found = set()
    for path in c_files(root):
        if path != "common/base/mutant.h":
            found |= set(MUTANT.findall(blank_comments_and_strings(read(root, path))))
    return sorted(found)


def check(root, archive):
    with open(archive, "rb") as file:
        content = file.read()
    # The mark of an object that was compiled with -DSYNOD_MUTANT, and what no object may say.
    return [f"{archive}: holds {name}" for name in ["synod_mutant"] + names(root)
            if name.encode() in content]
