"""Files damaged while the broker was down: no damaged byte is ever served, nothing goes missing in silence, and a data
directory that is not this broker's is refused in words.
"""

import argparse
import os
import random
import re
import shutil
import socket
import sys
import tempfile

from broker import Broker, StartFailed
from wire import EARLIEST, LATEST, Connection, Gone, Refused

TOPIC, STEADY = "drill", "steady"
PARTITIONS = 2
REFUSAL_LINES_MAX = 4
PAGE = 4096


# --- a data directory worth damaging


def prepare(apus, data):
    """Fills a broker, stops it cleanly; {(topic, partition): {offset: value}}."""
    broker, known = Broker(apus, data), {}
    broker.start()
    try:
        with Connection(broker.address) as connection:
            for topic in (TOPIC, STEADY):
                connection.create_topic(topic, PARTITIONS, {"segment.bytes": str(64 << 10)})
            producer = connection.init_producer()
            for topic in (TOPIC, STEADY):
                for partition in range(PARTITIONS):
                    known[topic, partition] = fill(connection, topic, partition, producer)
        code = broker.stop()
        if code != 0:
            raise StartFailed(f"a clean stop ended with {code}")
    finally:
        broker.kill()
    return known


def fill(connection, topic, partition, producer):
    held, sequence = {}, 0
    for _ in range(30):
        values = [f"{topic}/{partition}/{sequence + n}/".encode() + b"v" * 400 for n in range(20)]
        first = connection.produce(topic, partition, values, producer=producer, sequence=sequence)
        held.update({first + n: value for n, value in enumerate(values)})
        sequence += len(values)
    return held


def partition_directories(data):
    """The directories that hold the partitions' files, found by what is in them."""
    found = {}
    for folder, _, files in os.walk(os.path.join(data, "topics")):
        if files:
            found[folder] = sorted(files)
    return found


def directory_of(data, topic, partition):
    """Which directory holds a partition: the one whose files hold its values."""
    mark = f"{topic}/{partition}/0/".encode()
    for folder, files in partition_directories(data).items():
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                if mark in file.read():
                    return folder
    raise SystemExit(f"atrest: no file holds {mark}")


# --- damage


def content_length(path):
    """Bytes up to the last that is not zero: preallocated space behind the data is no target."""
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


def flip(path, dice):
    length = content_length(path)
    at = dice.randrange(length) if length else 0
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1) or b"\0"
        file.seek(at)
        file.write(bytes([byte[0] ^ 1 << dice.randrange(8)]))


def zero(path, dice):
    length = content_length(path)
    at = dice.randrange(max(1, length // PAGE)) * PAGE
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes(min(PAGE, max(1, length - at))))


def truncate(path, _):
    os.truncate(path, content_length(path) // 2)


def delete(path, _):
    os.remove(path)


def swap(path, _):
    """Exchanges the file with the next of its kind in the same directory."""
    folder, suffix = os.path.dirname(path), os.path.splitext(path)[1]
    others = [name for name in sorted(os.listdir(folder)) if name.endswith(suffix) and name != os.path.basename(path)]
    if not others:
        return False
    other = os.path.join(folder, others[0])
    os.rename(path, path + ".aside")
    os.rename(other, path)
    os.rename(path + ".aside", other)


def stranger(path, _):
    """Puts the file of the same name of another partition in its place: a write that went to the wrong disk block."""
    folder = os.path.dirname(path)
    topics = os.path.dirname(os.path.dirname(folder))
    for other in partition_directories(os.path.dirname(topics)):
        candidate = os.path.join(other, os.path.basename(path))
        if other != folder and os.path.exists(candidate):
            shutil.copyfile(candidate, path)
            return None
    return False


DAMAGES = (flip, zero, truncate, delete, swap, stranger)


# --- what must hold


class Report:
    def __init__(self):
        self.cases = self.whole = self.named = self.refused = 0
        self.problems = []

    def problem(self, text):
        self.problems.append(text)


def read_all(broker, topic, partition):
    """({offset: value}, the error that ended the reading or None)."""
    held = {}
    try:
        with Connection(broker.address) as connection:
            start = connection.list_offset(topic, partition, EARLIEST)
            end = connection.list_offset(topic, partition, LATEST)
            for offset, value in connection.read(topic, partition, start, end):
                held[offset] = value
    except (Refused, Gone) as error:
        return held, error
    return held, None


def examine(apus, data, known, targets, what, report):
    """Starts on a damaged directory and holds what is served against what was written."""
    report.cases += 1
    report.whole += not targets
    broker = Broker(apus, data)
    try:
        broker.start()
    except StartFailed as failure:
        report.refused += 1
        report.problem(f"{what}: the whole broker does not start: {str(failure)[-300:]}")
        return
    try:
        for (topic, partition), values in known.items():
            held, error = read_all(broker, topic, partition)
            wrong = [offset for offset, value in held.items() if values.get(offset) != value]
            if wrong:
                report.problem(f"{what}: {topic}[{partition}]@{wrong[0]} was served damaged")
            if (topic, partition) not in targets:
                if error or len(held) != len(values):
                    report.problem(
                        f"{what}: {topic}[{partition}], untouched, serves {len(held)} of {len(values)}; {error}"
                    )
            elif error is None and len(held) != len(values):
                gone(broker, (topic, partition), what, len(values) - len(held), report)
            elif error is None:
                report.whole += 1
            else:
                report.named += 1
                if isinstance(error, Gone):
                    report.problem(f"{what}: a closed connection instead of an error: {error}")
                still_named(broker, (topic, partition), what, values, report)
    except (ValueError, StartFailed) as error:
        report.problem(f"{what}: {error}")
    finally:
        if not broker.alive():
            report.problem(f"{what}: the process ended: {broker.said()[-300:]}")
        broker.kill()


def still_named(broker, target, what, values, report):
    """A start after a crash knows less than one after a clean stop. It must not take the damage for a torn end."""
    broker.kill()
    broker.start()
    held, error = read_all(broker, *target)
    if error is None and len(held) != len(values):
        report.problem(f"{what}: {len(values) - len(held)} records are gone in silence after a crash")
    if any(values.get(offset) != value for offset, value in held.items()):
        report.problem(f"{what}: served damaged after a crash")


def gone(broker, target, what, count, report):
    """The log ends early. It must say so, and give no offset a second time: now, after a crash, after a clean stop."""
    for when, end in (("", None), (" after a crash", broker.kill), (" after a clean stop", broker.stop)):
        if end:
            end()
            broker.start()
        if not refuses(broker, target):
            report.problem(f"{what}: {count} records are gone in silence{when}")
            return
    report.named += 1


def refuses(broker, target):
    """Whether a partition takes no record because of damage, by name."""
    try:
        with Connection(broker.address) as connection:
            connection.produce(*target, [b"after"])
    except Refused as error:
        return error.code == 56 and "damage" in broker.said()
    return False


def damage_files(apus, baseline, known, work, dice, report, when=""):
    target = (TOPIC, 0)
    folder = os.path.relpath(directory_of(baseline, *target), baseline)
    names = sorted(os.listdir(os.path.join(baseline, folder)))
    newest = [name for name in names if name.endswith(".segment")][-1]
    for name in names:
        for damage in DAMAGES:
            data = os.path.join(work, "data")
            shutil.copytree(baseline, data)
            if damage(os.path.join(data, folder, name), dice) is not False:
                called = "the newest segment" if name == newest else name
                examine(apus, data, known, {target}, f"{damage.__name__} {called}{when}", report)
            shutil.rmtree(data)
    whole = (
        ("the partition's directory deleted", folder, {target}),
        ("its topic's directory deleted", os.path.dirname(folder), {(TOPIC, n) for n in range(PARTITIONS)}),
        ("all topics deleted", "topics", set(known)),
    )
    for what, path, targets in whole:
        data = os.path.join(work, "data")
        shutil.copytree(baseline, data)
        shutil.rmtree(os.path.join(data, path))
        examine(apus, data, known, targets, what + when, report)
        shutil.rmtree(data)


def damage_ends(apus, baseline, known, work, dice, report):
    """The list of ends is a help, never a need: without a whole one, or with an old one, nothing is missing."""
    ends = os.path.join(baseline, "ends")
    for damage in (flip, zero, truncate, delete):
        data = os.path.join(work, "data")
        shutil.copytree(baseline, data)
        damage(os.path.join(data, "ends"), dice)
        examine(apus, data, known, set(), f"{damage.__name__} the list of ends", report)
        shutil.rmtree(data)
    data = os.path.join(work, "data")
    shutil.copytree(baseline, data)
    later = {place: dict(values) for place, values in known.items()}
    produce_later(apus, data, later)
    shutil.copy(ends, os.path.join(data, "ends"))
    examine(apus, data, later, set(), "the list of ends of an earlier life", report)
    shutil.rmtree(data)


def produce_later(apus, data, known, crash=False):
    """Another life, which ends in order or by a kill."""
    broker = Broker(apus, data)
    try:
        broker.start()
        with Connection(broker.address) as connection:
            offset = connection.produce(STEADY, 0, [b"later"])
            known[STEADY, 0][offset] = b"later"
        if not crash:
            broker.stop()
    finally:
        broker.kill()


def after_a_crash(apus, baseline, work, known):
    """A data directory whose last life was killed, and wrote to one partition only; with what is in it."""
    data = os.path.join(work, "crashed")
    shutil.copytree(baseline, data)
    later = {place: dict(values) for place, values in known.items()}
    produce_later(apus, data, later, crash=True)
    return data, later


# --- directories that must be refused


def refusals(apus, baseline, work, report):
    strange = os.path.join(work, "strange")
    prepare(apus, strange)
    names = {kind: find(baseline, kind) for kind in ("json", "store.sqlite")}
    cases = [
        ("the identity of another broker", lambda data: shutil.copy(find(strange, "json"), find(data, "json"))),
        ("the store of another cluster", lambda data: replace_store(strange, data)),
        ("topics without an identity", lambda data: os.remove(find(data, "json"))),
        ("topics without a store", lambda data: remove_store(data)),
        ("an identity of zeros", lambda data: overwrite(find(data, "json"), b"\0" * 100)),
        ("a store of zeros", lambda data: overwrite(find(data, "store.sqlite"), b"\0" * 8192)),
        ("a format of the future", lambda data: future(find(data, "json"))),
        ("another owner", lambda data: hand_over(data)),
        ("a file instead of a directory", lambda data: (shutil.rmtree(data), overwrite(data, b"x"))),
        ("somebody else's directory", lambda data: (empty(data), overwrite(os.path.join(data, "photo.jpg"), b"x"))),
        ("an empty mount point", empty, "--data-must-exist"),
        ("a directory that is gone", shutil.rmtree, "--data-must-exist"),
    ]
    for what, change, *extra in cases:
        if None in names.values():
            report.problem(f"no identity or no store found in {os.listdir(baseline)}")
            break
        data = os.path.join(work, "data")
        shutil.copytree(baseline, data)
        change(data)
        before = listing(data)
        must_refuse(Broker(apus, data, extra=extra), what, report)
        if listing(data) != before:
            report.problem(f"{what}: refused, and yet changed: {sorted(set(listing(data)) ^ set(before))}")
        discard(data)
    data = os.path.join(work, "data")
    shutil.copytree(baseline, data)
    second_instance(apus, data, report)
    taken_port(apus, data, report)
    shutil.rmtree(data)


def empty(data):
    shutil.rmtree(data)
    os.mkdir(data)


def discard(data):
    if os.path.isdir(data):
        shutil.rmtree(data)
    elif os.path.exists(data):
        os.remove(data)


def listing(data):
    """Every file below with its size; the lock may come and go."""
    if not os.path.isdir(data):
        return [os.path.exists(data)]
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(data) for name in names)
    return sorted((os.path.relpath(path, data), os.path.getsize(path)) for path in paths if not path.endswith("/lock"))


def find(data, suffix):
    found = [name for name in sorted(os.listdir(data)) if name.endswith(suffix)]
    return os.path.join(data, found[0]) if found else None


def overwrite(path, content):
    with open(path, "wb") as file:
        file.write(content)


def remove_store(data):
    for name in os.listdir(data):
        if ".sqlite" in name:
            os.remove(os.path.join(data, name))


def replace_store(source, data):
    remove_store(data)
    for name in os.listdir(source):
        if ".sqlite" in name:
            shutil.copy(os.path.join(source, name), os.path.join(data, name))


def future(path):
    """Raises every version number in the identity, whatever its key is called."""
    with open(path) as file:
        text = file.read()
    overwrite(path, re.sub(r'("[^"]*(?:ersion|ormat)[^"]*"\s*:\s*)\d+', r"\g<1>9999", text).encode())


def hand_over(data):
    for folder, folders, files in os.walk(data):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), 65534, 65534)
    os.chown(data, 65534, 65534)


def must_refuse(broker, what, report):
    report.cases += 1
    code, said = broker.run_to_end(deadline=60)
    lines = [line for line in said.splitlines() if line.strip()]
    if code is None:
        report.problem(f"{what}: served instead of refused")
    elif code == 0 or code < 0 or code >= 128:
        report.problem(f"{what}: ended with {code}: {said[-300:]}")
    elif not lines or len(lines) > REFUSAL_LINES_MAX:
        report.problem(f"{what}: {len(lines)} lines instead of a clear one: {said[:300]}")
    else:
        report.refused += 1


def second_instance(apus, data, report):
    first = Broker(apus, data)
    first.start()
    try:
        must_refuse(Broker(apus, data), "a second instance", report)
        with Connection(first.address) as connection:
            connection.produce(STEADY, 0, [b"still here"])
    except (Gone, Refused) as error:
        report.problem(f"a second instance: hurt the first: {error}")
    finally:
        first.kill()


def taken_port(apus, data, report):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        must_refuse(Broker(apus, data, port=taken.getsockname()[1]), "a port that is taken", report)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=1, help="how often every file is damaged, each time elsewhere")
    options.add_argument("--seed", type=int, default=7)
    arguments = options.parse_args()
    work, report = tempfile.mkdtemp(prefix="apus-atrest-"), Report()
    baseline, dice = os.path.join(work, "baseline"), random.Random(arguments.seed)
    try:
        known = prepare(arguments.apus, baseline)
        crashed, later = after_a_crash(arguments.apus, baseline, work, known)
        for _ in range(arguments.cycles):
            damage_files(arguments.apus, baseline, known, work, dice, report)
            damage_files(arguments.apus, crashed, later, work, dice, report, ", after a crash")
            damage_ends(arguments.apus, baseline, known, work, dice, report)
        refusals(arguments.apus, baseline, work, report)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(
        f"atrest: {report.cases} cases: {report.whole} repaired or harmless, {report.named} answered by a named error, "
        f"{report.refused} refused to start, {len(report.problems)} failed"
    )
    for problem in report.problems:
        print("  " + problem)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
