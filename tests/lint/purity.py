"""The archive of cores needs no clock, socket, file or random source and has no writable global.

Asks nm, so that neither a macro nor a declaration by hand can get around it."""

import re
import subprocess

# What a core may call outside of the archive. check_failed only ends the process.
ALLOWED = {
    "memcpy", "memset", "memcmp", "memmove", "memchr", "strlen", "strcmp", "strncmp", "strnlen",
    "snprintf", "vsnprintf", "malloc", "calloc", "realloc", "free", "qsort", "bsearch",
    "check_failed", "_GLOBAL_OFFSET_TABLE_",
}
# Calls that the compiler makes by itself: stack guard, fortified variants of the above, integer
# arithmetic of libgcc such as __popcountdi2, and clang's bcmp for a memcmp that asks for equality.
COMPILER = re.compile(r"bcmp|__stack_chk_fail|__(%s)_chk|__[a-z]+[sdt]i[23]" % "|".join(sorted(ALLOWED)))
SANITIZER = re.compile(r"_*(asan|ubsan|tsan|sanitizer|lsan|unnamed)_\S+|\.?LASAN\w*|__odr_asan\S*")

# Tables of constant pointers: the loader relocates them, then makes them read-only.
RELOCATED_CONSTANT = ".data.rel.ro"


def nm(archive):
    """(member, name, type, section) of every symbol."""
    out = subprocess.run(["nm", "--format=sysv", archive], check=True, capture_output=True,
                         text=True).stdout
    member = "?"
    for line in out.splitlines():
        heading = re.match(r"(?:Undefined symbols|Symbols) from .*\[(.+)\]:", line)
        if heading:
            member = heading.group(1)
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield member, fields[0], fields[2], fields[6]


def check(archive, sanitized=False):
    symbols = list(nm(archive))
    defined = {name for _, name, kind, _ in symbols if kind != "U"}
    complaints = [] if symbols else [f"{archive}: holds no symbol"]
    for member, name, kind, section in symbols:
        if sanitized and SANITIZER.fullmatch(name):
            continue
        if kind in ("U", "w", "v"):
            if name not in defined and name not in ALLOWED and not COMPILER.fullmatch(name):
                complaints.append(f"{member}: calls {name}, which is not on the list of a core")
        elif kind in "BbDdCcGgSsu" and not section.startswith(RELOCATED_CONSTANT):
            complaints.append(f"{member}: {name} is a writable global (in {section})")
    return complaints
