"""The admin calls of kafka-python, and its errors by name."""

from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

from harness import DEADLINE, KafkaPython, Record, recent, run


def body(checks, address, _):
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        for what, part in (("topics", topics), ("configs", configs), ("records", records), ("cluster", cluster)):
            checks.part(what, part, checks, admin, address)
        checks.part("errors of writing", write_errors, checks, address)
    finally:
        admin.close()


def partition_count(admin, topic):
    return len(admin.describe_topics([topic])[0]["partitions"])


def topics(checks, admin, _):
    admin.create_topics([NewTopic("py-made", 3, 1)])
    checks.true("listed", "py-made" in admin.list_topics())
    checks.equal("partitions", partition_count(admin, "py-made"), 3)
    admin.create_partitions({"py-made": NewPartitions(6)})
    checks.equal("grown", partition_count(admin, "py-made"), 6)
    again = lambda: admin.create_topics([NewTopic("py-made", 1, 1)])  # noqa: E731
    checks.fails("a topic that exists", again, "TopicAlreadyExistsError")
    bad = lambda: admin.create_topics([NewTopic("bad/name", 1, 1)])  # noqa: E731
    checks.fails("a bad name", bad, "InvalidTopicError")
    odd = lambda: admin.create_topics([NewTopic("py-odd", 1, 1, topic_configs={"no.such": "1"})])  # noqa: E731
    checks.fails("an unknown config", odd, "InvalidConfigurationError")
    admin.delete_topics(["py-made"])
    checks.true("deleted", "py-made" not in admin.list_topics())
    checks.fails("deleting what is not", lambda: admin.delete_topics(["absent"]), "UnknownTopicOrPartitionError")


def configs(checks, admin, _):
    admin.create_topics([NewTopic("py-set", 1, 1, topic_configs={"retention.ms": "1111"})])
    found = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "py-set")]))
    checks.true("retention is described", "retention.ms" in found and "1111" in found)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "py-set", {"retention.ms": "2222"})])
    found = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "py-set")]))
    checks.true("retention is altered", "2222" in found and "1111" not in found)


def records(checks, admin, address):
    KafkaPython.create(address, "py-trimmed", 1)
    KafkaPython.produce(address, "py-trimmed", [Record(0, None, b"%d" % n, [], recent()) for n in range(50)])
    where = TopicPartition("py-trimmed", 0)
    admin.delete_records({where: 20})
    consumer = KafkaPython.consumer(address)
    checks.equal("beginning", consumer.beginning_offsets([where])[where], 20)
    checks.equal("end", consumer.end_offsets([where])[where], 50)
    consumer.close()
    seen = KafkaPython.read(address, "py-trimmed", 0, 20)
    checks.equal("what is left", [s.offset for s in seen], list(range(20, 50)))


def cluster(checks, admin, address):
    described = admin.describe_cluster()
    nodes = [f"{broker['host']}:{broker['port']}" for broker in described["brokers"]]
    checks.equal("brokers", nodes, [address])
    checks.true("log directories", "py-trimmed" in str(admin.describe_log_dirs()))


def write_errors(checks, address):
    KafkaPython.create(address, "py-small", 1, {"max.message.bytes": "2000"})
    producer = KafkaProducer(bootstrap_servers=address, enable_idempotence=False)
    try:
        big = lambda: producer.send("py-small", b"x" * 10_000).get(DEADLINE)  # noqa: E731
        checks.fails("a record beyond max.message.bytes", big, "MessageSizeTooLargeError")
    finally:
        producer.close(5)


run("admin by kafka-python", body)
