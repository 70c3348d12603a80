"""Power cuts under load, on a real ext4: whatever was acknowledged before the cut is there after it.

With `--durability page-cache` the same drill must lose records; if it does not, the drill is blind and fails.

The cut takes the clients away first, then the disk, then the broker. The order matters: the broker outlives its disk
by milliseconds, and in those the kernel lies to it. `ghost.py` shows that after the shutdown began, fdatasync
returns success for data that is gone; a machine without power returns nothing. Clients therefore connect through a
relay, which is killed and reaped before the power goes. What a client has in hand then was said while the disk was
whole, and counts; what the broker says afterwards reaches nobody. Syncs are still in flight when the disk stops, as
they are in a real cut.
"""

import argparse
import os
import random
import sys

from broker import Broker
from loopfs import LOG_FLUSHED, LOG_LOST, LoopDisk, skip_unless_possible
from relay import Relay
from succession import CLEAN_EVERY, Progress, Succession

FLUSHED_EVERY = 6  # cuts that leave the journal, and so longer unacknowledged tails and holes
RECONNECT_EVERY = 3  # cuts before which the clients lose the line and send again what was not answered


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=200)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--durability", choices=("fsync", "page-cache"), default="fsync")
    options.add_argument("--segment-bytes", type=int, default=1 << 20, help="small, so that cuts meet rolls")
    arguments = options.parse_args()
    skip_unless_possible("powercut")
    with LoopDisk(2048) as disk:
        succession = cut_again_and_again(arguments, disk)
    counts, control = succession.counts, arguments.durability == "page-cache"
    if not control:
        for name, count in succession.forgotten().items():
            counts.wrong(f"producers met {name} {count} times")
    print(f"powercut: durability {arguments.durability}, cycles {arguments.cycles}, {succession.verdict()}")
    for note in counts.notes[:1] if control and succession.finished else counts.notes:
        print("  " + note)
    if control:
        if not counts.lost:
            print("powercut: the control lost nothing, so this drill sees nothing")
        return 0 if counts.lost and succession.finished else 1
    return 0 if counts.clean and counts.acknowledged > 0 else 1


def cut_again_and_again(arguments, disk):
    dice = random.Random(arguments.seed)
    disk.mount()
    broker = Broker(arguments.apus, os.path.join(disk.path, "data"))
    relay = Relay(broker.address)
    configs = {"segment.bytes": str(arguments.segment_bytes), "durability": arguments.durability}
    succession = Succession(broker, relay.address, configs, dice, arguments.cycles)
    progress = Progress("powercut", arguments.cycles, sys.stdout)

    def crash(cycle):
        if cycle % RECONNECT_EVERY == 0:
            relay.cut()
            relay.open()
            succession.workload.run_for(dice.uniform(0, 0.02))
        relay.cut()
        if cycle % CLEAN_EVERY == 0:
            succession.stop()
        lose_power(disk, broker, LOG_FLUSHED if cycle % FLUSHED_EVERY == 0 else LOG_LOST)
        succession.interrupt_a_start(lambda: lose_power(disk, broker, LOG_LOST))

    try:
        succession.run(arguments.cycles, (0.02, 0.3), crash, progress, serve=relay.open)
    finally:
        succession.end()
        relay.close()
        broker.kill()
    return succession


def lose_power(disk, broker, flag):
    disk.cut(flag)
    broker.kill()
    disk.unmount()
    disk.mount()


if __name__ == "__main__":
    sys.exit(main())
