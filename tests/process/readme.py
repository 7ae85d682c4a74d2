"""Runs what README.md and the guides tell a reader to type, as it stands there: each page is a test
of its own, in a shell of its own and a directory that holds nothing but build/. A page starts the
cluster that it needs itself.

The convention, for authors of these pages:

- A block fenced with ```sh is run, line by line, in the order of the page; every command must end
  with 0. A line that ends with a backslash goes on with the next one.
- If lines of a block begin with "$ ", only these are commands, and the lines after each are what it
  prints: compared, if there are any. "..." stands for any text; as a line of its own, for any lines.
  A command whose printed text begins with "error: " must fail.
- `synod dev ...` stays in the foreground, so it is started in the background here; the next command
  is run when it is ready.
- A block fenced with ```sh NAME is the file NAME, executable, in the directory of the shell.
- A ```c block that has a main is compiled against libsynod and run at its place of the page.
- Commands that begin with make, git, sudo or apt-get are left out, as is what follows a "#".
- <!-- not run: REASON --> on the line before a fence leaves that block out."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from cluster import BUILD, SLOWER, check, spawn, wait_until
from tap import Skip

PAGES = ("README.md", "deploy/GUIDE.md", "deploy/RECIPES.md", "deploy/LEADERS.md",
         "deploy/RUNBOOK.md")

LEFT_OUT = re.compile(r"(make|git|sudo|apt-get)\b")
MARK = "--- the command has ended with"


def blocks(text):
    """(line number, info words, lines) of every fenced block that is not left out."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = re.match(r"```(.*)", lines[number])
        number += 1
        if not fence:
            continue
        begin = number
        while number < len(lines) and lines[number] != "```":
            number += 1
        if begin < 2 or not lines[begin - 2].startswith("<!-- not run"):
            yield begin + 1, fence[1].split(), lines[begin:number]
        number += 1


def commands(page, number, lines):
    """(line number, command, expected lines) of an sh block."""
    prompted = any(line.startswith("$ ") for line in lines)
    found = []
    is_continued = False
    for i, line in enumerate(lines):
        if is_continued:
            found[-1][1] += "\n" + line
        elif prompted and line.startswith("$ "):
            found.append([number + i, line[2:], []])
        elif prompted:
            check(found, f"{page}:{number + i}: output before the first command")
            found[-1][2].append(line)
            continue
        elif line.strip() and not line.startswith("#"):
            found.append([number + i, line, []])
        is_continued = bool(found) and line.endswith("\\")
    return [entry for entry in found if not LEFT_OUT.match(entry[1])]


def is_as_expected(expected, got):
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r" *\n"
    return re.fullmatch(pattern, got) is not None


class Shell:
    """One bash, which keeps its variables and its directory from command to command."""

    def __init__(self, directory):
        self.directory, self.servers = directory, []
        environment = dict(os.environ, PATH=BUILD + ":" + os.environ["PATH"], LC_ALL="C.UTF-8",
                           TMPDIR=directory)
        environment.pop("SYNOD_CLUSTER", None)
        self.process = spawn(["bash", "--norc"], cwd=directory, env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)

    def run(self, text):
        """Answers (exit status, what it printed)."""
        self.process.stdin.write(f"{{ {text}\n}} </dev/null\necho \"{MARK} $?\"\n")
        self.process.stdin.flush()
        printed = ""
        for line in self.process.stdout:
            before, mark, status = line.partition(MARK)
            printed += before
            if mark:
                return int(status), printed + ("\n" if before else "")
        check(False, f"the shell ended: {printed}")

    def serve(self, text):
        """Starts `synod dev` and waits until it is ready."""
        log = f"{self.directory}/.dev-{len(self.servers)}"
        open(log, "w", encoding="utf-8").close()
        status, printed = self.run(f"{{ exec {text}\n}} >{log} 2>&1 & echo $!")
        check(status == 0, f"cannot start: {printed}")
        self.servers.append(int(printed))

        def ready():
            with open(log, encoding="utf-8") as file:
                said = file.read()
            check("error: " not in said, f"{text}: {said}")
            return re.search("^ready ", said, re.M)
        wait_until(ready, 30, f"{text} to be ready")
        with open(log, encoding="utf-8") as file:
            return file.read()

    def close(self):
        for pid in self.servers:
            self.run(f"kill {pid} 2>/dev/null; wait {pid}")
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run_command(shell, page, number, text, expected):
    where = f"{page}:{number}: {text}"
    signal.alarm(60 * SLOWER)
    if re.match(r"(build/)?synod dev\b", text):
        status, printed = 0, shell.serve(text.removesuffix("&"))
    else:
        status, printed = shell.run(text)
    signal.alarm(0)
    must_fail = any(line.startswith("error: ") for line in expected)
    check((status != 0) == must_fail, f"{where}\nended with {status}: {printed}")
    check(not expected or is_as_expected(expected, printed),
          f"{where}\nprinted:\n{printed}\ninstead of:\n" + "\n".join(expected))


def write_script(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.chmod(path, 0o755)


def compile_and_run(directory, lines):
    """The command for a program of the page. It finds what `make install` would put into place."""
    with open(f"{directory}/app.c", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    header = os.path.abspath("common/client")
    sanitize = f"-fsanitize={os.environ['SAN']}" if os.environ.get("SAN") else ""
    return (f"{os.environ.get('CC', 'cc')} -std=c11 -Wall -Wextra -Werror {sanitize} -I{header} "
            f"-o app app.c -L{BUILD} -Wl,-rpath,{BUILD} -lsynod && ./app")


def take_too_long(*_):
    check(False, "the command took more than a minute")


def follow(path):
    with open(path, encoding="utf-8") as file:
        found = list(blocks(file.read()))
    directory = tempfile.mkdtemp(prefix="synod-readme.")
    os.symlink(BUILD, f"{directory}/build")
    shell = Shell(directory)
    signal.signal(signal.SIGALRM, take_too_long)
    count = 0
    try:
        for number, info, lines in found:
            if info[:1] == ["c"] and any("int main(" in line for line in lines):
                run_command(shell, path, number, compile_and_run(directory, lines), [])
                count += 1
            if info[:1] == ["sh"] and len(info) > 1:
                write_script(f"{directory}/{info[1]}", lines)
            elif info[:1] == ["sh"]:
                for entry in commands(path, number, lines):
                    run_command(shell, path, *entry)
                    count += 1
    finally:
        signal.alarm(0)
        shell.close()
        shutil.rmtree(directory, ignore_errors=True)
    if count == 0:
        raise Skip(f"{path} has no ```sh block with a command to be run")
    return f"{count} commands"


def can_fail():
    """The check itself: a page whose commands fail, or print something else, is found out."""
    pages = {"```sh\n$ echo one\ntwo\n```\n": "instead of", "```sh\nfalse\n```\n": "ended with 1",
             "```sh\n$ echo error: no\nerror: ...\n```\n": "ended with 0"}
    directory = tempfile.mkdtemp(prefix="synod-pages.")
    try:
        path = f"{directory}/README.md"
        for page, words in pages.items():
            with open(path, "w", encoding="utf-8") as file:
                file.write(page)
            try:
                follow(path)
            except Exception as error:  # any other than the expected one fails the test below
                check(words in str(error), f"{page!r}: {error}")
            else:
                check(False, f"not found out: {page!r}")
        with open(path, "w", encoding="utf-8") as file:
            file.write("```sh\n$ printf 'hello\\nyou\\n' >t; cat t \\\n  t\nhe...\n...\n$ a=5\n```\n"
                       "```sh\nmake nothing\ntest $a = 5   # the same shell\n```\n"
                       "```sh tool\n#!/bin/sh\necho 1 $1\n```\n```sh\n$ ./tool 2\n1 2\n```\n")
        check(follow(path) == "4 commands", "a good page")
    finally:
        shutil.rmtree(directory)


def run(report):
    report.test("a page whose commands do not work is found out", can_fail)
    for page in PAGES:
        report.test(f"the commands of {page} work as they stand there", lambda page=page: follow(page))
