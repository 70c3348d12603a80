"""A disk that fills up: produce is refused by name while fetch goes on; produce comes back by itself with the space."""

import argparse
import os
import sys
import time

from broker import Broker, until
from loopfs import LoopDisk, skip_unless_possible
from values import value_of
from wire import LATEST, Connection, Gone, Refused, error_name

TOPIC = "drill"


class Ledger:
    """What was acknowledged, by offset, and what was refused."""

    def __init__(self, broker):
        self.broker, self.acked, self.refused, self.errors, self.counter = broker, {}, set(), {}, 0

    def produce(self):
        """One batch; True when it was acknowledged."""
        values = [value_of(1, 0, self.counter + n) for n in range(100)]
        self.counter += len(values)
        try:
            with Connection(self.broker.address) as connection:
                offset = connection.produce(TOPIC, 0, values)
        except Refused as error:
            self.refused.update(values)
            self.errors[error_name(error.code)] = self.errors.get(error_name(error.code), 0) + 1
            return False
        except Gone:
            self.errors["closed"] = self.errors.get("closed", 0) + 1
            return False
        self.acked.update({offset + n: value for n, value in enumerate(values)})
        return True

    def read(self):
        """(lost, refused but present) of what is on the disk now."""
        with Connection(self.broker.address) as connection:
            end = connection.list_offset(TOPIC, 0, LATEST)
            held = dict(connection.read(TOPIC, 0, 0, end))
        lost = sum(1 for offset, value in self.acked.items() if held.get(offset) != value)
        return lost, sum(1 for value in held.values() if value in self.refused)


def fill(disk):
    """Takes all space that is left."""
    filler = os.open(os.path.join(disk.path, "filler"), os.O_CREAT | os.O_WRONLY)
    try:
        space = os.statvfs(disk.path)
        os.posix_fallocate(filler, 0, max(1, (space.f_bavail - 16) * space.f_frsize))
        piece = bytes(4096)
        while True:
            os.write(filler, piece)
    except OSError:
        pass  # full: that was the aim
    finally:
        os.close(filler)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=1, help="how often the disk fills and empties again")
    arguments = options.parse_args()
    skip_unless_possible("fulldisk")
    resumes, problems = [], []
    with LoopDisk(512) as disk:
        disk.mount()
        broker = Broker(arguments.apus, os.path.join(disk.path, "data"))
        ledger = Ledger(broker)
        try:
            broker.start()
            with Connection(broker.address) as connection:
                connection.create_topic(TOPIC, 1, {"segment.bytes": str(1 << 20)})
            for _ in range(max(1, arguments.cycles)):
                fill_and_empty(disk, broker, ledger, resumes, problems)
            broker.kill()
            broker.start(TOPIC, 1)
            lost, undead = ledger.read()
        finally:
            broker.kill()
    if undead:
        problems.append(f"{undead} refused records appeared")
    if set(ledger.errors) != {"KAFKA_STORAGE_ERROR"}:
        problems.append(f"errors other than the named one: {ledger.errors}")
    print(
        f"fulldisk: acknowledged {len(ledger.acked)}, lost {lost}, refused {ledger.errors}, "
        f"resumed by itself after {', '.join(f'{r:.1f}' for r in resumes)} s"
    )
    for problem in problems:
        print("  " + problem)
    return 1 if lost or problems or not ledger.acked else 0


def fill_and_empty(disk, broker, ledger, resumes, problems):
    until(ledger.produce, 120, "produce on a disk with room")
    fill(disk)
    # The last blocks may still be given out, in the middle of which a log cleans up; then nothing goes any more.
    until(lambda: not any(ledger.produce() for _ in range(20)), 180, "produce refused on a full disk")
    for _ in range(20):
        if ledger.produce():
            problems.append("acknowledged again while the disk was full")
    lost, _ = ledger.read()
    if lost:
        problems.append(f"{lost} records unreadable while the disk was full")
    if not broker.alive():
        problems.append(f"the process ended: {broker.said()[-500:]}")
    os.remove(os.path.join(disk.path, "filler"))
    began = time.monotonic()
    until(ledger.produce, 120, "produce resumes when space returned")
    resumes.append(time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
