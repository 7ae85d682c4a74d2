"""Bytes that no member would send, written to every port of a cluster under load: everybody goes on,
nobody grows, the leader stays, and nothing acknowledged is lost."""

import random
import socket
import struct
import time

from cluster import SLOWER, Cluster, check, wait_until
from load import Load, prove, prove_equal_digests
from tap import note

MEMORY_KIB_MAX = 200 * 1024
MESSAGE_BYTES_MAX = 4 << 20  # common/protocol/limits.h

# ZMTP 3.0 (rfc.zeromq.org/spec/23): what any ZeroMQ peer says first.
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32


def command_frame(name, properties):
    body = bytes([len(name)]) + name
    for key, value in properties:
        body += bytes([len(key)]) + key + struct.pack(">I", len(value)) + value
    return b"\x06" + struct.pack(">Q", len(body)) + body


def ready(identity=b""):
    return command_frame(b"READY", [(b"Socket-Type", b"DEALER"), (b"Identity", identity)])


def frame(data, flags=0):
    return bytes([flags | 2]) + struct.pack(">Q", len(data)) + data


def attacks(dice):
    """(what it is, bytes) of everything that is tried on a port."""
    junk = dice.randbytes(4096)
    hello = GREETING + ready()
    yield "random bytes", junk
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "half a greeting", GREETING[:20]
    yield "a greeting, then random bytes", GREETING + junk
    yield "another mechanism", GREETING.replace(b"NULL", b"CURV") + junk
    yield "frames of random bytes", hello + b"".join(frame(dice.randbytes(n)) for n in range(1, 200))
    yield "an empty frame", hello + frame(b"")
    yield "a frame cut short", hello + frame(junk)[:500]
    yield "a frame of 2^62 bytes", hello + b"\x02" + struct.pack(">Q", 1 << 62) + junk
    yield "a frame of a negative length", hello + b"\x02" + b"\xff" * 8 + junk
    yield "one byte more than the limit", hello + b"\x02" + struct.pack(
        ">Q", MESSAGE_BYTES_MAX + 1) + junk
    yield "a message of zeros, as long as allowed", hello + frame(b"\0" * MESSAGE_BYTES_MAX)
    yield "a msgpack array that claims 2^29 elements", hello + frame(b"\xdd\x20\0\0\0")
    yield "msgpack arrays in arrays", hello + frame(b"\x91" * 100000)
    yield "many parts", hello + b"".join(frame(b"part", flags=1) for _ in range(100)) + frame(b"end")
    yield "a chosen identity", GREETING + ready(b"acceptor-1") + frame(junk)
    yield "an identity of 255 bytes", GREETING + ready(b"x" * 255) + frame(junk)


def write_to(port, data):
    """Writes as much as the other side takes. That it hangs up is its right."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(0.01)
            connection.recv(4096)
        except OSError:
            pass


def bombard(cluster, load):
    seed = int(time.time())
    note(f"seed {seed}")
    dice = random.Random(seed)
    leader = cluster.leader()
    load.wait_for_more(100)
    moment = time.monotonic()
    count = 0
    for node in cluster.nodes:
        for port in cluster.ports(node):
            for what, data in attacks(dice):
                write_to(port, data)
                check(node.is_running(), f'{node} ended after "{what}" on port {port}: '
                      f"{node.log_text()[-600:]}")
                count += 1
    load.wait_for_more(200)
    check(cluster.leader() is leader, f"{leader} led before, {cluster.leader()} does now")
    gap = load.gap_since(moment)
    check(gap < SLOWER, f"nothing was acknowledged for {gap:.2f} s")
    return f"{count} connections; longest time without an acknowledgement {gap * 1000:.0f} ms"


def strangers_wait(cluster, load):
    """A hundred connections a port that say nothing, or half of something."""
    held = []
    try:
        for node in cluster.nodes:
            for port in cluster.ports(node):
                for i in range(100):
                    connection = socket.create_connection(("127.0.0.1", port), timeout=1)
                    connection.sendall((b"", GREETING[:11], GREETING, GREETING + ready())[i % 4])
                    held.append(connection)
        load.wait_for_more()
    finally:
        for connection in held:
            connection.close()
    load.wait_for_more()
    return f"{len(held)} connections"


def memory(cluster):
    """The most that each process ever had resident."""
    peaks = {}
    for node in cluster.nodes:
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
            peaks[str(node)] = int(next(line.split()[1] for line in file if line.startswith("VmHWM")))
    worst = max(peaks, key=peaks.get)
    check(SLOWER > 1 or peaks[worst] < MEMORY_KIB_MAX,
          f"{worst} had {peaks[worst]} KiB resident, at most {MEMORY_KIB_MAX} are allowed")
    return f"most: {worst} with {peaks[worst]} KiB"


def refusals_logged(cluster):
    """Each process says what it turned away, and says it within bounds."""
    for node in cluster.nodes:
        wait_until(lambda: "event=refused reason=malformed" in node.log_text(), 5,
                   f"{node} to log that it refused something malformed")
        size = len(node.log_text())
        check(size < 1 << 20, f"{node} wrote {size} bytes of log")


def run(report):
    with Cluster(name="nonsense") as cluster:
        load = Load(cluster, "nonsense")
        report.test("garbage, truncated and oversized frames on every port disturb nobody",
                    lambda: bombard(cluster, load))
        report.test("strangers that connect and wait disturb nobody",
                    lambda: strangers_wait(cluster, load))
        report.test("every process logs what it refused, within bounds",
                    lambda: refusals_logged(cluster))
        report.test("no process has more than 200 MiB resident", lambda: memory(cluster))
        report.test("nothing acknowledged meanwhile is lost", lambda: finish(cluster, load))


def finish(cluster, load):
    load.stop()
    prove_equal_digests(cluster)
    return f"{prove(cluster, [load])} records"
