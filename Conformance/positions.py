"""Explicit partitions and offsets, and reading from an offset and from a timestamp: the same for every client."""

from harness import CLIENTS, Confluent, apus_read, expected, kcat, kcat_read, run, sample, without_headers

TOPIC, PARTITIONS, COUNT = "positions", 2, 300


def body(checks, address, apus):
    records = sample(PARTITIONS, COUNT)
    Confluent.create(address, TOPIC, PARTITIONS)
    half = COUNT // 2
    Confluent.produce(address, TOPIC, records[:half])  # two producers, so that offsets cross batches
    Confluent.produce(address, TOPIC, records[half:], codec="zstd")
    for partition in range(PARTITIONS):
        size = len(expected(records, partition))
        for offset in (0, 1, 37, size // 2, size - 1, size):
            checks.part(f"from {offset}", from_offset, checks, address, apus, records, partition, offset)
        for timestamp in times(records, partition):
            checks.part(f"from {timestamp} ms", from_time, checks, address, apus, records, partition, timestamp)


def times(records, partition):
    """Before all, exactly at one, between two, exactly at the last, behind all."""
    mine = [r.timestamp for r in records if r.partition == partition]
    return (0, mine[0], mine[10], mine[10] + 1, mine[len(mine) // 2] - 1, mine[-1], mine[-1] + 1)


def from_offset(checks, address, apus, records, partition, offset):
    wanted = expected(records, partition, offset)
    for reader in CLIENTS:
        what = f"{reader.name} [{partition}] from {offset}"
        checks.equal(what, reader.read(address, TOPIC, partition, offset), wanted)
    what = f"kcat [{partition}] from {offset}"
    checks.equal(what, kcat_read(address, TOPIC, partition, offset), without_headers(wanted))
    what = f"apus sub [{partition}] from {offset}"
    checks.equal(what, apus_read(apus, address, TOPIC, partition, offset), wanted)


def from_time(checks, address, apus, records, partition, timestamp):
    all_of_it = expected(records, partition)
    first = next((seen.offset for seen in all_of_it if seen.timestamp >= timestamp), -1)
    for reader in CLIENTS:
        found = reader.offset_at(address, TOPIC, partition, timestamp)
        if first == -1 and reader is Confluent:
            found = -1 if found in (-1, len(all_of_it)) else found  # librdkafka says "the end" in words of its own
        checks.equal(f"{reader.name} [{partition}] offset at {timestamp}", found, first)
    answer = kcat(address, "-Q", "-t", f"{TOPIC}:{partition}:{timestamp}").decode()
    checks.equal(f"kcat -Q [{partition}] at {timestamp}", answer.strip().split()[-1], str(first))
    wanted = all_of_it[first:] if first >= 0 else []
    what = f"kcat [{partition}] from {timestamp} ms"
    checks.equal(what, kcat_read(address, TOPIC, partition, f"s@{timestamp}"), without_headers(wanted))
    what = f"apus sub [{partition}] from {timestamp} ms"
    checks.equal(what, apus_read(apus, address, TOPIC, partition, f"@{timestamp}"), wanted)


run("positions", body)
