"""An idempotent producer that outlives the broker, and the checkers of what it was promised.

Values are unique (`<producer>-<counter>`), so a record that is lost, doubled, moved or damaged is seen.
"""

import multiprocessing
import os
import random
import time
from collections import deque

from wire import LATEST, Connection, Gone, Refused, encode_batch, error_name

IN_FLIGHT = 3  # batches for each partition; the protocol allows an idempotent producer five
PIPELINE_TIMEOUT = 5.0


class Batch:
    __slots__ = ("partition", "sequence", "counters", "invoked", "pid")

    def __init__(self, partition, sequence, counters, pid):
        self.partition, self.sequence, self.counters, self.pid = partition, sequence, counters, pid
        self.invoked = time.monotonic()


def value_of(name, counter, filler):
    return b"%d-%d-" % (name, counter) + filler[: 20 + counter * 7919 % 800]


class Producer(multiprocessing.Process):
    """Produces until told to stop; sends to the parent what was acknowledged: (partition, offset, producer, first
    counter, count, invoked, acknowledged), and the names of errors it met."""

    def __init__(self, name, address, topic, partitions, stop, pipe):
        super().__init__(daemon=True)
        self.label, self.address, self.topic, self.partitions = name, address, topic, partitions
        self.stop_event, self.pipe = stop, pipe

    def run(self):
        self.random = random.Random(self.label)
        self.filler = bytes(self.random.randrange(97, 122) for _ in range(1000))
        self.counter = 0
        self.producer = None
        self.pending = [deque() for _ in range(self.partitions)]
        self.sequences = [0] * self.partitions
        self.abandoned = []
        while not self.stop_event.is_set():
            try:
                with Connection(self.address, timeout=PIPELINE_TIMEOUT) as connection:
                    self.serve(connection)
            except Gone:
                time.sleep(0.01)
            except Refused as error:
                self.pipe.send(("error", error_name(error.code)))
                time.sleep(0.01)
        self.pipe.send(("end", self.abandoned + [b for queue in self.pending for b in self.unknown(queue)]))
        self.pipe.close()

    def unknown(self, queue):
        return [(batch.partition, self.label, list(batch.counters)) for batch in queue]

    def serve(self, connection):
        if self.producer is None:
            self.producer = connection.init_producer()
        flying = deque()
        for queue in self.pending:  # what the last connection left open, in the order of its sequences
            for batch in queue:
                self.fly(connection, batch, flying)
        while not self.stop_event.is_set():
            for partition, queue in enumerate(self.pending):
                if len(queue) < IN_FLIGHT:
                    batch = self.next_batch(partition)
                    queue.append(batch)
                    self.fly(connection, batch, flying)
            self.answer(connection, flying)

    def next_batch(self, partition):
        count = self.random.randint(1, 20)
        batch = Batch(partition, self.sequences[partition], range(self.counter, self.counter + count), self.producer)
        self.counter += count
        self.sequences[partition] += count
        return batch

    def fly(self, connection, batch, flying):
        values = [value_of(self.label, counter, self.filler) for counter in batch.counters]
        data = encode_batch(values, producer=batch.pid, sequence=batch.sequence)
        flying.append((connection.send_produce(self.topic, batch.partition, data), batch))

    def answer(self, connection, flying):
        correlation, reader = connection.receive()
        expected, batch = flying.popleft()
        if correlation != expected:
            self.pipe.send(("error", "ANSWERS OUT OF ORDER"))
            raise Gone("answers out of order")
        error, offset, _ = connection.produce_answer(reader)
        if error == 0:
            self.pending[batch.partition].remove(batch)
            first, count = batch.counters.start, len(batch.counters)
            ack = (batch.partition, offset, self.label, first, count, batch.invoked, time.monotonic())
            self.pipe.send(("ack", ack))
            return
        self.pipe.send(("error", error_name(error)))
        if error in (45, 47, 59) and self.pending[batch.partition][0] is batch:
            self.begin_again()
        raise Gone(error_name(error))  # the rest of the pipeline is answered by sending it again

    def begin_again(self):
        """The broker forgot this producer. What is open stays unknown; nobody may send it again."""
        for queue in self.pending:
            self.abandoned += self.unknown(queue)
            queue.clear()
        self.sequences = [0] * self.partitions
        self.producer = None


class Workload:
    """Some producers, what they were promised, and what was read back so far."""

    def __init__(self, address, topic, partitions, producers=2):
        self.address, self.topic, self.partitions = address, topic, partitions
        self.acked = [{} for _ in range(partitions)]  # offset → (producer, counter, invoked, acknowledged)
        self.seen = [[] for _ in range(partitions)]  # value of each offset, as first read
        self.where = {}  # (producer, counter) → (partition, offset)
        self.lost = self.disagree = self.duplicates = self.disorder = 0
        self.notes, self.errors = [], {}
        self.unknown = 0
        self.blackouts = []  # (from, to): the power was gone, and what lived on after that may have said anything
        self.stop_event = multiprocessing.Event()
        self.producers, self.pipes = [], []
        for name in range(producers):
            ours, theirs = multiprocessing.Pipe(duplex=False)
            producer = Producer(name, address, topic, partitions, self.stop_event, theirs)
            producer.start()
            theirs.close()
            self.producers.append(producer)
            self.pipes.append(ours)

    @property
    def acknowledged(self):
        return sum(len(acks) for acks in self.acked)

    def note(self, text):
        if len(self.notes) < 20:
            self.notes.append(text)

    def collect(self):
        """Takes in what the producers reported; call it often, a full pipe stops them."""
        for pipe in list(self.pipes):
            try:
                while pipe.poll():
                    self.take(*pipe.recv())
            except (EOFError, OSError):
                self.pipes.remove(pipe)

    def take(self, kind, what):
        if kind == "error":
            self.errors[what] = self.errors.get(what, 0) + 1
        elif kind == "end":
            self.unknown += sum(len(counters) for _, _, counters in what)
        else:
            partition, offset, producer, first, count, invoked, at = what
            if any(begin <= at <= end for begin, end in self.blackouts):
                self.unknown += count
                return
            for index in range(count):
                known = self.acked[partition].get(offset + index)
                if known and known[:2] != (producer, first + index):
                    self.disagree += 1
                    self.note(
                        f"{partition}@{offset + index} acknowledged to {known[:2]} and {(producer, first + index)}"
                    )
                self.acked[partition][offset + index] = (producer, first + index, invoked, at)

    def black_out(self):
        """The power goes now. Until `light_up`, acknowledgments are those of a ghost and count as unknown."""
        self.blackouts.append((time.monotonic(), float("inf")))

    def light_up(self):
        begin, _ = self.blackouts.pop()
        self.blackouts.append((begin, time.monotonic()))

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.collect()
            time.sleep(0.002)

    def read_new(self, connection):
        """Reads what was not read yet and checks every acknowledgment up to now against it."""
        self.collect()
        owed = [set(acks) - set(range(len(self.seen[p]))) for p, acks in enumerate(self.acked)]
        for partition in range(self.partitions):
            end = connection.list_offset(self.topic, partition, LATEST)
            if end < len(self.seen[partition]):
                self.lose(partition, range(end, len(self.seen[partition])), "was read before and is gone")
                del self.seen[partition][end:]
            for offset, value in connection.read(self.topic, partition, len(self.seen[partition]), end):
                self.saw(partition, offset, value)
            self.lose(partition, [o for o in owed[partition] if o >= end], "was acknowledged and is gone")
            for offset in (o for o in owed[partition] if o < end):
                self.compare(partition, offset)

    def saw(self, partition, offset, value):
        producer, counter = identity(value)
        elsewhere = self.where.setdefault((producer, counter), (partition, offset))
        if elsewhere != (partition, offset):
            self.duplicates += 1
            self.note(f"{producer}-{counter} is at {elsewhere} and at {(partition, offset)}")
        self.seen[partition].append((producer, counter))

    def compare(self, partition, offset):
        producer, counter, _, _ = self.acked[partition][offset]
        if self.seen[partition][offset] != (producer, counter):
            self.lost += 1
            self.note(
                f"{partition}@{offset} was promised to {producer}-{counter}, holds {self.seen[partition][offset]}"
            )

    def lose(self, partition, offsets, why):
        for offset in offsets:
            entry = self.acked[partition].pop(offset, None)
            if entry:
                self.lost += 1
                self.note(f"{partition}@{offset} ({entry[0]}-{entry[1]}) {why}")

    def finish(self, connection):
        """Stops the producers, reads everything once more from offset 0, and checks the order."""
        self.stop_event.set()
        while self.pipes:
            self.collect()
            time.sleep(0.002)
        for producer in self.producers:
            producer.join(10)
        self.read_new(connection)
        for partition in range(self.partitions):
            again = connection.read(self.topic, partition, 0, len(self.seen[partition]))
            for offset, value in again:
                if identity(value) != self.seen[partition][offset]:
                    self.disagree += 1
                    self.note(f"{partition}@{offset} read as {self.seen[partition][offset]}, then as {identity(value)}")
            self.check_order(partition)

    def check_order(self, partition):
        newest = {}
        for producer, counter in self.seen[partition]:
            if counter <= newest.get(producer, -1):
                self.disorder += 1
                self.note(f"{partition}: {producer}-{counter} stands behind {newest[producer]}")
            newest[producer] = max(counter, newest.get(producer, -1))
        earliest_ack = float("inf")  # nothing acknowledged before another was sent may stand behind it
        for offset in sorted(self.acked[partition], reverse=True):
            _, _, invoked, at = self.acked[partition][offset]
            if earliest_ack < invoked:
                self.disorder += 1
                self.note(f"{partition}@{offset} stands before a record that was acknowledged before it was sent")
            earliest_ack = min(earliest_ack, at)

    def verdict(self):
        return (
            f"acknowledged {self.acknowledged + self.lost}, lost {self.lost}, disagreeing {self.disagree}, "
            f"duplicates {self.duplicates}, out of order {self.disorder}, unknown {self.unknown}"
        )

    @property
    def clean(self):
        return self.lost == self.disagree == self.duplicates == self.disorder == 0

    def end(self):
        """Stops the producers whatever happened; safe to call twice."""
        self.stop_event.set()
        for producer in self.producers:
            producer.join(1)
            if producer.is_alive():
                os.kill(producer.pid, 9)


def identity(value):
    producer, counter, filler = value.split(b"-", 2)
    if len(filler) != 20 + int(counter) * 7919 % 800:
        raise ValueError(f"a record was served with another length: {value[:40]!r}")
    return int(producer), int(counter)


def percentile(values, part):
    if not values:
        return 0.0
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def wait_for_progress(workload, more, deadline=30.0):
    """Waits until `more` further records are acknowledged: the broker serves again."""
    goal, end = workload.acknowledged + more, time.monotonic() + deadline
    while workload.acknowledged < goal:
        workload.collect()
        if time.monotonic() > end:
            raise TimeoutError(f"no progress within {deadline} s; errors so far: {workload.errors}")
        time.sleep(0.002)
