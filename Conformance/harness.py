"""What every conformance script shares: a broker of its own, checks that count, and the foreign clients by one shape.

A script is `python script.py [--apus PATH]`, with `--address HOST:PORT` for a broker that already runs. It prints one
closing line and ends with 1 if any check failed. Nothing sleeps: clients poll with deadlines.
"""

import argparse
import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "Drills"))

from broker import Broker  # noqa: E402  (found through the line above)

DEADLINE = 180.0
Record = namedtuple("Record", "partition key value headers timestamp")
Seen = namedtuple("Seen", "offset timestamp key value headers")


class Checks:
    """Counts what was compared; keeps the first differences in words."""

    def __init__(self, name):
        self.name, self.count, self.problems = name, 0, []
        self.broker = None  # the script's own, unless it was given an address

    def equal(self, what, found, expected):
        self.count += 1
        if found != expected:
            self.problems.append(f"{what}: found {brief(found)}, expected {brief(expected)}")

    def true(self, what, condition):
        self.equal(what, bool(condition), True)

    def fails(self, what, call, expected):
        """`call` must raise; `expected` is held against the error's own name."""
        self.count += 1
        try:
            value = call()
        except Exception as error:  # noqa: BLE001  every client has a tree of errors of its own
            if error_code(error) != expected:
                self.problems.append(f"{what}: {error_code(error)} ({brief(error)}), expected {expected}")
        else:
            self.problems.append(f"{what}: no error but {brief(value)}, expected {expected}")

    def part(self, what, body, *values):
        """Runs one part of a script; an unexpected error is a failed check, and the other parts still run."""
        try:
            body(*values)
        except Exception as error:  # noqa: BLE001
            self.count += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.problems.append(f"{what}: {type(error).__name__} {brief(error)} at {where.filename}:{where.lineno}")

    def close(self):
        print(f"{self.name}: {self.count} checks, {len(self.problems)} failed")
        for problem in self.problems[:40]:
            print("  " + problem)
        return 1 if self.problems or self.count == 0 else 0


def brief(value):
    text = str(value)
    return text if len(text) < 300 else text[:300] + "…"


def error_code(error):
    """The Kafka error name or number of an exception, whichever client raised it."""
    first = error.args[0] if error.args else None
    if hasattr(first, "name") and callable(first.name):
        return first.name()  # confluent-kafka: KafkaError.name()
    return type(error).__name__


def run(name, body):
    """Starts a broker, runs `body(checks, address, apus)`, stops the broker; the exit code."""
    options = argparse.ArgumentParser()
    debug = os.path.join(ROOT, ".build", "debug", "apus")
    options.add_argument(
        "--apus", default=debug, help="path of the executable, which is the broker and one of the clients"
    )
    options.add_argument("--address", help="host:port of a broker that already runs")
    arguments = options.parse_args()
    checks, root = Checks(name), tempfile.mkdtemp(prefix="apus-conformance-")
    broker = None
    try:
        address = arguments.address
        if not address:
            broker = Broker(arguments.apus, os.path.join(root, "data"))
            broker.start()
            checks.broker = broker
            address = f"127.0.0.1:{broker.port}"
        body(checks, address, arguments.apus)
        if broker:
            checks.true("the broker lives", broker.alive())
    finally:
        if broker:
            broker.kill()
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(checks.close())


def own_brokers(name, body):
    """For scripts that start brokers of their own: `body(checks, apus, folder)`; the exit code."""
    options = argparse.ArgumentParser()
    options.add_argument("--apus", default=os.path.join(ROOT, ".build", "debug", "apus"), help="path of the executable")
    arguments = options.parse_args()
    checks, root = Checks(name), tempfile.mkdtemp(prefix="apus-conformance-")
    try:
        body(checks, os.path.abspath(arguments.apus), root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(checks.close())


def until(condition, what, deadline=DEADLINE):
    """Polls a condition that itself waits a little (a client's poll); its value, or TimeoutError."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
    raise TimeoutError(f"not within {deadline} s: {what}")


def recent():
    """The last whole hour but one, in ms: old enough to be the past, young enough that retention leaves it."""
    return (int(time.time()) // 3600 - 1) * 3_600_000


def sample(partitions, count):
    """Records of every awkward kind, a second apart."""
    records, start = [], recent()
    for n in range(count):
        partition, at = n % partitions, start + n * 1000
        key = None if n % 5 == 0 else f"key {n % 17} ü".encode()
        value = [b"", None, bytes(range(256)), f"value {n} ".encode() * (n % 40 + 1), b"z" * 20_000][n % 5]
        headers = [("trace", b"%d" % n), ("trace", b"again"), ("empty", b"")] if n % 3 == 0 else []
        records.append(Record(partition, key, value, headers, at))
    return records


def expected(records, partition, first=0):
    """What a reader of one partition must see of a sample that was written to an empty topic."""
    mine = [record for record in records if record.partition == partition]
    return [Seen(n, r.timestamp, r.key, r.value, r.headers) for n, r in enumerate(mine)][first:]


# --- confluent-kafka (librdkafka)


class Confluent:
    name = "confluent-kafka"

    @staticmethod
    def create(address, topic, partitions, config=None):
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": address})
        made = admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})], operation_timeout=60)
        made[topic].result(DEADLINE)

    @staticmethod
    def produce(address, topic, records, codec="none", idempotent=True):
        from confluent_kafka import Producer

        settings = {
            "bootstrap.servers": address,
            "compression.type": codec,
            "enable.idempotence": idempotent,
            "acks": "all",
            "linger.ms": 20,
        }
        failed = []
        producer = Producer(settings)
        for r in records:
            producer.produce(
                topic,
                value=r.value,
                key=r.key,
                partition=r.partition,
                headers=r.headers,
                timestamp=r.timestamp,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.poll(0)
        left = producer.flush(DEADLINE)
        if left or failed:
            raise RuntimeError(f"{left} unsent, {len(failed)} failed: {failed[:1]}")

    @staticmethod
    def consumer(address, **more):
        from confluent_kafka import Consumer

        settings = {
            "bootstrap.servers": address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
        return Consumer({**settings, **more})

    @classmethod
    def read(cls, address, topic, partition, offset):
        from confluent_kafka import KafkaError, KafkaException, TopicPartition

        consumer, seen = cls.consumer(address), []
        consumer.assign([TopicPartition(topic, partition, offset)])

        def one():
            message = consumer.poll(1.0)
            if message is None:
                return False
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    return True
                raise KafkaException(message.error())
            headers = [(name, value) for name, value in message.headers() or []]
            seen.append(Seen(message.offset(), message.timestamp()[1], message.key(), message.value(), headers))
            return False

        try:
            until(one, f"{cls.name} reads {topic}[{partition}]@{offset} to its end")
        finally:
            consumer.close()
        return seen

    @classmethod
    def offset_at(cls, address, topic, partition, timestamp):
        from confluent_kafka import TopicPartition

        consumer = cls.consumer(address)
        try:
            found = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=DEADLINE)
            return found[0].offset
        finally:
            consumer.close()


# --- kafka-python


class KafkaPython:
    name = "kafka-python"

    @staticmethod
    def create(address, topic, partitions, config=None):
        from kafka.admin import KafkaAdminClient, NewTopic

        admin = KafkaAdminClient(bootstrap_servers=address)
        try:
            admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config or {})])
        finally:
            admin.close()

    @staticmethod
    def produce(address, topic, records, codec="none", idempotent=True):
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=address,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            acks="all",
            linger_ms=20,
        )
        try:
            sent = [
                producer.send(
                    topic, r.value, key=r.key, headers=r.headers, partition=r.partition, timestamp_ms=r.timestamp
                )
                for r in records
            ]
            producer.flush(DEADLINE)
            for future in sent:
                future.get(DEADLINE)
        finally:
            producer.close(5)

    @staticmethod
    def consumer(address, **more):
        from kafka import KafkaConsumer

        settings = {"bootstrap_servers": address, "group_id": None, "enable_auto_commit": False}
        return KafkaConsumer(**{**settings, "auto_offset_reset": "none", **more})

    @classmethod
    def read(cls, address, topic, partition, offset):
        from kafka import TopicPartition

        consumer, seen, where = cls.consumer(address), [], TopicPartition(topic, partition)
        consumer.assign([where])
        consumer.seek(where, offset)
        end = consumer.end_offsets([where])[where]

        def some():
            for messages in consumer.poll(timeout_ms=1000).values():
                for m in messages:
                    seen.append(Seen(m.offset, m.timestamp, m.key, m.value, list(m.headers)))
            return consumer.position(where) >= end

        try:
            until(some, f"{cls.name} reads {topic}[{partition}]@{offset} to {end}")
        finally:
            consumer.close()
        return seen

    @classmethod
    def offset_at(cls, address, topic, partition, timestamp):
        from kafka import TopicPartition

        consumer, where = cls.consumer(address), TopicPartition(topic, partition)
        try:
            found = consumer.offsets_for_times({where: timestamp})[where]
            return -1 if found is None else found.offset
        finally:
            consumer.close()


# --- aiokafka


class AioKafka:
    name = "aiokafka"

    @staticmethod
    def create(address, topic, partitions, config=None):
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        async def body():
            admin = AIOKafkaAdminClient(bootstrap_servers=address)
            await admin.start()
            try:
                answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config or {})])
                if answer.topic_errors[0][1] != 0:
                    raise RuntimeError(answer.topic_errors)
            finally:
                await admin.close()

        asyncio.run(asyncio.wait_for(body(), DEADLINE))

    @staticmethod
    def produce(address, topic, records, codec="none", idempotent=True):
        from aiokafka import AIOKafkaProducer

        async def body():
            producer = AIOKafkaProducer(
                bootstrap_servers=address,
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
                acks="all",
                linger_ms=20,
            )
            await producer.start()
            try:
                sent = [
                    await producer.send(
                        topic, r.value, key=r.key, headers=r.headers, partition=r.partition, timestamp_ms=r.timestamp
                    )
                    for r in records
                ]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

        asyncio.run(asyncio.wait_for(body(), DEADLINE))

    @staticmethod
    async def consumer(address, **more):
        from aiokafka import AIOKafkaConsumer

        settings = {"bootstrap_servers": address, "group_id": None, "enable_auto_commit": False}
        consumer = AIOKafkaConsumer(**{**settings, "auto_offset_reset": "none", **more})
        await consumer.start()
        return consumer

    @classmethod
    def read(cls, address, topic, partition, offset):
        from aiokafka import TopicPartition

        async def body():
            consumer, seen, where = await cls.consumer(address), [], TopicPartition(topic, partition)
            try:
                consumer.assign([where])
                consumer.seek(where, offset)
                end = (await consumer.end_offsets([where]))[where]
                while await consumer.position(where) < end:
                    for messages in (await consumer.getmany(where, timeout_ms=1000)).values():
                        for m in messages:
                            seen.append(Seen(m.offset, m.timestamp, m.key, m.value, list(m.headers)))
                return seen
            finally:
                await consumer.stop()

        return asyncio.run(asyncio.wait_for(body(), DEADLINE))

    @classmethod
    def offset_at(cls, address, topic, partition, timestamp):
        from aiokafka import TopicPartition

        async def body():
            consumer, where = await cls.consumer(address), TopicPartition(topic, partition)
            try:
                found = (await consumer.offsets_for_times({where: timestamp}))[where]
                return -1 if found is None else found.offset
            finally:
                await consumer.stop()

        return asyncio.run(asyncio.wait_for(body(), DEADLINE))


CLIENTS = (Confluent, KafkaPython, AioKafka)


# --- kcat


def kcat(address, *arguments, data=None):
    """Standard output of kcat; an error of its own raises."""
    done = subprocess.run(("kcat", "-q", "-b", address, *arguments), input=data, capture_output=True, timeout=DEADLINE)
    if done.returncode != 0:
        raise RuntimeError(f"kcat {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def kcat_read(address, topic, partition, start):
    """[Seen] without headers; lengths stand before keys and values, so any byte may be in them."""
    form = "%o %T %K %S\\n%k%s\\n"
    out = kcat(address, "-C", "-t", topic, "-p", str(partition), "-o", str(start), "-e", "-f", form)
    seen, at = [], 0
    while at < len(out):
        line_end = out.index(b"\n", at)
        offset, timestamp, key_length, value_length = (int(word) for word in out[at:line_end].split())
        at = line_end + 1
        key = None if key_length < 0 else out[at : at + key_length]
        at += max(0, key_length)
        value = None if value_length < 0 else out[at : at + value_length]
        at += max(0, value_length) + 1
        seen.append(Seen(offset, timestamp, key, value, []))
    return seen


# --- apus


def apus_read(apus, address, topic, partition, start):
    """[Seen] as `apus sub -o ndjson` tells them; `start` is a position of its own (`0`, `@1795230000000`, …)."""
    where = ("--server", address, "-p", str(partition), "--from", str(start), "-e")
    done = subprocess.run((apus, "sub", topic, *where, "-o", "ndjson"), capture_output=True, timeout=DEADLINE)
    if done.returncode != 0:
        raise RuntimeError(f"apus sub {' '.join(where)}: {done.stderr.decode(errors='replace').strip()}")
    return [_told(json.loads(line), topic, partition) for line in done.stdout.splitlines()]


def _told(record, topic, partition):
    if (record["topic"], record["partition"]) != (topic, partition):
        raise ValueError(f"asked for {topic}[{partition}], told {record['topic']}[{record['partition']}]")
    flat = record.get("headers", [])
    headers = [(name, value.encode()) for name, value in zip(flat[::2], flat[1::2], strict=True)]
    key, value = _plain(record, "key", "key_encoding"), _plain(record, "payload", "value_encoding")
    return Seen(record["offset"], record["ts"], key, value, headers)


def _plain(record, field, encoding):
    text = record[field]
    if text is None:
        return None
    return base64.b64decode(text) if record[encoding] == "base64" else text.encode()


def without_headers(seen):
    return [s._replace(headers=[]) for s in seen]
