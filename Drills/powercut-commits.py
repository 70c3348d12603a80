"""Power cuts while groups commit and subscriptions change: what was acknowledged before the cut is there after it.

Workers commit positions of several groups without pause, each larger than the last, through a relay that is cut before
the power goes (`powercut.py` says why). After every start each group's position must be at least the largest that was
acknowledged, at most the largest that was sent, and must carry the words that were committed with it. Another worker
makes, changes and removes subscriptions; each must be as the last answered change left it, or as the one that was under
way would have.

A start reads all that was ever committed, unless it was compacted. So the log that keeps the positions has small segments,
and every tenth life is long enough for the broker to compact it: the hundredth cycle takes as long as the tenth. With
`--compact` every life is about as long as it takes the broker to begin: cuts fall before that, into it and behind it.
"""

import argparse
import ctypes
import multiprocessing
import os
import random
import subprocess
import sys
import time

from broker import Broker, StartFailed, until
from catalogue import Changer
from ledger import Counts
from loopfs import LOG_FLUSHED, LOG_LOST, LoopDisk, skip_unless_possible
from powercut import FLUSHED_EVERY, lose_power
from relay import Relay
from succession import CLEAN_EVERY, percentile
from wire import Connection, Gone, Refused, error_name

TOPIC, PARTITIONS = "positions", 8
WORKERS, GROUPS_EACH = 4, 4
SUBSCRIPTIONS = 24
PASSING = (3, 5, 6, 7, 14, 15, 16, 56)  # what a commit may meet while a broker dies and comes back
ERROR_CODES = 256
STARTS_CUT_PART = 0.25
TOLD_EVERY = 5
LOADS = (0.02, 0.3)  # seconds of load in a life
LONG_EVERY, LONG_LOAD = 10, 2.2
# A broker looks for what is to be compacted once a second at most.
COMPACTING = ("--options", "log.retention.check.interval.ms=1000")
COMPACTED = ("segment.bytes=16384", "min.cleanable.dirty.ratio=0.01", "delete.retention.ms=0")
LOADS_COMPACTING = (0.7, 1.5)
OFFSETS_TOPIC = "__consumer_offsets"


def group_name(number):
    return f"commits-{number}"


def words(number, offset):
    """What is committed beside an offset: it says whose it is."""
    return f"{group_name(number)} at {offset}"


class Worker(multiprocessing.Process):
    """Commits for its groups, all partitions at once, the next offset as soon as the last was answered.

    `sent` and `known` are shared, by group: the largest offset that left, and the largest that was acknowledged."""

    def __init__(self, address, first, shared):
        super().__init__(daemon=True)
        self.address, self.numbers, self.shared = address, range(first, first + GROUPS_EACH), shared

    def run(self):
        while not self.shared.stop.is_set():
            try:
                with Connection(self.address, timeout=5.0) as connection:
                    self.serve(connection)
            except Gone:
                pass
            self.shared.drops[self.numbers[0] // GROUPS_EACH] += 1
            time.sleep(0.005)

    def serve(self, connection):
        sent, known = self.shared.sent, self.shared.known
        while not self.shared.stop.is_set():
            flying = []
            for number in self.numbers:
                offset = sent[number] + 1
                sent[number] = offset
                connection.send_commit(
                    group_name(number), TOPIC, dict.fromkeys(range(PARTITIONS), offset), words(number, offset)
                )
                flying.append((number, offset))
            for number, offset in flying:
                _, reader = connection.receive()
                errors = set(connection.commit_answer(reader).values())
                if errors == {0}:
                    known[number] = offset
                else:
                    for code in errors - {0, *PASSING}:
                        self.shared.odd[code % ERROR_CODES] += 1


class Shared:
    def __init__(self):
        count = WORKERS * GROUPS_EACH
        self.stop = multiprocessing.Event()
        self.sent = multiprocessing.Array(ctypes.c_int64, count, lock=False)
        self.known = multiprocessing.Array(ctypes.c_int64, count, lock=False)
        self.drops = multiprocessing.Array(ctypes.c_int64, WORKERS, lock=False)
        self.odd = multiprocessing.Array(ctypes.c_int64, ERROR_CODES, lock=False)  # by error code; the last is −1


class Drill:
    def __init__(self, apus, disk, seed, compacts=False):
        self.disk, self.dice, self.counts, self.compacts = disk, random.Random(seed), Counts(), compacts
        self.broker = Broker(apus, os.path.join(disk.path, "data"), extra=COMPACTING)
        self.spent = dict.fromkeys(("load", "cut", "start", "check"), 0.0)  # seconds, of all cycles
        self.passes = 0  # of compaction, over logs of positions
        self.relay = Relay(self.broker.address)
        self.shared, self.recoveries, self.starts_cut = Shared(), [], 0
        self.workers = [Worker(self.relay.address, n * GROUPS_EACH, self.shared) for n in range(WORKERS)]
        self.changer = Changer(self.relay.address, TOPIC, SUBSCRIPTIONS, self.shared.stop)

    def run(self, cycles):
        self.broker.start()
        with Connection(self.broker.address) as connection:
            connection.create_topic(TOPIC, PARTITIONS, {})
            until(lambda: coordinator(connection), 60, "there is a coordinator")
        address = f"127.0.0.1:{self.broker.port}"
        command = (self.broker.apus, "topic", "set", OFFSETS_TOPIC, *COMPACTED, "-s", address)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for worker in (*self.workers, self.changer):
            worker.start()
        for cycle in range(1, cycles + 1):
            self.timed("load", self.commit_for, self.life(cycle))
            self.timed("cut", self.cut, cycle)
            self.recoveries.append(self.timed("start", self.broker.start, TOPIC, PARTITIONS) * 1000)
            self.timed("check", self.verify, cycle)
            if cycle % TOLD_EVERY == 0:
                print(f"powercut-commits: {cycle}/{cycles} cycles, {self.told()}", flush=True)
        self.passes = sum(OFFSETS_TOPIC in line for line in self.broker.said().splitlines() if "compacted" in line)
        if not self.passes and (self.compacts or cycles >= LONG_EVERY):
            self.counts.wrong("no log of positions was compacted")

    def life(self, cycle):
        """How many seconds of load the next life has."""
        if self.compacts:
            return self.dice.uniform(*LOADS_COMPACTING)
        return LONG_LOAD if cycle % LONG_EVERY == 0 else self.dice.uniform(*LOADS)

    def timed(self, what, body, *values):
        began = time.monotonic()
        try:
            return body(*values)
        finally:
            self.spent[what] += time.monotonic() - began

    def told(self):
        seconds = ", ".join(f"{what} {spent:.1f}" for what, spent in self.spent.items())
        return f"{sum(self.shared.known):,} acknowledged, lost {self.counts.lost:,}; seconds so far: {seconds}"

    def commit_for(self, seconds):
        """Until every worker has something acknowledged by this broker, then for a while."""
        before, changed = list(self.shared.known), self.changer.done.value
        self.relay.open()
        firsts = range(0, len(before), GROUPS_EACH)
        until(lambda: all(self.shared.known[n] > before[n] for n in firsts), 120, "every worker commits")
        until(lambda: self.changer.done.value > changed, 120, "subscriptions change")
        time.sleep(seconds)  # the load itself, not a wait for something
        if not self.broker.alive():
            self.counts.wrong(f"the broker ended by itself: {self.broker.said()[-500:]}")

    def cut(self, cycle):
        drops, dropped = list(self.shared.drops), self.changer.drops.value
        self.relay.cut()
        if cycle % CLEAN_EVERY == 0:
            code = self.broker.stop()
            if code != 0:
                self.counts.wrong(f"a clean stop ended with {code}")
        lose_power(self.disk, self.broker, LOG_FLUSHED if cycle % FLUSHED_EVERY == 0 else LOG_LOST)
        if self.dice.random() < STARTS_CUT_PART:
            self.broker.launch()
            time.sleep(self.dice.uniform(0, 0.1))
            lose_power(self.disk, self.broker, LOG_LOST)
            self.starts_cut += 1
        # What a worker has in its socket was said before the cut: it counts, so it has to be read first.
        until(lambda: all(now > then for now, then in zip(self.shared.drops, drops)), 60, "the line is gone")
        until(lambda: self.changer.drops.value > dropped, 60, "the line is gone")

    def verify(self, cycle):
        with Connection(self.broker.address) as connection:
            self.changer.check(connection, self.counts, cycle)
            for number in range(WORKERS * GROUPS_EACH):
                known, sent = self.shared.known[number], self.shared.sent[number]
                found = until(lambda: positions(connection, group_name(number)), 60, "the coordinator has loaded")
                for partition in range(PARTITIONS):
                    offset, said = found.get(partition, (-1, ""))
                    where = f"cycle {cycle}: {group_name(number)} in [{partition}]"
                    if offset < known:
                        self.counts.lost += known - max(offset, 0)
                        self.counts.note(f"{where} is at {offset}, acknowledged was {known}")
                    elif offset > sent:
                        self.counts.wrong(f"{where} is at {offset}, nobody sent more than {sent}")
                    elif offset > 0 and said != words(number, offset):
                        self.counts.wrong(f"{where} is at {offset} with the words {said!r}")

    def end(self):
        self.shared.stop.set()
        for worker in (*self.workers, self.changer):
            if worker.is_alive():
                worker.kill()
                worker.join()
        self.relay.close()
        self.broker.kill()
        for code, count in enumerate(self.shared.odd):
            if count:
                self.counts.wrong(f"commits met {error_name(code if code < ERROR_CODES - 1 else -1)} {count} times")
        for oddity in self.changer.oddities():
            self.counts.wrong(oddity)


def coordinator(connection):
    """None while there is none."""
    try:
        return connection.find_coordinator(group_name(0))
    except Refused as error:
        if error.code in PASSING:
            return None
        raise


def positions(connection, group):
    """None while the coordinator is not ready."""
    try:
        return connection.positions(group, TOPIC, range(PARTITIONS))
    except Refused as error:
        if error.code in PASSING:
            return None
        raise


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=100)
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--compact", action="store_true", help="compact the log of positions meanwhile")
    arguments = options.parse_args()
    skip_unless_possible("powercut-commits")
    with LoopDisk(1024) as disk:
        disk.mount()
        drill = Drill(arguments.apus, disk, arguments.seed, arguments.compact)
        try:
            drill.run(arguments.cycles)
        except (Gone, Refused, StartFailed, TimeoutError, ValueError) as error:
            drill.counts.wrong(f"ended early: {type(error).__name__}: {error}; {drill.broker.said()[-800:]}")
        finally:
            drill.end()
    counts, shared = drill.counts, drill.shared
    acknowledged = sum(shared.known) + drill.changer.done.value
    unknown = sum(sent - known for sent, known in zip(shared.sent, shared.known))
    p50, p99 = percentile(drill.recoveries, 0.5), percentile(drill.recoveries, 0.99)
    print(
        f"powercut-commits: cycles {len(drill.recoveries)}, acknowledged {acknowledged:,}, lost {counts.lost:,}, "
        f"wrong {counts.other}, unknown {unknown}, subscriptions changed {drill.changer.done.value:,}, "
        f"starts cut {drill.starts_cut}, passes of compaction {drill.passes}, "
        f"recovery p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    )
    for note in counts.notes:
        print("  " + note)
    return 0 if counts.clean and acknowledged > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
