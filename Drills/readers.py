"""How long answers about subscriptions take with 10,000 of them on one topic, seen from a client's socket.

    python3 Drills/readers.py [--apus .build/release/apus] [--subscriptions 10000]

Prints the median and the 99th percentile of: the start of a window (ListOffsets earliest), a fetch in the window, the
reader count of a record, and the same ListOffsets without any subscription, for what the way there and back costs. Ends
with 1 when a window or a reader count takes a millisecond or more in the median.
"""

import argparse
import os
import shutil
import statistics
import struct
import sys
import tempfile
import time

from broker import Broker
from wire import EARLIEST, Connection

PUT, READERS = 32001, 32003


def compact(text):
    data = text.encode()
    return uvarint(len(data) + 1) + data


def uvarint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def flexible(connection, key, body):
    """Request header version 2; answers the body behind response header version 1."""
    header = struct.pack(">hhi", key, 0, 7) + struct.pack(">h", 5) + b"drill" + b"\0"
    frame = header + body
    connection.send_raw(struct.pack(">i", len(frame)) + frame)


def put(name, topic, period):
    return (
        compact(name) + struct.pack(">q", 0) + b"\0" + uvarint(2) + compact(topic) + b"\0" + compact("stream")
        + struct.pack(">bqqq", 1, -1, period, -(1 << 63)) + b"\0\0\0" + compact("") + b"\0" + b"\0"
    )


def timed(count, ask):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", default=".build/release/apus")
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2_000)
    options = parser.parse_args()
    data = tempfile.mkdtemp(prefix="apus-readers-")
    broker = Broker(os.path.abspath(options.apus), os.path.join(data, "data"), extra=["--loops", "1"])
    rows = []
    try:
        broker.start()
        with Connection(broker.address) as connection:
            for topic in ("orders", "plain"):
                connection.create_topic(topic, 1)
                connection.produce(topic, 0, [b"x" * 100] * 1000)
            began = time.monotonic()
            waiting = 0
            for number in range(options.subscriptions):
                # Twenty different periods; each the client's own.
                flexible(connection, PUT, put(f"subscription-{number:05}", "orders", 3_600_000 * (1 + number % 20)))
                waiting += 1
                # The first one alone: it makes its owner known.
                if waiting == 200 or number == 0:
                    for _ in range(waiting):
                        refuse(connection)
                    waiting = 0
            for _ in range(waiting):
                refuse(connection)
            print(f"{options.subscriptions} subscriptions made in {time.monotonic() - began:.1f} s")

            def readers():
                flexible(connection, READERS, compact("orders") + struct.pack(">iq", 0, 500) + b"\0")
                _, reader = connection.receive()
                # No tagged fields, throttle time, no error, no message, then the count.
                _, _, code, _, count = struct.unpack(">biHbi", reader.data[4:16])
                assert (code, count) == (0, options.subscriptions), (code, count)

            questions = [
                ("ListOffsets without subscriptions", lambda: connection.list_offset("plain", 0, EARLIEST)),
                ("start of the window (ListOffsets)", lambda: connection.list_offset("orders", 0, EARLIEST)),
                ("fetch without subscriptions", lambda: connection.fetch("plain", 0, 990)),
                ("fetch in the window", lambda: connection.fetch("orders", 0, 990)),
                ("reader count", readers),
            ]
            rows = [(name, timed(options.rounds, ask)) for name, ask in questions]
    finally:
        broker.kill()
        shutil.rmtree(data, ignore_errors=True)
    for name, (median, late) in rows:
        print(f"{name:36} median {median:.3f} ms   p99 {late:.3f} ms")
    slow = [name for name, (median, _) in rows if median >= 1]
    print(f"readers: {'FAILED, over 1 ms: ' + ', '.join(slow) if slow or not rows else 'ok'}")
    return 1 if slow or not rows else 0


def refuse(connection):
    """Ends the drill when a subscription was not made."""
    _, reader = connection.receive()
    data = bytes(reader.data)
    # Correlation id, no tagged fields, throttle time, then the error.
    code = struct.unpack(">h", data[9:11])[0]
    if code:
        raise SystemExit(f"a subscription was refused with {code}: {data[11:]!r}")


if __name__ == "__main__":
    sys.exit(main())
