"""kill -9 under load, again and again: what was acknowledged is there, once, in order; and how long a start takes."""

import argparse
import random
import shutil
import sys
import tempfile

from broker import Broker
from load import Workload, percentile, wait_for_progress
from wire import Connection

TOPIC, PARTITIONS = "drill", 4


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=200)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--segment-bytes", type=int, default=1 << 20, help="small, so that kills meet rolls")
    arguments = options.parse_args()
    dice = random.Random(arguments.seed)
    data = tempfile.mkdtemp(prefix="apus-kill-")
    broker = Broker(arguments.apus, data)
    workload, recoveries = None, []
    try:
        broker.start()
        with Connection(broker.address) as connection:
            connection.create_topic(TOPIC, PARTITIONS, {"segment.bytes": str(arguments.segment_bytes)})
        workload = Workload(broker.address, TOPIC, PARTITIONS)
        for _ in range(arguments.cycles):
            wait_for_progress(workload, 1)
            workload.run_for(dice.uniform(0.05, 0.4))
            broker.kill()
            recoveries.append(broker.start(TOPIC, PARTITIONS) * 1000)
            with Connection(broker.address) as connection:
                workload.read_new(connection)
        with Connection(broker.address) as connection:
            workload.finish(connection)
    finally:
        if workload:
            workload.end()
        broker.kill()
        shutil.rmtree(data, ignore_errors=True)
    print(
        f"kill: cycles {arguments.cycles}, {workload.verdict()}, "
        f"recovery p50 {percentile(recoveries, 0.5):.0f} ms, p99 {percentile(recoveries, 0.99):.0f} ms"
    )
    for note in workload.notes:
        print("  " + note)
    return 0 if workload.clean and workload.acknowledged > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
