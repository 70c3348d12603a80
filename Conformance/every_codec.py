"""Every codec, idempotence on, from each client to every other: all, and `apus sub`, see the same records."""

from harness import CLIENTS, apus_read, expected, kcat_read, run, sample, without_headers

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS, COUNT = 2, 150


def body(checks, address, apus):
    records = sample(PARTITIONS, COUNT)
    for writer in CLIENTS:
        for codec in CODECS:
            topic = f"codec-{writer.name}-{codec}"
            places = (checks, address, apus, writer, topic)
            checks.part(f"{writer.name} writes {codec}", write_and_compare, *places, codec, records)


def write_and_compare(checks, address, apus, writer, topic, codec, records):
    writer.create(address, topic, PARTITIONS)
    writer.produce(address, topic, records, codec)
    for partition in range(PARTITIONS):
        wanted = expected(records, partition)
        for reader in CLIENTS:
            what = f"{writer.name} {codec} → {reader.name} [{partition}]"
            checks.equal(what, reader.read(address, topic, partition, 0), wanted)
        what = f"{writer.name} {codec} → kcat [{partition}]"
        checks.equal(what, kcat_read(address, topic, partition, "beginning"), without_headers(wanted))
        what = f"{writer.name} {codec} → apus sub [{partition}]"
        checks.equal(what, apus_read(apus, address, topic, partition, "start"), wanted)


run("every codec", body)
