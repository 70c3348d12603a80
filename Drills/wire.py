"""A small Kafka client of the drills' own: exact control of frames, sequences and retries, standard library only.

It speaks the last non-flexible version of each call it needs, because those are the easiest to check by eye.
"""

import socket
import struct
import time

try:
    from crc32c import crc32c  # the virtual environment has it; a hundred times faster
except ImportError:

    def _table():
        rows = []
        for n in range(256):
            for _ in range(8):
                n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
            rows.append(n)
        return rows

    _TABLE = _table()

    def crc32c(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF


PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 8, 9, 10
CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID, DESCRIBE_CONFIGS = 19, 20, 22, 32
EARLIEST, LATEST = -2, -1

ERRORS = {
    -1: "UNKNOWN_SERVER_ERROR",
    0: "NONE",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    10: "MESSAGE_TOO_LARGE",
    14: "COORDINATOR_LOAD_IN_PROGRESS",
    15: "COORDINATOR_NOT_AVAILABLE",
    16: "NOT_COORDINATOR",
    17: "INVALID_TOPIC",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    35: "UNSUPPORTED_VERSION",
    36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS",
    38: "INVALID_REPLICATION_FACTOR",
    40: "INVALID_CONFIG",
    42: "INVALID_REQUEST",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    56: "KAFKA_STORAGE_ERROR",
    59: "UNKNOWN_PRODUCER_ID",
    76: "UNSUPPORTED_COMPRESSION_TYPE",
    87: "INVALID_RECORD",
    100: "UNKNOWN_TOPIC_ID",
}


def error_name(code):
    return ERRORS.get(code, f"error {code}")


class Refused(Exception):
    """The broker answered with an error."""

    def __init__(self, code, detail=""):
        super().__init__(f"{error_name(code)} ({code}) {detail}".strip())
        self.code = code


class Gone(Exception):
    """The connection is closed or broken; what was under way may have happened or not."""


# --- primitive types


def string(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">h", len(raw)) + raw


def nullable(value):
    return struct.pack(">h", -1) if value is None else string(value)


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(value):
    if 0 <= value < 64:
        return _SMALL[value]
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


_SMALL = [bytes([value << 1]) for value in range(64)]


def read_varint(data, at):
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    shift = result = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (result >> 1) ^ -(result & 1), at
        shift += 7


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        size = struct.calcsize(">" + form)
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += size
        return values[0] if len(values) == 1 else values

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def bytes(self):
        length = self.take("i")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def array(self, item):
        return [item() for _ in range(max(0, self.take("i")))]


# --- record batches


def encode_batch(values, producer=(-1, -1), sequence=-1, timestamp=None, crc=None, magic=2, count=None, attributes=0):
    """A batch of records without keys, stamped now. The keyword arguments let a drill lie about what is inside."""
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    records = bytearray()
    for delta, value in enumerate(values):
        body = b"\0\0" + varint(delta) + b"\x01" + varint(len(value)) + value + b"\0"
        records += varint(len(body)) + body
    count = len(values) if count is None else count
    checked = struct.pack(
        ">hiqqqhii", attributes, len(values) - 1, timestamp, timestamp, producer[0], producer[1], sequence, count
    ) + bytes(records)
    crc = crc32c(checked) if crc is None else crc
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, magic, crc) + checked


def decode_batches(data):
    """Yields (offset, value) of every whole batch; a wrong CRC raises ValueError: damage was served."""
    at = 0
    while at + 61 <= len(data):
        base, length, _, magic, crc = struct.unpack_from(">qiibI", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        if magic != 2 or crc32c(data[at + 21 : end]) != crc:
            raise ValueError(f"a damaged batch was served at offset {base}")
        attributes, _, _, _, _, _, _, count = struct.unpack_from(">hiqqqhii", data, at + 21)
        if attributes & 7:
            raise ValueError("compressed batches are not what the drills produce")
        spot = at + 61
        for _ in range(count):
            size, spot = read_varint(data, spot)
            next_record = spot + size
            delta, spot = read_varint(data, spot + 1 + _varint_size(data, spot + 1))
            key, spot = read_varint(data, spot)
            value, spot = read_varint(data, spot + max(0, key))
            yield base + delta, bytes(data[spot : spot + max(0, value)])
            spot = next_record
        at = end


def _varint_size(data, at):
    size = 1
    while data[at] & 0x80:
        at += 1
        size += 1
    return size


# --- connections


class Connection:
    """One TCP connection; requests may be pipelined with `send` and `receive`, or made one by one with `call`."""

    def __init__(self, address, timeout=60.0, client="drill"):
        try:
            self.socket = socket.create_connection(address, timeout=timeout)
        except OSError as error:
            raise Gone(str(error)) from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client, self.correlation, self.buffer = client, 0, bytearray()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, key, version, body):
        self.correlation += 1
        head = struct.pack(">hhi", key, version, self.correlation) + string(self.client)
        self.send_raw(struct.pack(">i", len(head) + len(body)) + head + body)
        return self.correlation

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self):
        """The next answer: (correlation, Reader behind the header)."""
        size = struct.unpack(">i", self._exactly(4))[0]
        data = self._exactly(size)
        reader = Reader(data)
        return reader.take("i"), reader

    def _exactly(self, count):
        while len(self.buffer) < count:
            try:
                piece = self.socket.recv(max(65536, count - len(self.buffer)))
            except OSError as error:
                raise Gone(str(error)) from None
            if not piece:
                raise Gone("closed by the broker")
            self.buffer += piece
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def call(self, key, version, body):
        expected = self.send(key, version, body)
        correlation, reader = self.receive()
        if correlation != expected:
            raise ValueError(f"answer {correlation} to request {expected}")
        return reader

    # --- the calls, one method each

    def api_versions(self):
        reader = self.call(API_VERSIONS, 0, b"")
        _check(reader.take("h"))
        return {key: (low, high) for key, low, high in reader.array(lambda: reader.take("hhh"))}

    def create_topic(self, name, partitions, configs=(), timeout=50_000):
        settings = array([string(key) + nullable(value) for key, value in dict(configs).items()])
        topic = string(name) + struct.pack(">ih", partitions, 1) + array([]) + settings
        reader = self.call(CREATE_TOPICS, 4, array([topic]) + struct.pack(">i?", timeout, False))
        reader.take("i")
        for _, code, detail in reader.array(lambda: (reader.string(), reader.take("h"), reader.string())):
            _check(code, detail or "")

    def send_delete_topic(self, name, timeout=50_000):
        return self.send(DELETE_TOPICS, 3, array([string(name)]) + struct.pack(">i", timeout))

    @staticmethod
    def delete_answer(reader):
        """The error code of the one topic of a request."""
        reader.take("i")
        return reader.array(lambda: (reader.string(), reader.take("h")))[0][1]

    def metadata(self, topics=None, create=False):
        """{topic: (error, {partition: error})}."""
        names = struct.pack(">i", -1) if topics is None else array([string(name) for name in topics])
        reader = self.call(METADATA, 4, names + struct.pack(">?", create))
        reader.take("i")
        reader.array(lambda: (reader.take("i"), reader.string(), reader.take("i"), reader.string()))
        reader.string()
        reader.take("i")

        def partition():
            error, index, _ = reader.take("hii")
            reader.array(lambda: reader.take("i"))
            reader.array(lambda: reader.take("i"))
            return index, error

        def topic():
            error, name = reader.take("h"), reader.string()
            reader.take("?")
            return name, (error, dict(reader.array(partition)))

        return dict(reader.array(topic))

    def init_producer(self):
        reader = self.call(INIT_PRODUCER_ID, 1, nullable(None) + struct.pack(">i", 0))
        reader.take("i")
        _check(reader.take("h"))
        return reader.take("qh")

    def produce_body(self, topic, partition, batch, acks=-1, timeout=50_000):
        data = struct.pack(">ii", partition, len(batch)) + batch
        return nullable(None) + struct.pack(">hi", acks, timeout) + array([string(topic) + array([data])])

    def send_produce(self, topic, partition, batch, acks=-1):
        return self.send(PRODUCE, 8, self.produce_body(topic, partition, batch, acks))

    @staticmethod
    def produce_answer(reader):
        """(error, base offset, message) of the one partition of a request."""

        def partition():
            _, error, offset, _, _ = reader.take("ihqqq")
            reader.array(lambda: (reader.take("i"), reader.string()))
            return error, offset, reader.string()

        answers = reader.array(lambda: (reader.string(), reader.array(partition)))
        return answers[0][1][0]

    def produce(self, topic, partition, values, acks=-1, **lies):
        """Base offset of the values."""
        batch = encode_batch(values, **lies)
        reader = self.call(PRODUCE, 8, self.produce_body(topic, partition, batch, acks))
        error, offset, detail = self.produce_answer(reader)
        _check(error, detail or "")
        return offset

    def fetch(self, topic, partition, offset, limit=1 << 20, wait=0, least=1):
        """(high watermark, raw batches)."""
        wanted = string(topic) + array([struct.pack(">iqi", partition, offset, limit)])
        body = struct.pack(">iiiib", -1, wait, least, limit, 0) + array([wanted])
        reader = self.call(FETCH, 4, body)
        reader.take("i")

        def answer():
            _, error, high, _ = reader.take("ihqq")
            reader.array(lambda: reader.take("qq"))
            return error, high, reader.bytes() or b""

        answers = reader.array(lambda: (reader.string(), reader.array(answer)))
        error, high, data = answers[0][1][0]
        _check(error, f"{topic}[{partition}]@{offset}")
        return high, data

    def list_offset(self, topic, partition, timestamp):
        body = struct.pack(">i", -1) + array([string(topic) + array([struct.pack(">iq", partition, timestamp)])])
        reader = self.call(LIST_OFFSETS, 1, body)
        answers = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ihqq"))))
        _, error, _, offset = answers[0][1][0]
        _check(error)
        return offset

    def find_coordinator(self, group):
        """The broker's number. The first question makes the topic that positions are kept in."""
        reader = self.call(FIND_COORDINATOR, 1, string(group) + b"\0")
        _, error, detail, broker = reader.take("i"), reader.take("h"), reader.string(), reader.take("i")
        _check(error, detail or "")
        return broker

    def send_commit(self, group, topic, offsets, metadata=""):
        """Positions from outside, {partition: offset}: no generation, no member."""
        partitions = array([struct.pack(">iq", p, o) + string(metadata) for p, o in offsets.items()])
        head = string(group) + struct.pack(">i", -1) + string("")
        return self.send(OFFSET_COMMIT, 5, head + array([string(topic) + partitions]))

    @staticmethod
    def commit_answer(reader):
        """{partition: error} of the one topic of a commit."""
        reader.take("i")
        return dict(reader.array(lambda: (reader.string(), dict(reader.array(lambda: reader.take("ih")))))[0][1])

    def positions(self, group, topic, partitions):
        """{partition: (offset, metadata)}; −1 and "" where there is none."""
        wanted = string(topic) + array([struct.pack(">i", partition) for partition in partitions])
        reader = self.call(OFFSET_FETCH, 3, string(group) + array([wanted]))
        reader.take("i")

        def answer():
            partition, offset = reader.take("iq")
            metadata, error = reader.string(), reader.take("h")
            _check(error, f"{group} in {topic}[{partition}]")
            return partition, (offset, metadata)

        found = dict(reader.array(lambda: (reader.string(), dict(reader.array(answer)))))
        _check(reader.take("h"), group)
        return found.get(topic, {})

    def read(self, topic, partition, start, end, limit=None):
        """Every (offset, value) in [start, end), in order; raises when the broker skips or repeats an offset.

        With a limit in bytes, what one fetch of that size gives."""
        at = start
        while at < end:
            _, data = self.fetch(topic, partition, at, limit or 1 << 20)
            before = at
            for offset, value in decode_batches(data):
                if offset < at:
                    continue  # the front of a batch that began before what was asked
                if offset > at:
                    raise ValueError(f"{topic}[{partition}] skips from {at} to {offset}")
                if offset >= end:
                    return
                yield offset, value
                at += 1
            if at == before:
                raise ValueError(f"{topic}[{partition}] serves nothing at {at}, below its end {end}")
            if limit:
                return


def _check(code, detail=""):
    if code != 0:
        raise Refused(code, detail)
