"""The life of one consumer group, the same for every client: few members, many, restarts, a kill, a broker that dies.

After each change every partition must have one owner again. In the end everything was read, nothing was read again that
had been committed before its reader got the partition, and whoever comes later goes on where the group stopped.
"""

import json
import subprocess

from harness import DEADLINE, Confluent, Record, recent

from membership import Group

PARTITIONS = 12


def notice_soon(address):
    """Members by the consumer protocol that are killed are missed within seconds; the others say so themselves."""
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

    admin = AdminClient({"bootstrap.servers": address})
    broker = ConfigResource(ConfigResource.Type.BROKER, str(next(iter(admin.list_topics(timeout=DEADLINE).brokers))))
    for name, value in (("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")):
        entry = ConfigEntry(f"group.consumer.{name}", value, incremental_operation=AlterConfigOpType.SET)
        broker.add_incremental_config(entry)
    (future,) = admin.incremental_alter_configs([broker]).values()
    future.result(DEADLINE)


class Life:
    """A topic, a group on it, and what the topic holds."""

    def __init__(self, checks, address, apus, client, protocol="classic", assignor=None, name="life"):
        self.checks, self.address, self.apus = checks, address, apus
        self.name = "-".join(filter(None, (name, client, protocol, assignor)))
        Confluent.create(address, self.name, PARTITIONS)
        self.ends = [0] * PARTITIONS
        self.settings = {"client": client, "protocol": protocol, "assignor": assignor}
        self.group = self.another()

    def another(self, **more):
        """Another look at the same group, with members of its own."""
        return Group(self.address, self.name, self.name, PARTITIONS, **{**self.settings, **more})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.group.kill_all()

    def fill(self, records=600):
        """So many records more, the same number in every partition."""
        rows = [Record(n % PARTITIONS, None, b"%d" % n, [], recent()) for n in range(records)]
        Confluent.produce(self.address, self.name, rows)
        self.ends = [end + records // PARTITIONS for end in self.ends]

    def caught_up(self, what):
        self.group.commit_all(self.ends, f"{self.name}: {what}: everything is committed")

    def settled(self, what):
        self.group.settle(f"{self.name}: {what}: every partition has its owner")
        self.checks.true(f"{self.name}: {what}", True)

    # --- what happens to groups

    def two_then(self, more):
        """Two members, each in a process of its own; then some more in one process."""
        self.fill()
        self.group.add("a")
        self.group.add("b")
        self.settled("two members")
        self.caught_up("two members")
        self.group.add(*(f"m{n}" for n in range(more)))
        self.settled(f"{more + 2} members")
        self.described(more + 2, "Stable")

    def roll(self, *names):
        """One member after the other leaves, and another comes in its place."""
        for name in names:
            self.fill(120)
            self.group.close(name)
            self.group.add(f"{name}-next")
            self.settled(f"{name} was replaced")
        self.caught_up("after the restarts")

    def kill_one(self):
        victim = self.group.add("victim")
        self.settled("one more")
        self.fill()
        self.group.wait(lambda: self.group.count("read"), "records flow")
        victim.kill()
        self.settled("one was killed")
        self.caught_up("one was killed")

    def kill_broker(self, broker):
        self.fill()
        broker.kill()
        broker.start(self.name, PARTITIONS)
        self.fill()
        self.caught_up("the broker was killed")
        self.settled("the broker was killed")

    def end(self):
        """All leave; what was said must fit together; the next one begins where they stopped."""
        self.group.end()
        verdict = self.group.verdict()
        self.checks.equal(f"{self.name}: problems", verdict.problems[:5], [])
        self.checks.equal(f"{self.name}: records nobody read", verdict.missing(self.ends)[0], 0)
        self.described(0, "Empty")
        begun = list(self.ends)
        self.fill(PARTITIONS)
        self.group = self.another()
        self.group.add("later")
        self.caught_up("who came later")
        self.group.end()
        first = [min(span[0] for span in spans) for spans in self.group.verdict().read]
        self.checks.equal(f"{self.name}: positions were kept", first, begun)
        self.checks.equal(f"{self.name}: who came later read", self.group.records, PARTITIONS)

    # --- what apus says of it

    def described(self, members, state):
        """`apus group describe` sees the same group."""
        told = self.ask("describe", self.name)
        self.checks.equal(f"{self.name}: state", told["state"], state)
        self.checks.equal(f"{self.name}: kind", told["kind"], self.settings["protocol"])
        self.checks.equal(f"{self.name}: members", len(told["members"]), members)
        owned = sorted(row["partition"] for row in told["partitions"] if row["consumer_id"])
        self.checks.equal(f"{self.name}: partitions with owners", owned, list(range(PARTITIONS)) if members else [])
        ends = {row["partition"]: row["log_end_offset"] for row in told["partitions"]}
        self.checks.equal(f"{self.name}: ends", ends, dict(enumerate(self.ends)))
        if not members:
            self.checks.equal(f"{self.name}: lag", told["total_lag"], 0)

    def ask(self, *words):
        command = (self.apus, "group", *words, "--server", self.address, "-o", "json")
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE)
        if done.returncode != 0:
            raise RuntimeError(f"apus group {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return json.loads(done.stdout)
