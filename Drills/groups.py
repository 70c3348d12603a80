"""Ten consumers of one group while records flow; two are killed, one is added, in the middle of it.

Once by the classic protocol, once by the consumer protocol (KIP-848). In the end every record was processed at least
once; nobody processed what another owner had committed before; no partition had two owners at a time; nothing is left
to read. `membership.py` says how that is judged, from what every consumer said it did.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from broker import Broker, StartFailed
from membership import Group
from wire import Connection, Gone, Refused

PARTITIONS = 12
MEMBERS = 10
RECORD_BYTES = 100
BATCH_RECORDS = 100
SECONDS_OF_FLOW = 25  # at least: what happens to the members should fall into it
TOPIC = "flow"


class Flow:
    """Records on their way in, at a rate, by `apus bench pub`; it checks that all of them were acknowledged."""

    def __init__(self, apus, address, records):
        self.records = records
        rate = max(records // SECONDS_OF_FLOW, 1000)
        self.process = subprocess.Popen(
            (apus, "bench", "pub", "--server", address, "--topic", TOPIC, "--records", str(records))
            + ("--rate", str(rate), "--record-bytes", str(RECORD_BYTES), "--batch-records", str(BATCH_RECORDS))
            + ("-o", "ndjson"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self):
        """When all are in; (acknowledged, what it said if it failed)."""
        out, error = self.process.communicate()
        if self.process.returncode != 0:
            return 0, error.strip()[-300:]
        return json.loads(out)["records"], ""

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def one_run(apus, protocol, records):
    """(closing line, problems)."""
    data = tempfile.mkdtemp(prefix="apus-groups-")
    broker = Broker(apus, data)
    group = flow = None
    try:
        broker.start()
        with Connection(broker.address) as connection:
            connection.create_topic(TOPIC, PARTITIONS, {})
        address = f"127.0.0.1:{broker.port}"
        assignor = "cooperative-sticky" if protocol == "classic" else None
        group = Group(address, f"drill-{protocol}", TOPIC, PARTITIONS, protocol=protocol, assignor=assignor)
        for n in range(MEMBERS):
            group.add(f"c{n}")
        group.settle("ten members share the partitions")
        began = time.monotonic()
        flow = Flow(apus, address, records)
        disturb(group, records)
        acknowledged, failure = flow.end()
        if failure:
            return f"groups: {protocol}: the flow failed", [failure]
        return judged(apus, address, group, protocol, acknowledged, began, broker)
    except (Gone, Refused, StartFailed, TimeoutError, RuntimeError) as error:
        return f"groups: {protocol}: ended early", [f"{type(error).__name__}: {error}"]
    finally:
        if flow:
            flow.kill()
        if group:
            group.kill_all()
        broker.kill()
        shutil.rmtree(data, ignore_errors=True)


def disturb(group, records):
    """Kills two members that have partitions, and adds one, each after a part of the records went through."""

    def after(part):
        group.wait(lambda: group.records >= records * part, f"{part:.0%} of the records were processed", 300)

    after(0.2)
    group.processes[owner(group)].kill()
    after(0.3)
    group.add("added")
    after(0.4)
    group.processes[owner(group)].kill()


def owner(group):
    """A member that has something to lose."""
    return max(group.alive, key=lambda name: (len(group.own[name]), name))


def judged(apus, address, group, protocol, records, began, broker):
    ends = [records // PARTITIONS] * PARTITIONS
    with Connection(broker.address) as connection:
        ends = [connection.list_offset(TOPIC, partition, -1) for partition in range(PARTITIONS)]
    group.commit_all(ends, "all is committed", 300)
    group.settle("the members that are left share the partitions")
    seconds = time.monotonic() - began
    group.end()
    verdict = group.verdict()
    unread, again = verdict.missing(ends)
    problems = list(verdict.problems)
    lag = lag_of(apus, address, group.name)
    if sum(ends) != records:
        problems.append(f"{records:,} records were acknowledged, the log has {sum(ends):,}")
    if unread:
        problems.append(f"{unread:,} records were processed by nobody")
    if lag:
        problems.append(f"apus group lag says {lag:,}")
    if not broker.alive():
        problems.append(f"the broker ended by itself: {broker.said()[-500:]}")
    line = (
        f"groups: {protocol}: records {records:,}, unprocessed {unread:,}, processed again {again:,}, "
        f"commits {verdict.commit_count:,} ({verdict.refused} refused), members {len(verdict.members)}, killed 2, "
        f"partitions lost unknowingly {verdict.losses}, two owners or behind a commit {len(verdict.problems)}, "
        f"lag {lag}, {seconds:.0f} s"
    )
    return line, problems


def lag_of(apus, address, name):
    command = (apus, "group", "lag", name, "--by", "group", "--server", address, "-o", "json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    (row,) = json.loads(done.stdout)
    return row["lag"]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--protocol", choices=("classic", "consumer"), action="append", help="[default: both]")
    options.add_argument("--cycles", type=int, default=1, help="runs of each protocol")
    arguments = options.parse_args()
    apus, found = os.path.abspath(arguments.apus), 0
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        print("groups: SKIPPED: needs confluent-kafka")
        return 0
    for protocol in arguments.protocol or ("classic", "consumer"):
        for _ in range(arguments.cycles):
            line, problems = one_run(apus, protocol, arguments.records)
            print(line, flush=True)
            for problem in problems[:10]:
                print("  " + problem)
            found += len(problems)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
