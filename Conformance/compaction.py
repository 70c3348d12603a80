"""A compacted topic: many updates of a hundred keys, read back by every client when the broker has compacted it."""

from harness import CLIENTS, Confluent, Record, kcat_read, recent, run, until

TOPIC, KEYS, ROUNDS = "compacted", 100, 60
# Records that fit into a segment even as one batch.
PART = 300
CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": "65536",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
}


def updates():
    start = recent()
    return [
        Record(0, b"key %d" % (n % KEYS), b"%d " % n + b"v" * 60, [], start + n) for n in range(KEYS * ROUNDS)
    ]


def fill(address):
    for _ in range(4):
        Confluent.produce(address, TOPIC, [Record(0, b"filler", b"f" * 1000, [], recent()) for _ in range(40)])


def body(checks, address, apus):
    Confluent.create(address, TOPIC, 1, CONFIG)
    records = updates()
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    for number in range(0, len(records), PART):
        Confluent.produce(address, TOPIC, records[number : number + PART], codec=codecs[number // PART % 5])
    # The last segment is never compacted: one more key fills it.
    fill(address)
    newest = {record.key: (offset, record.value) for offset, record in enumerate(records)}

    def compacted():
        return len([s for s in Confluent.read(address, TOPIC, 0, 0) if s.key != b"filler"]) == KEYS

    until(compacted, "only the newest of each key is left")
    for reader in CLIENTS:
        seen = [s for s in reader.read(address, TOPIC, 0, 0) if s.key != b"filler"]
        checks.equal(f"{reader.name}: newest of each key", {s.key: (s.offset, s.value) for s in seen}, newest)
        checks.equal(f"{reader.name}: nothing else", len(seen), KEYS)
        checks.true(f"{reader.name}: in order", all(a.offset < b.offset for a, b in zip(seen, seen[1:])))
    lines = kcat_read(address, TOPIC, 0, 0)
    checks.equal("kcat: as many", len([s for s in lines if s.key != b"filler"]), KEYS)
    for offset in (1, KEYS * ROUNDS // 2, KEYS * (ROUNDS - 1) + 7):
        wanted = sorted(o for o, _ in newest.values() if o >= offset)
        for reader in CLIENTS:
            seen = [s.offset for s in reader.read(address, TOPIC, 0, offset) if s.key != b"filler"]
            checks.equal(f"{reader.name} from {offset}", seen, wanted)
    tombstones(checks, address)
    keyless(checks, address)


def tombstones(checks, address):
    """Keys that are deleted are gone for readers from the start, at last with their tombstones."""
    Confluent.produce(address, TOPIC, [Record(0, b"key %d" % n, None, [], recent()) for n in range(KEYS // 2)])

    def gone():
        fill(address)
        seen = [s for s in Confluent.read(address, TOPIC, 0, 0) if s.key != b"filler"]
        return len(seen) == KEYS - KEYS // 2 and all(s.value is not None for s in seen)

    until(gone, "deleted keys are gone with their tombstones")
    checks.true("deleted keys are gone", True)


def keyless(checks, address):
    from confluent_kafka import Producer

    errors = []
    producer = Producer({"bootstrap.servers": address, "acks": "all"})
    producer.produce(TOPIC, value=b"no key", partition=0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)
    checks.equal("a record without a key is refused", [e.name() if e else None for e in errors], ["INVALID_RECORD"])


run("compaction", body)
