#!/usr/bin/env python3
"""What synod-sim says while many seeds run: a line of progress on a terminal, which is gone in the
end; nothing of it in a pipe; and a seed that failed at once. Arguments: the simulator with options.
Says what is wrong and ends with 1, or says nothing."""

import os
import pty
import signal
import subprocess
import sys

ERASE = b"\r\x1b[K"


def check(condition, sentence):
    if not condition:
        sys.exit(sentence)


def read_all(fd):
    """All that was written to a terminal: its end is an error on this side."""
    text = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            return text
        if not piece:
            return text
        text += piece


def progress(sim):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*sim, "--seeds", "1..30", "--minutes", "0.5"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    text = read_all(ours)
    out, _ = process.communicate()
    check(process.returncode == 0 and out.startswith(b"seeds=30 failed=0 "), f"it says {out!r}")
    lines = text.split(ERASE)
    check(lines[0] == b"" and lines[1] == b"0 of 30 seeds, 0 failed", f"the terminal got {text!r}")
    check(lines[-1] == b"", f"the last line is not erased: {text!r}")
    check(all(line.endswith(b" of 30 seeds, 0 failed") for line in lines[1:-1]),
          f"the terminal got {text!r}")


def quiet(sim):
    process = subprocess.run([*sim, "--seeds", "1..3", "--minutes", "0.5"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(process.returncode == 0 and process.stderr == b"", f"in a pipe it says {process.stderr!r}")
    check(b"\x1b" not in process.stdout, f"it printed {process.stdout!r}")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def failure_at_once(sim):
    """Both seeds run for a minute or more. One of the two processes is killed."""
    process = subprocess.Popen([*sim, "--seeds", "1..2", "--minutes", "600"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    workers = []
    try:
        while len(workers) < 2:
            check(process.poll() is None, "it ended before its workers began")
            workers = children(process.pid)
        os.kill(workers[0], signal.SIGKILL)
        line = process.stdout.readline()
        check(line.startswith(b"FAILED seed=1 ") and b"checker=signal" in line, f"it says {line!r}")
        check(workers[1] in children(process.pid), "that was said only after the other seed")
        os.kill(workers[1], signal.SIGKILL)
        out, err = process.communicate()
        check(process.returncode == 1 and b"FAILED seed=2 " in out and err == b"",
              f"{process.returncode} {out!r} {err!r}")
    finally:
        for pid in children(process.pid) if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


progress(sys.argv[1:])
quiet(sys.argv[1:])
failure_at_once(sys.argv[1:])
