"""A disk that fails under the broker: after the first failed sync nothing is acknowledged there, and nothing is lost.

Part one: a file system on a store that is too small, where one fsync fails and the next would lie and succeed.
Part two: the disk dies without the process, so that every write and sync fails from one moment on.
"""

import argparse
import os
import sys
import time

from broker import Broker
from loopfs import LoopDisk, skip_unless_possible
from values import value_of
from wire import LATEST, Connection, Gone, Refused, error_name

TOPIC, PARTITIONS = "drill", 2


class Probe:
    """Produces one batch after another and remembers what came of each."""

    def __init__(self, broker):
        self.broker, self.counter, self.acked, self.errors = broker, 0, [{} for _ in range(PARTITIONS)], {}

    def produce(self, partition):
        values = [value_of(1, partition, self.counter + n) for n in range(200)]
        self.counter += len(values)
        try:
            with Connection(self.broker.address, timeout=10) as connection:
                offset = connection.produce(TOPIC, partition, values)
        except Refused as error:
            name = error_name(error.code)
        except Gone as error:
            name = "no answer" if "timed out" in str(error) else "closed"
        else:
            self.acked[partition].update({offset + n: value for n, value in enumerate(values)})
            return True
        self.errors[name] = self.errors.get(name, 0) + 1
        return False

    def lost(self):
        """Acknowledged records that a fresh start does not serve."""
        count = 0
        for partition, acked in enumerate(self.acked):
            with Connection(self.broker.address) as connection:
                end = connection.list_offset(TOPIC, partition, LATEST)
                held = dict(connection.read(TOPIC, partition, 0, end))
            count += sum(1 for offset, value in acked.items() if held.get(offset) != value)
        return count


def begin(arguments, disk):
    disk.mount()
    broker = Broker(arguments.apus, os.path.join(disk.path, "data"))
    broker.start()
    with Connection(broker.address) as connection:
        connection.create_topic(TOPIC, PARTITIONS, {"segment.bytes": str(4 << 20)})
    return broker, Probe(broker)


def judge(name, probe, after, problems, named):
    lost = probe.lost()
    acknowledged = sum(len(acked) for acked in probe.acked)
    print(
        f"{name}: acknowledged {acknowledged}, lost {lost}, acknowledged after the error {after}, errors {probe.errors}"
    )
    if "KAFKA_STORAGE_ERROR" not in probe.errors:
        problems.append("no error by name")
    if not named:
        problems.append("no log line names the failed log")
    if after:
        problems.append("a log acknowledged after its disk failed")
    for problem in problems:
        print("  " + problem)
    return not (lost or problems) and acknowledged > 0


def failing_sync(arguments):
    with LoopDisk(1024, backing_megabytes=64) as disk:
        broker, probe = begin(arguments, disk)
        try:
            return drive_to_the_error(disk, broker, probe)
        finally:
            broker.kill()


def drive_to_the_error(disk, broker, probe):
    problems, after = [], 0
    for _ in range(4000):
        if not probe.produce(0):
            break
    else:
        problems.append("the disk never failed")
    after += sum(probe.produce(0) for _ in range(10))
    disk.grow_backing(1200)  # from now on a second fsync would succeed, and be a lie
    after += sum(probe.produce(0) for _ in range(50))
    if not broker.alive():
        problems.append("the process ended")
    named = names_the_log(broker)
    broker.kill()
    disk.unmount()
    disk.check()
    disk.mount()
    broker.start(TOPIC, PARTITIONS)
    passed = judge("fsync-error", probe, after, problems, named)
    if not probe.produce(0):
        print(f"  not writable again after a restart on a healthy disk: {probe.errors}")
        return False
    return passed


def dying_disk(arguments):
    with LoopDisk(1024) as disk:
        broker, probe = begin(arguments, disk)
        try:
            problems = []
            for partition in range(PARTITIONS):
                if not all(probe.produce(partition) for _ in range(20)):
                    problems.append("refused before the disk failed")
            disk.cut()
            after, end = 0, time.monotonic() + 2
            while time.monotonic() < end:
                after += sum(probe.produce(partition) for partition in range(PARTITIONS))
            named = names_the_log(broker)
            broker.kill()
            disk.unmount()
            disk.mount()
            broker.start(TOPIC, PARTITIONS)
            return judge("dead-disk", probe, after, problems, named)
        finally:
            broker.kill()


def names_the_log(broker):
    """One line says which partition failed, and what the disk said."""
    lines = [line for line in broker.said().splitlines() if "partition failed" in line]
    return any("topics/" in line or "partition=" in line for line in lines)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=1)
    arguments = options.parse_args()
    skip_unless_possible("fsync-error")
    passed = [failing_sync(arguments), dying_disk(arguments)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
