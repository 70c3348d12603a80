"""Consumers of one group in a process of their own, which say what happens to them: a line of JSON for each event.

    python member.py --client confluent-kafka --address HOST:PORT --group G --topic T --name a --name b …

Every consumer reads, says what it read, commits it and says so, in this order, so that whoever kills the process knows
all that it did. Lines come as `{"n": name, "at": seconds on the machine's monotonic clock, "e": event, …}`:

    assign, revoke, lost   "p": the partitions of the event, "own": all the consumer has then, "g": its generation
    read                   "r": {partition: [first, last]}
    commit, refused        "r": {partition: next offset}; with refused, "why": the client's name of the error
    error                  "why": what the client said
    closed                 the consumer has left its group

Standard input commands: `close NAME`; at its end all close, and the process ends.
"""

import argparse
import asyncio
import json
import sys
import threading
import time

POLL_SECONDS = 0.2
RECORDS_PER_POLL = 2000
SAY = threading.Lock()


def say(name, event, **more):
    line = json.dumps({"n": name, "at": time.monotonic(), "e": event, **more})
    with SAY:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Owned:
    """The partitions that a consumer has, by what its client's callbacks say."""

    def __init__(self, name, generation=lambda: None):
        self.name, self.generation, self.partitions = name, generation, set()

    def assigned(self, partitions):
        self.partitions |= set(partitions)
        self._say("assign", partitions)

    def revoked(self, partitions, event="revoke"):
        self.partitions -= set(partitions)
        self._say(event, partitions)

    def _say(self, event, partitions):
        say(self.name, event, p=sorted(partitions), own=sorted(self.partitions), g=self.generation())


def spans(records):
    """{partition: [first, last]} of (partition, offset) pairs as a poll gave them; a gap or a step back is shown."""
    found = {}
    for partition, offset in records:
        span = found.setdefault(partition, [offset, offset])
        if offset not in (span[1], span[1] + 1):
            say("spans", "error", why=f"partition {partition} goes from {span[1]} to {offset}")
        span[1] = offset
    return found


# --- confluent-kafka


def confluent(name, options, stop):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    settings = {
        "bootstrap.servers": options.address,
        "group.id": options.group,
        "client.id": name,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "group.protocol": options.protocol,
        "fetch.wait.max.ms": 100,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5000,
    }
    if options.protocol == "classic":
        settings["session.timeout.ms"] = options.session_ms
        settings["heartbeat.interval.ms"] = 500
        settings["partition.assignment.strategy"] = options.assignor
    elif options.assignor:
        settings["group.remote.assignor"] = options.assignor
    if options.static:
        settings["group.instance.id"] = name
    consumer = Consumer(settings)
    owned = Owned(name, lambda: generation(consumer))
    consumer.subscribe(
        [options.topic],
        on_assign=lambda _, parts: owned.assigned([part.partition for part in parts]),
        on_revoke=lambda _, parts: owned.revoked([part.partition for part in parts]),
        on_lost=lambda _, parts: owned.revoked([part.partition for part in parts], "lost"),
    )
    while not stop.is_set():
        messages = consumer.consume(RECORDS_PER_POLL, POLL_SECONDS)
        for message in messages:
            if message.error():
                say(name, "error", why=message.error().name())
        read = spans([(m.partition(), m.offset()) for m in messages if not m.error()])
        if not read:
            continue
        say(name, "read", r=read)
        wanted = {partition: last + 1 for partition, (_, last) in read.items()}
        try:
            done = consumer.commit(
                offsets=[TopicPartition(options.topic, p, o) for p, o in wanted.items()], asynchronous=False
            )
            refused = [part for part in done if part.error]
            said = {part.partition: part.offset for part in done if not part.error}
            if said:
                say(name, "commit", r=said)
            for part in refused:
                say(name, "refused", r={part.partition: part.offset}, why=part.error.name())
        except KafkaException as error:
            say(name, "refused", r=wanted, why=error.args[0].name())
    consumer.close()
    say(name, "closed")


def generation(consumer):
    """Of the member in its group, or its epoch; nothing but librdkafka's own serialised form has it."""
    data = consumer.consumer_group_metadata()
    mark = b"CGMDv2:"
    return int.from_bytes(data[len(mark) : len(mark) + 4], "little", signed=True) if data[: len(mark)] == mark else None


# --- kafka-python


def kafka_python(name, options, stop):
    from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(
        bootstrap_servers=options.address,
        group_id=options.group,
        group_instance_id=name if options.static else None,
        client_id=name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=500,
        fetch_max_wait_ms=100,
        reconnect_backoff_max_ms=500,
        partition_assignment_strategy=(kafka_python_assignor(options.assignor),),
    )
    owned = Owned(name)

    class Listener(ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            owned.assigned([part.partition for part in assigned])

        def on_partitions_revoked(self, revoked):
            owned.revoked([part.partition for part in revoked])

        def on_partitions_lost(self, lost):
            owned.revoked([part.partition for part in lost], "lost")

    consumer.subscribe([options.topic], listener=Listener())
    while not stop.is_set():
        try:
            polled = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000), max_records=RECORDS_PER_POLL)
        except KafkaError as error:
            say(name, "error", why=type(error).__name__)
            continue
        read = spans([(m.partition, m.offset) for messages in polled.values() for m in messages])
        if not read:
            continue
        say(name, "read", r=read)
        wanted = {partition: last + 1 for partition, (_, last) in read.items()}
        try:
            consumer.commit({TopicPartition(options.topic, p): OffsetAndMetadata(o, "", -1) for p, o in wanted.items()})
            say(name, "commit", r=wanted)
        except KafkaError as error:
            say(name, "refused", r=wanted, why=type(error).__name__)
    consumer.close(autocommit=False)
    say(name, "closed")


def kafka_python_assignor(name):
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

    return {
        "range": RangePartitionAssignor,
        "roundrobin": RoundRobinPartitionAssignor,
        "sticky": StickyPartitionAssignor,
        "cooperative-sticky": CooperativeStickyAssignor,
    }[name]


# --- aiokafka


async def aiokafka(name, options, stop):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
    from aiokafka.errors import KafkaError

    assignors = {
        "range": RangePartitionAssignor,
        "roundrobin": RoundRobinPartitionAssignor,
        "sticky": StickyPartitionAssignor,
    }
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.address,
        group_id=options.group,
        group_instance_id=name if options.static else None,
        client_id=name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=500,
        fetch_max_wait_ms=100,
        partition_assignment_strategy=(assignors[options.assignor],),
    )
    owned = Owned(name)

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            owned.revoked([part.partition for part in revoked])

        async def on_partitions_assigned(self, assigned):
            owned.assigned([part.partition for part in assigned])

    consumer.subscribe([options.topic], listener=Listener())
    await consumer.start()
    while not stop.is_set():
        try:
            polled = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000), max_records=RECORDS_PER_POLL)
        except KafkaError as error:
            say(name, "error", why=type(error).__name__)
            continue
        read = spans([(m.partition, m.offset) for messages in polled.values() for m in messages])
        if not read:
            continue
        say(name, "read", r=read)
        wanted = {partition: last + 1 for partition, (_, last) in read.items()}
        try:
            await consumer.commit({TopicPartition(options.topic, p): o for p, o in wanted.items()})
            say(name, "commit", r=wanted)
        except KafkaError as error:
            say(name, "refused", r=wanted, why=type(error).__name__)
    await consumer.stop()
    say(name, "closed")


async def all_of_aiokafka(options, stops):
    await asyncio.gather(*(aiokafka(name, options, stop) for name, stop in stops.items()))


# --- the process


def obey(stops):
    """Closes who is named on standard input, and all at its end."""
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word == "close" and name in stops:
            stops[name].set()
    for stop in stops.values():
        stop.set()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--client", required=True, choices=("confluent-kafka", "kafka-python", "aiokafka"))
    options.add_argument("--address", required=True)
    options.add_argument("--group", required=True)
    options.add_argument("--topic", required=True)
    options.add_argument("--name", action="append", required=True)
    options.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    options.add_argument("--assignor", default=None)
    options.add_argument("--session-ms", type=int, default=6000)
    options.add_argument("--static", action="store_true", help="the names are instance ids")
    arguments = options.parse_args()
    if arguments.protocol == "classic" and not arguments.assignor:
        arguments.assignor = "range"
    stops = {name: threading.Event() for name in arguments.name}
    threading.Thread(target=obey, args=(stops,), daemon=True).start()
    if arguments.client == "aiokafka":
        asyncio.run(all_of_aiokafka(arguments, stops))
        return
    body = confluent if arguments.client == "confluent-kafka" else kafka_python
    threads = [threading.Thread(target=body, args=(name, arguments, stop)) for name, stop in stops.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
