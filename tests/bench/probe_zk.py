#!/usr/bin/env python3
"""ZooKeeper's own outage after its leader was killed: probe_zk.py HOST:PORT,... BEFORE AFTER PID

Without a client library and its back-off: one "create session" at a time, which is a write that needs
a quorum, each over a TCP connection of its own, given up after 200 ms, at the next server after a
failure, 10 ms between attempts. After BEFORE seconds PID is killed (-9); after AFTER more the longest
time between two successes is printed."""

import os
import signal
import socket
import struct
import sys
import time

ATTEMPT_SECONDS = 0.2
PAUSE_SECONDS = 0.01
SESSION_MS = 4000

REQUEST = struct.pack(">iqiqi", 0, 0, SESSION_MS, 0, 16) + b"\0" * 16 + b"\0"
REQUEST = struct.pack(">i", len(REQUEST)) + REQUEST
ANSWER = struct.Struct(">iiiq")  # length, version, timeout, session


def open_session(server):
    host, port = server.split(":")
    with socket.create_connection((host, int(port)), timeout=ATTEMPT_SECONDS) as connection:
        connection.sendall(REQUEST)
        data = b""
        while len(data) < ANSWER.size:
            part = connection.recv(64)
            if not part:
                raise OSError("closed")
            data += part
    if ANSWER.unpack(data[:ANSWER.size])[3] == 0:
        raise OSError("no session")


def main():
    servers = sys.argv[1].split(",")
    before, after, pid = float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    start, killed, acknowledged, errors, current = time.monotonic(), None, [], 0, 0
    while time.monotonic() - start < before + after:
        if killed is None and time.monotonic() - start > before:
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
        try:
            open_session(servers[current])
            acknowledged.append(time.monotonic())
        except OSError:
            errors += 1
            current = (current + 1) % len(servers)
        time.sleep(PAUSE_SECONDS)
    gap = max(b - a for a, b in zip(acknowledged, acknowledged[1:]))
    back = next((t for t in acknowledged if t > killed), None)
    if back is None:
        sys.exit("error: nothing was acknowledged after the kill")
    print(f"gap {gap * 1e3:.0f} ms (from kill to first ack {1e3 * (back - killed):.0f} ms)  "
          f"writes {len(acknowledged)}  errors {errors}")


main()
