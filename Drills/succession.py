"""Workload after workload, each on a topic of its own, while the broker is brought down and up again.

A topic serves for some cycles. Then it is read from its beginning once more, and deleted while its successor is under
load; a crash falls into that. Two names take turns, so a name comes back with another topic behind it.
"""

import os

from broker import StartFailed, until
from ledger import Counts
from load import ERRORS_EXPECTED, Workload
from wire import LATEST, Connection, Gone, Refused

PARTITIONS = 4
PRODUCERS = 2
TOPIC_CYCLES_MAX = 25  # how many crashes one topic lives through; fewer in a short run, so that topics change there too
SWEEP_SECONDS_MAX = 10.0
CLEAN_EVERY = 7  # so many cycles end with a clean stop, in a power cut with the power going right after it
STARTS_CUT_PART, START_SECONDS_MAX = 0.25, 0.1


class Succession:
    def __init__(self, broker, address, configs, dice, cycles):
        """Producers connect to `address`; whoever verifies asks the broker itself."""
        self.broker, self.address, self.configs, self.dice = broker, address, configs, dice
        self.counts, self.errors, self.recoveries = Counts(), {}, []
        self.generation, self.cycles_left = 0, 0
        self.topic_cycles = max(1, min(TOPIC_CYCLES_MAX, cycles // 3))
        self.workload, self.finished = None, False
        self.leaving = None  # the topic that is to be deleted, its ends, and whether the broker said it is
        self.deletions = self.deletions_cut = self.starts_cut = self.served = 0

    def run(self, cycles, seconds, crash, progress, serve=lambda: None):
        """`crash(cycle)` brings the broker down after some seconds of load; `serve()` lets clients in after a start.

        Whatever ends the run early is found, like every other promise broken."""
        cycle = 0
        try:
            self.broker.start()
            serve()
            with Connection(self.broker.address) as connection:
                self.begin(connection)
            for cycle in range(1, cycles + 1):
                self.load(*seconds)
                crash(cycle)
                self.start()
                serve()
                self.verify(last=cycle == cycles)
                progress.tell(cycle, self)
            self.check_swept()
            self.finished = True
        except (Gone, Refused, StartFailed, TimeoutError, ValueError) as error:
            self.counts.wrong(f"cycle {cycle} was the last: {type(error).__name__}: {error}")

    def begin(self, connection):
        topic = f"drill-{self.generation % 2}"
        connection.create_topic(topic, PARTITIONS, self.configs)
        names = range(self.generation * PRODUCERS, (self.generation + 1) * PRODUCERS)
        self.workload = Workload(self.address, topic, PARTITIONS, names, self.counts)
        self.generation += 1
        self.cycles_left = self.topic_cycles

    def load(self, shortest, longest):
        """Waits until the broker serves again, then for a while; then the deletion of an old topic may be under way."""
        try:
            self.workload.wait_for_progress()
        except TimeoutError as stuck:
            raise TimeoutError(f"{stuck}; the broker said: {self.broker.said()[-1500:]}") from None
        self.workload.run_for(self.dice.uniform(shortest, longest))
        if not self.broker.alive():
            self.counts.wrong(f"the broker ended by itself: {self.broker.said()[-500:]}")
        if self.leaving:
            self.delete_under_load()

    def delete_under_load(self):
        topic, ends, _ = self.leaving
        with Connection(self.broker.address) as connection:
            connection.send_delete_topic(topic)
            if self.dice.random() < 0.5:
                _, answer = connection.receive()
                error = connection.delete_answer(answer)
                if error:
                    self.counts.wrong(f"{topic} can not be deleted: error {error}")
                self.leaving = topic, ends, error == 0
            else:  # the crash falls somewhere into it
                self.workload.run_for(self.dice.uniform(0, 0.01))

    def interrupt_a_start(self, crash):
        """Now and then the next crash comes while the broker still recovers from the last one."""
        if self.dice.random() < STARTS_CUT_PART:
            self.broker.launch()
            self.workload.run_for(self.dice.uniform(0, START_SECONDS_MAX))
            crash()
            self.starts_cut += 1

    def stop(self):
        """A clean end under load; it must end by itself, and well."""
        code = self.broker.stop()
        if code != 0:
            self.counts.wrong(f"a clean stop ended with {code}: {self.broker.said()[-500:]}")

    def start(self):
        """Starts the broker and asks where the partitions end now, before clients that wait at a relay hide a loss."""
        self.recoveries.append(self.broker.start(self.workload.topic, PARTITIONS) * 1000)
        with Connection(self.broker.address) as connection:
            self.workload.check_ends(connection)

    def verify(self, last):
        with Connection(self.broker.address) as connection:
            self.workload.read_new(connection, self.dice)
            if self.leaving:
                self.check_deletion(connection)
            self.cycles_left -= 1
            if self.cycles_left == 0 or last:
                self.retire(connection)
                if not last:
                    self.begin(connection)

    def check_deletion(self, connection):
        """A deletion that was answered holds. One that was not has happened as a whole, or not at all."""
        topic, ends, answered = self.leaving
        if exists(connection, topic):
            if answered:
                self.counts.wrong(f"{topic} is back after its deletion was acknowledged")
            found = [connection.list_offset(topic, partition, LATEST) for partition in range(PARTITIONS)]
            if any(now < then for now, then in zip(found, ends)):  # what was never answered may have come since
                self.counts.wrong(f"{topic} was deleted in part: it ended at {ends}, ends at {found}")
            connection.send_delete_topic(topic)
            error = connection.delete_answer(connection.receive()[1])
            if error or exists(connection, topic):
                self.counts.wrong(f"{topic} can not be deleted: error {error}")
        self.deletions += 1
        self.deletions_cut += not answered
        self.leaving = None

    def retire(self, connection):
        self.workload.finish(connection, self.dice)
        for name, count in self.workload.errors.items():
            self.errors[name] = self.errors.get(name, 0) + count
        self.served += self.workload.served
        if not self.workload.served:
            self.counts.wrong(f"the reader of {self.workload.topic} was served nothing")
        self.leaving = self.workload.topic, [len(ledger.read) for ledger in self.workload.ledgers], False

    def check_swept(self):
        """After the last topic went, nothing of any topic is on the disk."""
        with Connection(self.broker.address) as connection:
            connection.send_delete_topic(self.leaving[0])
            connection.receive()
        folders = [os.path.join(self.broker.data, name) for name in ("topics", "deleted")]
        try:
            until(lambda: not any(map(content, folders)), SWEEP_SECONDS_MAX, "the files of deleted topics are gone")
        except TimeoutError:
            self.counts.wrong(f"of {self.generation} deleted topics is left: {[content(f) for f in folders]}")

    def forgotten(self):
        """Errors that no producer may meet whose broker kept its promises."""
        return {name: count for name, count in self.errors.items() if name not in ERRORS_EXPECTED}

    def end(self):
        if self.workload:
            self.workload.end()

    def verdict(self):
        p50, p99 = percentile(self.recoveries, 0.5), percentile(self.recoveries, 0.99)
        return (
            f"{self.counts.verdict()}, recovery p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
            f"read meanwhile {self.served:,}, starts cut {self.starts_cut}, "
            f"topics deleted {self.deletions} ({self.deletions_cut} within a crash)"
        )


def exists(connection, topic):
    return connection.metadata([topic])[topic][0] == 0


def content(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def percentile(values, part):
    if not values:
        return 0.0
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line now and then."""

    EVERY = 20

    def __init__(self, drill, cycles, stream):
        self.drill, self.cycles, self.stream = drill, cycles, stream
        self.terminal = stream.isatty()

    def tell(self, done, succession):
        if not self.terminal and done % self.EVERY:
            return
        counts = succession.counts
        text = (
            f"{self.drill}: {done}/{self.cycles} cycles, {counts.acknowledged:,} acknowledged, {counts.lost:,} lost, "
            f"recovery p50 {percentile(succession.recoveries, 0.5):.0f} ms"
        )
        if self.terminal:
            text = "\r\x1b[K" + text if done < self.cycles else "\r\x1b[K"
        elif done < self.cycles:
            text += "\n"
        else:
            return
        self.stream.write(text)
        self.stream.flush()
