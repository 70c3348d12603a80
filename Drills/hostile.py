"""Bytes that no honest client sends: the process lives, memory stays bounded, and an error or an end answers."""

import argparse
import os
import shutil
import socket
import struct
import sys
import tempfile
import time

import wire
from broker import Broker, until
from wire import Connection, Gone, Refused, encode_batch, error_name

TOPIC = "drill"
# A busy machine may take its time to answer; a frame that was only begun is ended by the broker after 10 s.
SILENCE_SECONDS = 8
RESIDENT_DELTA_MAX = 192 << 20
WARM = "warm"
# The memory for answers (256 MiB), and what the allocator keeps.
ANSWERS_DELTA_MAX = (256 + 192) << 20
NAMES_REFUSED = ["", ".", "..", "a/b", "a\0b", "../../etc/passwd", "x" * 250, "a b", "ü", "a\nb"]


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, flexible=False):
    return struct.pack(">hhi", key, version, 1) + wire.string("hostile") + (b"\0" if flexible else b"")


def many_tags(count):
    """A flexible header with a million tagged fields, each one empty."""
    tags = bytearray(_uvarint(count))
    for tag in range(count):
        tags += _uvarint(tag) + b"\0"
    return bytes(tags)


def _uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def hostile_frames():
    """(what it is, the bytes)."""
    huge = struct.pack(">i", 2**31 - 1)
    produce = wire.nullable(None) + struct.pack(">hi", -1, 1000)
    fetch = struct.pack(">iiiib", -1, 0, 1, 1 << 20, 0)
    yield "a negative length", struct.pack(">i", -1)
    yield "the smallest length", struct.pack(">i", -(2**31))
    yield "a length of zero", struct.pack(">i", 0)
    yield "the largest length", huge + b"x" * 100
    yield "a length just too large", struct.pack(">i", (100 << 20) + 1) + b"x" * 100
    yield "a length of one", frame(b"\0")
    yield "a header cut short", frame(b"\0\x03\0\x01\0\0")
    yield "a client id longer than its frame", frame(struct.pack(">hhih", 3, 1, 1, 32767) + b"x")
    yield "an unknown key", frame(header(999, 0))
    yield "a negative key", frame(header(-5, 0))
    yield "an unknown version", frame(header(wire.METADATA, 99))
    yield "a negative version", frame(header(wire.METADATA, -1))
    yield "2^31-1 topics in Metadata", frame(header(wire.METADATA, 1) + huge)
    yield "-2^31 topics in Metadata", frame(header(wire.METADATA, 1) + struct.pack(">i", -(2**31)))
    yield "2^31-1 topics in Produce", frame(header(wire.PRODUCE, 8) + produce + huge)
    yield "2^31-1 topics in Fetch", frame(header(wire.FETCH, 4) + fetch + huge)
    yield "2^31-1 topics in CreateTopics", frame(header(wire.CREATE_TOPICS, 4) + huge)
    yield "2^31-1 partitions in ListOffsets", frame(
        header(wire.LIST_OFFSETS, 1) + struct.pack(">i", -1) + wire.array([wire.string("t") + huge])
    )
    yield "2^31-1 record bytes in Produce", frame(
        header(wire.PRODUCE, 8)
        + produce
        + wire.array([wire.string(TOPIC) + wire.array([struct.pack(">ii", 0, 2**31 - 1)])])
    )
    yield "a compact count of 2^32-1", frame(header(wire.METADATA, 9, True) + b"\xff\xff\xff\xff\x0f")
    yield "a varint without an end", frame(header(wire.METADATA, 9, True) + b"\xff" * 64)
    yield "a million tagged fields in a header", frame(header(wire.METADATA, 9) + many_tags(1_000_000))
    yield "a tagged field longer than its frame", frame(header(wire.METADATA, 9) + b"\x01\0" + b"\xff\xff\xff\xff\x07")
    yield "every byte 0xff", frame(b"\xff" * 4096)
    yield "plain HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "a TLS hello", bytes.fromhex("1603010200010001fc0303") + b"\0" * 512


def answer_to(address, data):
    """What came back to raw bytes: `closed`, `answered`, or `silent` (half open, waiting for more)."""
    with socket.create_connection(address, timeout=SILENCE_SECONDS) as raw:
        try:
            raw.sendall(data)
            piece = raw.recv(65536)
            return "answered" if piece else "closed"
        except socket.timeout:
            return "silent"
        except OSError:
            return "closed"


def hostile_batches():
    """(what it is, the batch, the codes that may answer)."""
    good = [b"value"]
    lie = dict
    cases = [
        ("a wrong CRC", lie(crc=1), {2}),
        ("magic 0", lie(magic=0), {2, 35, 43, 87}),
        ("magic 127", lie(magic=127), {2, 35, 43, 87}),
        ("a count of 2^31-1", lie(count=2**31 - 1), {2, 87}),
        ("a count of -1", lie(count=-1), {2, 87}),
        ("a count of zero", lie(count=0), {2, 87}),
        ("a control batch", lie(attributes=0x20), {2, 87}),
        ("an unknown codec", lie(attributes=7), {2, 76, 87}),
        ("a producer without a sequence", lie(producer=(1, 0), sequence=-1), {2, 45, 87}),
    ]
    for name, lies, codes in cases:
        yield name, encode_batch(good, **lies), codes
    whole = encode_batch(good)
    yield "half a batch", whole[: len(whole) // 2], {2, 87}
    yield "no bytes at all", b"", {2, 42, 87}
    yield "a batch length of -1", whole[:8] + struct.pack(">i", -1) + whole[12:], {2, 87}
    yield "a batch length of 2^31-1", whole[:8] + struct.pack(">i", 2**31 - 1) + whole[12:], {2, 10, 87}
    yield "two batches in one", whole + whole, {2, 42, 87}
    yield "a batch that begins at 7", struct.pack(">q", 7) + whole[8:], {2, 87}
    yield "a batch of two megabytes", encode_batch([b"x" * (2 << 20)]), {10, 18}


class Report:
    def __init__(self):
        self.cases, self.problems = 0, []

    def case(self, ok, text):
        self.cases += 1
        if not ok:
            self.problems.append(text)


def send_frames(broker, report):
    for name, data in hostile_frames():
        outcome = answer_to(broker.address, data)
        waits = name in ("plain HTTP", "a TLS hello")  # their first bytes may read as a length still to come
        report.case(outcome != "silent" or waits, f"{name}: silence instead of an error or an end")
        report.case(broker.alive(), f"{name}: the process ended: {broker.said()[-300:]}")
        if not broker.alive():
            broker.start()


def send_batches(broker, report):
    for name, batch, codes in hostile_batches():
        try:
            with Connection(broker.address) as connection:
                body = connection.produce_body(TOPIC, 0, batch)
                error, _, _ = connection.produce_answer(connection.call(wire.PRODUCE, 8, body))
            report.case(
                error in codes, f"{name}: answered {error_name(error)} ({error}), wanted one of {sorted(codes)}"
            )
        except Gone:
            report.case(True, name)
        report.case(broker.alive(), f"{name}: the process ended")
        if not broker.alive():
            broker.start()


def send_names(broker, report, data):
    for name in NAMES_REFUSED:
        try:
            with Connection(broker.address) as connection:
                connection.create_topic(name, 1)
            report.case(False, f"a topic named {name[:20]!r} was made")
        except Refused as error:
            report.case(error.code == 17, f"topic {name[:20]!r}: {error}, wanted INVALID_TOPIC")
        except Gone:
            report.case(name == "ü", f"topic {name[:20]!r}: closed instead of INVALID_TOPIC")
    with Connection(broker.address) as connection:
        connection.create_topic("one.name", 1)
        try:
            connection.create_topic("one_name", 1)
            report.case(False, "one_name was made beside one.name")
        except Refused as error:
            report.case(error.code == 17, f"one_name beside one.name: {error}, wanted INVALID_TOPIC")
    report.case(os.listdir(os.path.dirname(data)) == [os.path.basename(data)], "a file outside the data directory")


def half_a_frame(broker, report):
    """Clients that stop in the middle cost only themselves."""
    silent = []
    for _ in range(200):
        raw = socket.create_connection(broker.address, timeout=30)
        raw.sendall(struct.pack(">i", 8 << 20) + b"x" * 100)
        silent.append(raw)
    others_are_served(broker, report, "while 200 connections hold half a frame")
    for raw in silent:
        raw.close()


def never_reads(broker, report):
    """Asks for far more than the socket holds and never reads: the broker must not keep the answers in memory."""
    with Connection(broker.address) as connection:
        for _ in range(40):
            connection.produce(TOPIC, 0, [b"y" * 500_000])
    deaf = []
    for _ in range(8):
        connection = Connection(broker.address, timeout=2)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wanted = wire.string(TOPIC) + wire.array([struct.pack(">iqi", 0, 0, 8 << 20)])
        body = struct.pack(">iiiib", -1, 0, 1, 8 << 20, 0) + wire.array([wanted])
        try:
            for _ in range(500):
                connection.send(wire.FETCH, 4, body)
        except Gone:
            pass  # it stopped reading from us, as it should
        deaf.append(connection)
    others_are_served(broker, report, "beside clients that never read")
    return deaf


def all_fetch_at_once(broker, report):
    """300 clients ask for 8 MiB each in the same moment and never read: their answers together stay in bounds."""
    with Connection(broker.address) as connection:
        connection.create_topic(WARM, 1)
        for _ in range(20):
            connection.produce(WARM, 0, [b"z" * 100_000] * 8)
    # Not from the tail cache, whose bytes all answers share: each is read anew from the page cache.
    broker.stop()
    broker.start(WARM, 1)
    before = peak = broker.resident()
    deaf = []
    for _ in range(300):
        connection = Connection(broker.address, timeout=2)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.append(connection)
    wanted = wire.string(WARM) + wire.array([struct.pack(">iqi", 0, 0, 8 << 20)])
    body = struct.pack(">iiiib", -1, 500, 1, 16 << 20, 0) + wire.array([wanted])
    for connection in deaf:
        connection.send(wire.FETCH, 4, body)
    served = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        peak = max(peak, broker.resident())
        try:
            with Connection(broker.address, timeout=60) as connection:
                served += len(connection.fetch(WARM, 0, 0, limit=8 << 20)[1]) > 0
        except (Gone, Refused) as error:
            report.case(False, f"a reader beside 300 that do not read is not served: {error}")
            break
        peak = max(peak, broker.resident())
        time.sleep(0.05)
    report.case(served > 0, "a reader beside 300 that do not read got no records")
    report.case(peak - before < ANSWERS_DELTA_MAX, f"300 unread fetches took {(peak - before) >> 20} MiB")
    for connection in deaf:
        connection.close()
    return peak - before


def others_are_served(broker, report, when):
    try:
        with Connection(broker.address, timeout=60) as connection:
            connection.api_versions()
            connection.metadata([TOPIC])
            connection.produce(TOPIC, 0, [b"small"])
            connection.fetch(TOPIC, 0, 0)
        report.case(True, when)
    except (Gone, Refused) as error:
        report.case(False, f"others are not served {when}: {error}")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=1, help="how often the whole list is sent")
    arguments = options.parse_args()
    root = tempfile.mkdtemp(prefix="apus-hostile-")
    data, report, deaf, unread = os.path.join(root, "data"), Report(), [], 0
    broker = Broker(arguments.apus, data)
    try:
        broker.start()
        with Connection(broker.address) as connection:
            connection.create_topic(TOPIC, 1)
            connection.produce(TOPIC, 0, [b"before"])
        before = peak = broker.resident()
        send_names(broker, report, data)
        for _ in range(min(arguments.cycles, 20)):
            send_frames(broker, report)
            send_batches(broker, report)
            peak = max(peak, broker.resident())
        half_a_frame(broker, report)
        deaf = never_reads(broker, report)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            peak = max(peak, broker.resident())
            time.sleep(0.05)
        report.case(peak - before < RESIDENT_DELTA_MAX, f"memory grew by {(peak - before) >> 20} MiB")
        with Connection(broker.address) as connection:
            report.case(connection.produce(TOPIC, 0, [b"after"]) > 0, "produce after it all")
        for connection in deaf:
            connection.close()
        unread = all_fetch_at_once(broker, report)
        until(broker.alive, 1, "the process lives")
    finally:
        broker.kill()
        shutil.rmtree(root, ignore_errors=True)
    print(
        f"hostile: {report.cases} checks, {len(report.problems)} failed, process alive, "
        f"resident {before >> 20} MiB before, at most {(peak - before) >> 20} MiB more, "
        f"{unread >> 20} MiB with 300 fetches unread"
    )
    for problem in report.problems:
        print("  " + problem)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
