"""Subscriptions through the broker's own APIs (docs/decisions/0017-own-apis.md): the calls, and a worker that makes,
changes and removes them without pause and keeps what it was promised."""

import ctypes
import multiprocessing
import random
import struct

from wire import Connection, Gone, Refused, error_name

DESCRIBE, PUT, REMOVE = 32000, 32001, 32002
NO_DURATION = -(1 << 63)
NOT_KNOWN = -1
ERRORS_PASSING = (5, 6, 7, 8, 14, 15, 16, 56)  # what a change may meet while a broker dies and comes back
VERSION_MOVED = 95
ERROR_CODES = 256
HOURS_MAX, HOUR_MS = 700, 3_600_000  # periods below the ceiling of topics


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def compact(text):
    if text is None:
        return b"\0"
    raw = text.encode()
    return uvarint(len(raw) + 1) + raw


def compact_array(items):
    return b"\0" if items is None else uvarint(len(items) + 1) + b"".join(items)


class Fields:
    """Fields of a flexible answer, one after the other."""

    def __init__(self, reader):
        self.reader = reader
        self.tags()

    def length(self):
        shift = value = 0
        while True:
            byte = self.reader.take("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value - 1
            shift += 7

    def text(self):
        length = self.length()
        if length < 0:
            return None
        self.reader.at += length
        return self.reader.data[self.reader.at - length : self.reader.at].decode()

    def array(self, item):
        return [item() for _ in range(self.length())]

    def take(self, form):
        return self.reader.take(form)

    def tags(self):
        if self.take("B"):
            raise ValueError("tagged fields, which nobody sends")


def put(connection, name, topic, period_ms, version):
    """Makes a subscription, or changes the one of this version (0: there is none); the version it has now."""
    body = compact(name) + struct.pack(">q", version) + compact(None) + compact_array([compact(topic)]) + compact(None)
    body += compact("stream") + struct.pack(">bqqq", 0, -1, period_ms, NO_DURATION)
    body += compact(None) * 3 + compact("drill") + b"\0" + b"\0"
    fields = Fields(connection.call(PUT, 0, b"\0" + body))
    _, error, detail = fields.take("i"), fields.take("h"), fields.text()
    if error:
        raise Refused(error, detail or "")
    return fields.take("qq")[1]


def remove(connection, name):
    fields = Fields(connection.call(REMOVE, 0, b"\0" + compact_array([compact(name)]) + b"\0"))
    fields.take("i")
    for _, error, detail, _ in fields.array(lambda: (fields.text(), fields.take("h"), fields.text(), fields.tags())):
        if error:
            raise Refused(error, detail or "")


def described(connection, names):
    """{name: (version, period in ms)} of those that there are."""
    asked = compact_array([compact(name) for name in names]) + compact(None) * 4 + b"\0"
    fields = Fields(connection.call(DESCRIBE, 0, b"\0" + asked))
    _, error, detail = fields.take("i"), fields.take("h"), fields.text()
    if error:
        raise Refused(error, detail or "")

    def one():
        name, (_, version), _ = fields.text(), fields.take("qq"), fields.text()
        fields.array(fields.text)
        fields.text(), fields.text()
        _, _, period, _ = fields.take("bqqq")
        fields.text(), fields.text(), fields.text(), fields.text()
        fields.take("qq")
        fields.tags()
        return name, (version, period)

    return dict(fields.array(one))


class Changer(multiprocessing.Process):
    """Changes one subscription after the other; shares what each must be, and what it may be by now besides.

    `known` and `wish` are periods in ms by subscription, 0 where there is none, NOT_KNOWN where nothing is under way."""

    def __init__(self, address, topic, count, stop):
        super().__init__(daemon=True)
        self.address, self.topic, self.stop_event = address, topic, stop
        self.names = [f"cut-{number}" for number in range(count)]
        self.known = multiprocessing.Array(ctypes.c_int64, count, lock=False)
        self.wish = multiprocessing.Array(ctypes.c_int64, [NOT_KNOWN] * count, lock=False)
        self.done = multiprocessing.Value(ctypes.c_int64, 0, lock=False)
        self.drops = multiprocessing.Value(ctypes.c_int64, 0, lock=False)
        self.odd = multiprocessing.Array(ctypes.c_int64, ERROR_CODES, lock=False)

    def run(self):
        self.versions = [0] * len(self.names)
        dice = random.Random(5)
        while not self.stop_event.is_set():
            try:
                with Connection(self.address, timeout=5.0) as connection:
                    while not self.stop_event.is_set():
                        self.change(connection, dice)
            except Gone:
                pass
            self.drops.value += 1

    def change(self, connection, dice):
        number = dice.randrange(len(self.names))
        try:
            if self.wish[number] != NOT_KNOWN:
                self.look(connection, number)
            wanted = 0 if self.known[number] and dice.random() < 0.3 else dice.randrange(1, HOURS_MAX) * HOUR_MS
            self.wish[number] = wanted
            if wanted:
                self.versions[number] = put(
                    connection, self.names[number], self.topic, wanted, self.versions[number]
                )
            else:
                remove(connection, self.names[number])
                self.versions[number] = 0
            self.known[number] = wanted
            self.wish[number] = NOT_KNOWN
            self.done.value += 1
        except Refused as error:
            if error.code not in (VERSION_MOVED, *ERRORS_PASSING):
                self.odd[error.code % ERROR_CODES] += 1

    def look(self, connection, number):
        """What became of a change that was not answered."""
        name = self.names[number]
        self.versions[number], period = described(connection, [name]).get(name, (0, 0))
        self.known[number] = period
        self.wish[number] = NOT_KNOWN

    def check(self, connection, counts, cycle):
        """Holds what there is against what was promised."""
        found = described(connection, self.names)
        for number, name in enumerate(self.names):
            _, period = found.get(name, (0, 0))
            allowed = {self.known[number]} | ({self.wish[number]} - {NOT_KNOWN})
            if period not in allowed:
                counts.lost += 1
                counts.note(f"cycle {cycle}: {name} has the period {period} ms, promised was one of {sorted(allowed)}")

    def oddities(self):
        for code, count in enumerate(self.odd):
            if count:
                yield f"changes met {error_name(code)} {count} times"
