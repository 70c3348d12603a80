"""The admin calls of aiokafka, which speaks only the older versions of everything."""

import asyncio

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from harness import DEADLINE, AioKafka, Record, recent, run


def body(checks, address, _):
    AioKafka.create(address, "aio-trimmed", 1)
    AioKafka.produce(address, "aio-trimmed", [Record(0, None, b"%d" % n, [], recent()) for n in range(50)])
    asyncio.run(asyncio.wait_for(calls(checks, address), DEADLINE))
    seen = AioKafka.read(address, "aio-trimmed", 0, 30)
    checks.equal("what is left", [s.offset for s in seen], list(range(30, 50)))


async def calls(checks, address):
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("aio-made", 2, 1, topic_configs={"retention.ms": "3333"})])
        checks.true("listed", "aio-made" in await admin.list_topics())
        described = await admin.describe_topics(["aio-made"])
        checks.equal("partitions", len(described[0]["partitions"]), 2)
        await admin.create_partitions({"aio-made": NewPartitions(4)})
        described = await admin.describe_topics(["aio-made"])
        checks.equal("grown", len(described[0]["partitions"]), 4)
        found = str(await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "aio-made")]))
        checks.true("retention is described", "3333" in found)
        changed = ConfigResource(ConfigResourceType.TOPIC, "aio-made", {"retention.ms": "4444"})
        await admin.alter_configs([changed])
        found = str(await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "aio-made")]))
        checks.true("retention is altered", "4444" in found)
        await admin.delete_records({TopicPartition("aio-trimmed", 0): RecordsToDelete(before_offset=30)})
        answer = await admin.create_topics([NewTopic("aio-made", 1, 1)])
        checks.equal("a topic that exists", answer.topic_errors[0][1], 36)
        await admin.delete_topics(["aio-made"])
        checks.true("deleted", "aio-made" not in await admin.list_topics())
    finally:
        await admin.close()


run("admin by aiokafka", body)
