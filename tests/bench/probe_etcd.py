#!/usr/bin/env python3
"""How long nobody can write to etcd after its leader was killed: probe_etcd.py ENDPOINTS BEFORE AFTER PID

One put at a time (JSON gateway, HTTP/1.1 kept alive), tried again at the next endpoint after 200 ms
without an answer, or 5 ms after an error. After BEFORE seconds PID is killed (-9); after AFTER more
the longest time between two acknowledged writes is printed."""

import base64
import http.client
import json
import os
import signal
import socket
import sys
import time

ATTEMPT_SECONDS = 0.2
PAUSE_SECONDS = 0.005


class Writer:
    def __init__(self, endpoints):
        self.endpoints, self.current, self.connection, self.count = endpoints, 0, None, 0

    def put(self):
        if self.connection is None:
            host, port = self.endpoints[self.current].split(":")
            self.connection = http.client.HTTPConnection(host, int(port), timeout=ATTEMPT_SECONDS)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count += 1
        self.connection.request("POST", "/v3/kv/put", json.dumps({
            "key": base64.b64encode(b"probe").decode(),
            "value": base64.b64encode(b"%064d" % self.count).decode()}))
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(body)

    def next_endpoint(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.current = (self.current + 1) % len(self.endpoints)


def main():
    before, after, pid = float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    writer = Writer(sys.argv[1].split(","))
    start, killed, acknowledged, errors = time.monotonic(), None, [], 0
    while time.monotonic() - start < before + after:
        if killed is None and time.monotonic() - start > before:
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
        try:
            writer.put()
            acknowledged.append(time.monotonic())
        except (OSError, http.client.HTTPException, RuntimeError):
            errors += 1
            writer.next_endpoint()
            time.sleep(PAUSE_SECONDS)
    gap = max(b - a for a, b in zip(acknowledged, acknowledged[1:]))
    back = next((t for t in acknowledged if t > killed), None)
    if back is None:
        sys.exit("error: nothing was acknowledged after the kill")
    print(f"gap {gap * 1e3:.0f} ms (from kill to first ack {1e3 * (back - killed):.0f} ms)  "
          f"writes {len(acknowledged)}  errors {errors}")


main()
