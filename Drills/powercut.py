"""Power cuts under load, on a real ext4: whatever was acknowledged before the cut is there after it.

With `--durability page-cache` the same drill must lose records; if it does not, the drill is blind and fails.
"""

import argparse
import os
import random
import sys

from broker import Broker
from load import Workload, percentile, wait_for_progress
from loopfs import LOG_FLUSHED, LOG_LOST, LoopDisk, skip_unless_possible
from wire import Connection

TOPIC, PARTITIONS = "drill", 4
FLUSHED_EVERY = 6  # cuts that leave the journal, and so longer unacknowledged tails and holes


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
        workload, recoveries = cut_again_and_again(arguments, disk)
    print(
        f"powercut: durability {arguments.durability}, cycles {arguments.cycles}, {workload.verdict()}, "
        f"recovery p50 {percentile(recoveries, 0.5):.0f} ms, p99 {percentile(recoveries, 0.99):.0f} ms"
    )
    for note in workload.notes if arguments.durability == "fsync" else workload.notes[:1]:
        print("  " + note)
    if arguments.durability == "fsync":
        return 0 if workload.clean and workload.acknowledged > 0 else 1
    if workload.clean:
        print("powercut: the control lost nothing, so this drill sees nothing")
        return 1
    return 0


def cut_again_and_again(arguments, disk):
    dice = random.Random(arguments.seed)
    disk.mount()
    broker = Broker(arguments.apus, os.path.join(disk.path, "data"))
    workload, recoveries = None, []
    try:
        broker.start()
        with Connection(broker.address) as connection:
            configs = {"segment.bytes": str(arguments.segment_bytes), "durability": arguments.durability}
            connection.create_topic(TOPIC, PARTITIONS, configs)
        workload = Workload(broker.address, TOPIC, PARTITIONS)
        for cycle in range(arguments.cycles):
            wait_for_progress(workload, 1)
            workload.run_for(dice.uniform(0.02, 0.3))
            # A machine without power answers nobody. Here the broker outlives its disk by milliseconds, and what it
            # acknowledged then was seen to be gone. We take it that an fdatasync waiting for a commit which the
            # shutdown aborted returned success; that is inferred from the losses ending here, not proven. Last words
            # may be read late, so the dark lasts until the next broker is there.
            workload.black_out()
            disk.cut(LOG_FLUSHED if cycle % FLUSHED_EVERY == FLUSHED_EVERY - 1 else LOG_LOST)
            broker.kill()
            disk.unmount()
            disk.mount()
            recoveries.append(broker.start(TOPIC, PARTITIONS) * 1000)
            workload.light_up()
            with Connection(broker.address) as connection:
                workload.read_new(connection)
        with Connection(broker.address) as connection:
            workload.finish(connection)
    finally:
        if workload:
            workload.end()
        broker.kill()
    return workload, recoveries


if __name__ == "__main__":
    sys.exit(main())
