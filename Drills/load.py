"""Idempotent producers and a reader that outlive the broker, on one topic, and the reading back of what they saw."""

import multiprocessing
import os
import random
import time
from array import array
from collections import deque

from ledger import Ledger
from values import identify, value_of
from wire import LATEST, Connection, Gone, Refused, decode_batches, encode_batch, error_name

IN_FLIGHT = 3  # batches for each partition; the protocol allows an idempotent producer five
PIPELINE_TIMEOUT = 5.0
FOLLOW_WAIT_MS = 5
PEEK_BYTES = 64 << 10  # of each partition, read once more at every reading

# A producer that is always busy may meet these while a broker dies and comes back. Every other error is a promise
# broken: above all 45, 47 and 59, which say that the broker forgot what this producer wrote.
ERRORS_EXPECTED = {
    "UNKNOWN_TOPIC_OR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_OR_FOLLOWER",
    "KAFKA_STORAGE_ERROR",
}


class Batch:
    __slots__ = ("partition", "sequence", "counters", "sent", "pid")

    def __init__(self, partition, sequence, counters, pid):
        self.partition, self.sequence, self.counters, self.pid = partition, sequence, counters, pid
        self.sent = time.monotonic()


class Producer(multiprocessing.Process):
    """Produces until told to stop. Tells the parent what was acknowledged, (partition, offset, producer, first counter,
    count, sent, acknowledged), the names of errors it met, and in the end how many records stay unknown."""

    def __init__(self, name, address, topic, partitions, stop, pipe):
        super().__init__(daemon=True)
        self.label, self.address, self.topic, self.partitions = name, address, topic, partitions
        self.stop_event, self.pipe = stop, pipe

    def run(self):
        self.random = random.Random(self.label)
        self.counter = self.abandoned = 0
        self.producer = None
        self.pending = [deque() for _ in range(self.partitions)]
        self.sequences = [0] * self.partitions
        while not self.stop_event.is_set():
            try:
                with Connection(self.address, timeout=PIPELINE_TIMEOUT) as connection:
                    self.serve(connection)
            except Gone:
                time.sleep(0.01)
            except Refused as error:
                self.pipe.send(("error", error_name(error.code)))
                time.sleep(0.01)
        self.pipe.send(("end", self.abandoned + self.open_records()))
        self.pipe.close()

    def open_records(self):
        return sum(len(batch.counters) for queue in self.pending for batch in queue)

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
        values = [value_of(self.label, batch.partition, counter) for counter in batch.counters]
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
            ack = (batch.partition, offset, self.label, first, count, batch.sent, time.monotonic())
            self.pipe.send(("ack", ack))
            return
        self.pipe.send(("error", error_name(error)))
        if error in (45, 47, 59) and self.pending[batch.partition][0] is batch:
            self.begin_again()
        raise Gone(error_name(error))  # the rest of the pipeline is answered by sending it again

    def begin_again(self):
        """The broker forgot this producer. What is open stays unknown; nobody may send it again."""
        self.abandoned += self.open_records()
        for queue in self.pending:
            queue.clear()
        self.sequences = [0] * self.partitions
        self.producer = None


class Follower(multiprocessing.Process):
    """Reads every partition as it grows. What it was served before a crash, everybody must be served after it."""

    def __init__(self, address, topic, partitions, stop, pipe):
        super().__init__(daemon=True)
        self.address, self.topic, self.stop_event, self.pipe = address, topic, stop, pipe
        self.positions = [0] * partitions

    def run(self):
        while not self.stop_event.is_set():
            try:
                with Connection(self.address, timeout=PIPELINE_TIMEOUT) as connection:
                    while not self.stop_event.is_set():
                        for partition in range(len(self.positions)):
                            self.follow(connection, partition)
            except Gone:
                time.sleep(0.01)
            except Refused as error:
                self.pipe.send(("error", error_name(error.code)))
                time.sleep(0.01)
            except ValueError as error:
                self.pipe.send(("wrong", str(error)))
                break
        self.pipe.close()

    def follow(self, connection, partition):
        position, numbers = self.positions[partition], array("Q")
        try:
            _, data = connection.fetch(self.topic, partition, position, wait=FOLLOW_WAIT_MS)
        except Refused as error:
            if error_name(error.code) != "OFFSET_OUT_OF_RANGE":
                raise
            self.positions[partition] = connection.list_offset(self.topic, partition, LATEST)
            return  # the ledger sees that records are gone which were read before
        for offset, value in decode_batches(data):
            if offset < position:
                continue
            if offset != position + len(numbers):
                raise ValueError(f"{self.topic}[{partition}] skips from {position + len(numbers)} to {offset}")
            numbers.append(identify(value, partition))
        if numbers:
            self.positions[partition] += len(numbers)
            self.pipe.send(("read", (partition, position, numbers)))


class Workload:
    """Some producers and a reader on one topic. `counts` takes what the checkers find."""

    def __init__(self, address, topic, partitions, names, counts):
        self.topic, self.counts, self.errors = topic, counts, {}
        self.ledgers = [Ledger(f"{topic}[{partition}]", counts) for partition in range(partitions)]
        self.stop_event = multiprocessing.Event()
        self.clients, self.pipes, self.served = [], [], 0
        for name in names:
            self.begin(Producer, name, address, topic, partitions, self.stop_event)
        self.begin(Follower, address, topic, partitions, self.stop_event)

    def begin(self, kind, *values):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        client = kind(*values, theirs)
        client.start()
        theirs.close()
        self.clients.append(client)
        self.pipes.append(ours)

    def collect(self):
        """Takes in what the clients reported; call it often, a full pipe stops them."""
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
            self.counts.unknown += what
        elif kind == "wrong":
            self.counts.wrong(what)
        elif kind == "read":
            partition, offset, numbers = what
            self.ledgers[partition].witness(offset, numbers)
            self.served += len(numbers)
        else:
            partition, *promise = what
            self.ledgers[partition].promise(*promise)

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.collect()
            time.sleep(0.002)

    def wait_for_progress(self, deadline=180.0):
        """Waits until further records are acknowledged: the broker serves again."""
        before, end = self.counts.acknowledged, time.monotonic() + deadline
        while self.counts.acknowledged == before:
            self.collect()
            if time.monotonic() > end:
                raise TimeoutError(f"no progress within {deadline} s; errors so far: {self.errors}")
            time.sleep(0.002)

    def check_ends(self, connection):
        for partition, ledger in enumerate(self.ledgers):
            ledger.ends_at(connection.list_offset(self.topic, partition, LATEST))

    def read_new(self, connection, dice):
        """Reads what was not read yet, holds every acknowledgment up to now against it, and reads something old again.

        The ends are asked for after the acknowledgments were taken in, so every one of them must be below."""
        self.collect()
        for partition, ledger in enumerate(self.ledgers):
            end = connection.list_offset(self.topic, partition, LATEST)
            ledger.ends_at(end)
            for _, value in connection.read(self.topic, partition, len(ledger.read), end):
                ledger.saw(identify(value, partition))
            ledger.settle()
            if ledger.read:
                at = dice.randrange(len(ledger.read))
                self.read_again(connection, partition, at, len(ledger.read), PEEK_BYTES)

    def read_again(self, connection, partition, start, end, limit=None):
        ledger = self.ledgers[partition]
        for offset, value in connection.read(self.topic, partition, start, end, limit):
            ledger.again(offset, identify(value, partition))

    def finish(self, connection, dice):
        """Stops the producers, reads everything once more from offset 0, and checks the order in time."""
        self.stop_event.set()
        while self.pipes:
            self.collect()
            time.sleep(0.002)
        for client in self.clients:
            client.join(10)
        self.read_new(connection, dice)
        for partition, ledger in enumerate(self.ledgers):
            self.read_again(connection, partition, 0, len(ledger.read))
            ledger.check_time()

    def end(self):
        """Stops the producers whatever happened; safe to call twice."""
        self.stop_event.set()
        for client in self.clients:
            client.join(1)
            if client.is_alive():
                os.kill(client.pid, 9)
