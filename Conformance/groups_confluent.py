"""Groups of confluent-kafka: the classic protocol with eager and cooperative assignors, the consumer protocol
(KIP-848), static members, and the admin calls about groups."""

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from harness import DEADLINE, run
from lives import PARTITIONS, Life, notice_soon

CLIENT = "confluent-kafka"


def body(checks, address, apus):
    notice_soon(address)
    checks.part("classic, cooperative", whole_life, checks, address, apus, "classic", "cooperative-sticky")
    checks.part("consumer", whole_life, checks, address, apus, "consumer", None)
    checks.part("classic, eager", short_life, checks, address, apus, "range")
    checks.part("static members", static_members, checks, address, apus)
    checks.part("admin", admin_calls, checks, address)


def whole_life(checks, address, apus, protocol, assignor):
    with Life(checks, address, apus, CLIENT, protocol, assignor) as life:
        life.two_then(8)
        life.roll("a", "m3", "b")
        life.kill_one()
        life.kill_broker(checks.broker)
        life.end()


def short_life(checks, address, apus, assignor):
    with Life(checks, address, apus, CLIENT, "classic", assignor) as life:
        life.two_then(1)
        life.roll("a")
        life.end()


def static_members(checks, address, apus):
    """Whoever comes back under its instance id has what it had, and nobody else notices."""
    with Life(checks, address, apus, CLIENT, "classic", "range", name="static") as life:
        life.group = life.another(static=True, session_ms=60_000)
        life.fill()
        group = life.group
        one = group.add("one")
        group.add("two", "three")
        life.settled("three static members")
        had, lines = set(group.own["one"]), len(group.lines)
        one.kill()
        group.add("one")
        group.wait(lambda: group.own["one"], "the static member is back")
        checks.equal("static: what it had", group.own["one"], had)
        others = [line for line in group.lines[lines:] if line["e"] in ("assign", "revoke") and line["n"] != "one"]
        checks.equal("static: what others noticed", others, [])
        life.caught_up("static members")


def admin_calls(checks, address):
    """On the group that the cooperative consumers left behind."""
    admin = AdminClient({"bootstrap.servers": address})
    name = "life-confluent-kafka-classic-cooperative-sticky"
    listed = {group.group_id: group for group in admin.list_consumer_groups().result(DEADLINE).valid}
    checks.true("listed", name in listed)
    checks.equal("state as listed", listed[name].state.name, "EMPTY")
    described = admin.describe_consumer_groups([name])[name].result(DEADLINE)
    checks.equal("state as described", described.state.name, "EMPTY")

    def positions():
        (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values()
        return {part.partition: part.offset for part in future.result(DEADLINE).topic_partitions}

    checks.equal("positions", sorted(positions()), list(range(PARTITIONS)))
    moved = [TopicPartition(name, partition, 5) for partition in range(PARTITIONS)]
    (future,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, moved)]).values()
    checks.equal("moved", {part.error for part in future.result(DEADLINE).topic_partitions}, {None})
    checks.equal("positions after the move", positions(), dict.fromkeys(range(PARTITIONS), 5))
    admin.delete_consumer_groups([name])[name].result(DEADLINE)
    checks.equal("positions of what was deleted", set(positions().values()) - {-1001}, set())
    deleting = lambda: admin.delete_consumer_groups([name])[name].result(DEADLINE)  # noqa: E731
    checks.fails("deleting what is not", deleting, "GROUP_ID_NOT_FOUND")


run("groups by confluent-kafka", body)
