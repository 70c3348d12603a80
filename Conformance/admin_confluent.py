"""The admin calls of confluent-kafka: what they do, and every error by its name."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from harness import DEADLINE, Confluent, Record, recent, run


def body(checks, address, _):
    admin = AdminClient({"bootstrap.servers": address})
    for what, part in (
        ("topics", topics),
        ("creation errors", creation_errors),
        ("partitions", partitions),
        ("configs", configs),
        ("records", records),
        ("offsets", offsets),
        ("cluster", cluster),
        ("errors of reading and writing", data_errors),
    ):
        checks.part(what, part, checks, admin, address)


def result(futures):
    """The one answer of a call about one thing."""
    (future,) = futures.values()
    return future.result(DEADLINE)


def topic_names(admin):
    return set(admin.list_topics(timeout=DEADLINE).topics)


def topics(checks, admin, _):
    result(admin.create_topics([NewTopic("made", 4, 1)], operation_timeout=60))
    described = admin.list_topics("made", timeout=DEADLINE).topics["made"]
    checks.equal("partitions made", sorted(described.partitions), [0, 1, 2, 3])
    checks.true("listed", "made" in topic_names(admin))
    result(admin.create_topics([NewTopic("only-checked", 1, 1)], validate_only=True))
    checks.true("validated, not made", "only-checked" not in topic_names(admin))
    result(admin.delete_topics(["made"], operation_timeout=60))
    checks.true("deleted", "made" not in topic_names(admin))
    result(admin.create_topics([NewTopic("made", 1, 1)], operation_timeout=60))
    checks.equal("made anew", len(admin.list_topics("made", timeout=DEADLINE).topics["made"].partitions), 1)


def creation_errors(checks, admin, _):
    def create(name, count=1, replicas=1, **config):
        settings = {key.replace("_", "."): value for key, value in config.items()}
        return lambda: result(
            admin.create_topics([NewTopic(name, count, replicas, config=settings)], operation_timeout=60)
        )

    create("twice")()
    checks.fails("a topic that exists", create("twice"), "TOPIC_ALREADY_EXISTS")
    for name in ("..", ".", "a/b", "a b", "x" * 250):
        checks.fails(f"topic {name[:8]!r}", create(name), "TOPIC_EXCEPTION")
    checks.fails("zero partitions", create("zero", 0), "INVALID_PARTITIONS")
    checks.fails("too many replicas", create("many", 1, 3), "INVALID_REPLICATION_FACTOR")
    checks.fails("an unknown config", create("odd", no_such_config="1"), "INVALID_CONFIG")
    checks.fails("a bad value", create("odd", retention_ms="soon"), "INVALID_CONFIG")
    checks.fails("deleting what is not", lambda: result(admin.delete_topics(["absent"])), "UNKNOWN_TOPIC_OR_PART")


def partitions(checks, admin, _):
    result(admin.create_topics([NewTopic("grown", 2, 1)], operation_timeout=60))
    result(admin.create_partitions([NewPartitions("grown", 5)], operation_timeout=60))
    checks.equal("grown to", len(admin.list_topics("grown", timeout=DEADLINE).topics["grown"].partitions), 5)

    def grow(name, count):
        return lambda: result(admin.create_partitions([NewPartitions(name, count)], operation_timeout=60))

    checks.fails("shrinking", grow("grown", 3), "INVALID_PARTITIONS")
    checks.fails("growing what is not", grow("absent", 3), "UNKNOWN_TOPIC_OR_PART")


def configs(checks, admin, _):
    result(admin.create_topics([NewTopic("set", 1, 1, config={"retention.ms": "1234567"})], operation_timeout=60))
    resource = ConfigResource(ConfigResource.Type.TOPIC, "set")

    def described():
        return {name: entry.value for name, entry in result(admin.describe_configs([resource])).items()}

    found = described()
    checks.equal("retention as created", found.get("retention.ms"), "1234567")
    for name in ("cleanup.policy", "compression.type", "max.message.bytes", "segment.bytes", "min.insync.replicas"):
        checks.true(f"{name} is described", found.get(name))
    checks.true("durability is described", found.get("durability") == "fsync")
    change = ConfigResource(ConfigResource.Type.TOPIC, "set")
    change.add_incremental_config(ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET))
    result(admin.incremental_alter_configs([change]))
    checks.equal("retention as set", described().get("retention.ms"), "7654321")
    change = ConfigResource(ConfigResource.Type.TOPIC, "set")
    change.add_incremental_config(ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE))
    result(admin.incremental_alter_configs([change]))
    checks.equal("retention by default", described().get("retention.ms"), "604800000")
    bad = ConfigResource(ConfigResource.Type.TOPIC, "set")
    bad.add_incremental_config(ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET))
    checks.fails("a bad value", lambda: result(admin.incremental_alter_configs([bad])), "INVALID_CONFIG")
    absent = ConfigResource(ConfigResource.Type.TOPIC, "absent")
    checks.fails("what is not", lambda: result(admin.describe_configs([absent])), "UNKNOWN_TOPIC_OR_PART")
    broker = ConfigResource(ConfigResource.Type.BROKER, str(next(iter(admin.list_topics(timeout=DEADLINE).brokers))))
    checks.true("the broker's configs", len(result(admin.describe_configs([broker]))) > 0)


def records(checks, admin, address):
    Confluent.create(address, "trimmed", 1)
    Confluent.produce(address, "trimmed", [Record(0, None, b"%d" % n, [], recent()) for n in range(100)])
    deleted = result(admin.delete_records([TopicPartition("trimmed", 0, 40)]))
    checks.equal("low watermark after the call", deleted.low_watermark, 40)
    seen = Confluent.read(address, "trimmed", 0, 40)
    checks.equal("what is left", [s.offset for s in seen], list(range(40, 100)))
    checks.fails("reading what is gone", lambda: Confluent.read(address, "trimmed", 0, 10), "_AUTO_OFFSET_RESET")
    beyond = lambda: result(admin.delete_records([TopicPartition("trimmed", 0, 1000)]))  # noqa: E731
    checks.fails("deleting beyond the end", beyond, "OFFSET_OUT_OF_RANGE")


def offsets(checks, admin, address):
    Confluent.create(address, "offsets", 1)
    start = recent()
    Confluent.produce(address, "offsets", [Record(0, None, b"x", [], start + n * 10) for n in range(50)])

    def at(spec):
        return result(admin.list_offsets({TopicPartition("offsets", 0): spec})).offset

    checks.equal("earliest", at(OffsetSpec.earliest()), 0)
    checks.equal("latest", at(OffsetSpec.latest()), 50)
    checks.equal("at a time", at(OffsetSpec.for_timestamp(start + 95)), 10)
    checks.equal("of the newest timestamp", at(OffsetSpec.max_timestamp()), 49)
    consumer = Consumer({"bootstrap.servers": address, "group.id": "unused"})
    checks.equal("watermarks", consumer.get_watermark_offsets(TopicPartition("offsets", 0), timeout=DEADLINE), (0, 50))
    consumer.close()


def cluster(checks, admin, address):
    described = admin.describe_cluster().result(DEADLINE)
    checks.equal("nodes", [f"{node.host}:{node.port}" for node in described.nodes], [address])
    checks.true("cluster id", described.cluster_id)
    checks.equal("controller", described.controller.id, described.nodes[0].id)


def data_errors(checks, _, address):
    Confluent.create(address, "small", 1, {"max.message.bytes": "2000"})
    big = Record(0, None, b"x" * 10_000, [], recent())

    def delivered(topic, record, **more):
        failed = []
        producer = Producer({"bootstrap.servers": address, "enable.idempotence": False, **more})
        producer.produce(topic, record.value, partition=record.partition, on_delivery=lambda e, _: failed.append(e))
        producer.flush(DEADLINE)
        if failed[0]:
            raise KafkaException(failed[0])

    checks.fails("a record beyond max.message.bytes", lambda: delivered("small", big), "MSG_SIZE_TOO_LARGE")
    elsewhere = Record(7, None, b"x", [], 0)
    checks.fails("a partition that is not", lambda: delivered("small", elsewhere), "_UNKNOWN_PARTITION")
    transaction = Producer({"bootstrap.servers": address, "transactional.id": "t"})
    checks.fails(
        "transactions, which are not served yet", lambda: transaction.init_transactions(5), "UNSUPPORTED_VERSION"
    )


run("admin by confluent-kafka", body)
