"""kill -9 under load, again and again: what was acknowledged is there, once, in order; and how long a start takes."""

import argparse
import random
import shutil
import sys
import tempfile

from broker import Broker
from succession import CLEAN_EVERY, Progress, Succession


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=200)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--segment-bytes", type=int, default=1 << 20, help="small, so that kills meet rolls")
    arguments = options.parse_args()
    data = tempfile.mkdtemp(prefix="apus-kill-")
    broker = Broker(arguments.apus, data)
    configs = {"segment.bytes": str(arguments.segment_bytes)}
    succession = Succession(broker, broker.address, configs, random.Random(arguments.seed), arguments.cycles)
    progress = Progress("kill", arguments.cycles, sys.stdout)

    def crash(cycle):
        if cycle % CLEAN_EVERY == 0:
            succession.stop()
        broker.kill()
        succession.interrupt_a_start(broker.kill)

    try:
        succession.run(arguments.cycles, (0.05, 0.4), crash, progress)
    finally:
        succession.end()
        broker.kill()
        shutil.rmtree(data, ignore_errors=True)
    for name, count in succession.forgotten().items():
        succession.counts.wrong(f"producers met {name} {count} times")
    print(f"kill: cycles {arguments.cycles}, {succession.verdict()}")
    for note in succession.counts.notes:
        print("  " + note)
    return 0 if succession.counts.clean and succession.counts.acknowledged > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
