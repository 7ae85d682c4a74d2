"""Disks that fill up under a running cluster: new commands are refused while it is nearly full, a
failed write ends its process with a sentence, and nothing acknowledged is lost.

Needs root, for small file systems of the test's own."""

import errno
import os
import subprocess

from cluster import Cluster, check, command, wait_until
from load import Load, prove
from tap import Skip

DISK_BYTES = 160 << 20
RESERVE_BYTES = 64 << 20  # DISK_RESERVE_BYTES of common/protocol/limits.h


class SmallDisk:
    """A tmpfs of the given size on a directory, which keeps what was in it."""

    def __init__(self, path):
        self.path, self.filler = path, f"{path}/filler"
        moved = path + ".moved"
        os.rename(path, moved)
        os.mkdir(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            os.rmdir(path)
            os.rename(moved, path)
            raise Skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
        subprocess.run(["cp", "-a", moved + "/.", path], check=True)

    def fill(self, leave):
        """Fills it until only `leave` bytes are free."""
        about = os.statvfs(self.path)
        left = about.f_bavail * about.f_bsize - leave
        with open(self.filler, "ab", buffering=0) as file:
            try:
                while left > 0:
                    left -= file.write(b"\0" * min(left, 1 << 20))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)


def nearly_full(cluster, disks, load):
    """Below the reserve on a quorum new commands are refused with a sentence, reads go on; it clears
    by itself."""
    load.wait_for_more(100)
    for disk in disks:
        disk.fill(RESERVE_BYTES // 2)
    try:
        def refused():
            status, _, err = command("append", "x", "--timeout", "1s", cluster=cluster)
            return err.decode() if status != 0 else None
        sentence = wait_until(refused, 10, "an append to be refused")
        check("disk" in sentence or "space" in sentence, f"the sentence does not say why: {sentence}")
        status, out, err = command("read", "--count", "1", cluster=cluster)
        check(status == 0 and out.startswith(b"disks 0 "), f"a read failed with {status}: {err!r}")
    finally:
        for disk in disks:
            disk.empty()
    load.wait_for_more()
    return sentence.strip()


def full(cluster, disk, load):
    """A write that fails ends its process with a sentence and 1; the others go on, and it comes back."""
    node = cluster.node("acceptor", 1)
    load.wait_for_more(100)
    disk.fill(0)
    try:
        wait_until(lambda: not node.is_running(), 20, f"{node} to end on its full disk")
        check(node.process.returncode == 1, f"{node} ended with {node.process.returncode}")
        sentence = node.log_text().splitlines()[-1]
        check(sentence.startswith("error: ") and "No space left" in sentence,
              f"its last line says something else: {sentence}")
        load.wait_for_more()
    finally:
        disk.empty()
    node.start()
    load.wait_for_more()
    return sentence


def run(report):
    if os.geteuid() != 0:
        def skip():
            raise Skip("needs root to mount a small file system")
        report.test("full disks", skip)
        return
    with Cluster(name="disks", start=False) as cluster:
        disks = []
        try:
            for node in cluster.members("acceptor"):
                disks.append(SmallDisk(node.data))
            for node in cluster.nodes:
                node.start()
            cluster.leader()
            load = Load(cluster, "disks")
            report.test("below the reserve of disk space commands are refused and reads go on",
                        lambda: nearly_full(cluster, disks, load))
            report.test("a full disk ends its process with a sentence, and the others go on",
                        lambda: full(cluster, disks[0], load))
            report.test("after full disks every learner holds what was acknowledged",
                        lambda: finish(cluster, load))
        finally:
            cluster.kill_all()
            for disk in disks:
                disk.close()


def finish(cluster, load):
    """The appends that were refused above may have happened, so they are no part of the proof."""
    load.stop()
    return f"{prove(cluster, [load], strangers={b'x'})} records"
