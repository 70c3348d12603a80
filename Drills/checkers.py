"""Faults planted into what the drills look at: every checker must find its own, and a clean history must pass.

A checker that cannot fail is worth nothing, and a broker that keeps its promises never shows whether one can.
"""

import argparse
import struct
import sys
from array import array

from ledger import Counts, Ledger
from membership import Group
from values import identify, identity, value_of
from wire import decode_batches, encode_batch


def history(change=lambda kept, acks: None, ends=None, witnessed=()):
    """Two producers write ten batches of three records in turn; the counts, after `change` had its way with what the
    partition keeps (identities by offset) and what was acknowledged ([offset, producer, first, count, sent, at])."""
    counts, kept, acks = Counts(), [], []
    ledger = Ledger("planted", counts)
    for n in range(10):
        producer, first = n % 2, n // 2 * 3
        acks.append([len(kept), producer, first, 3, float(n), n + 0.5])
        kept += [identity(producer, first + k) for k in range(3)]
    change(kept, acks)
    for ack in acks:
        ledger.promise(*ack)
    for offset, numbers in witnessed:
        ledger.witness(offset, array("Q", numbers))
    for number in kept:
        ledger.saw(number)
    ledger.settle()
    for end, again in ends or ((len(kept), kept),):
        ledger.ends_at(end)
        for offset, number in enumerate(again[:end]):
            ledger.again(offset, number)
    ledger.check_time()
    return counts


def swap(values, a, b):
    values[a], values[b] = values[b], values[a]


def lose_the_end(kept, _):
    del kept[-2:]


def lose_the_middle(kept, _):
    del kept[12:15]


def forge(kept, _):
    kept[4] = identity(7, 7)


def double(kept, _):
    kept += kept[:3]


def turn_around(kept, _):
    swap(kept, 3, 4)


def give_twice(_, acks):
    acks[4][0] = acks[3][0]


def give_elsewhere(_, acks):
    acks[2][0] = 9


def nowhere(_, acks):
    acks[2][0] = -1


def late(_, acks):
    acks[2][4:] = (30.0, 31.0)  # sent when all others were acknowledged, and yet in front of most


def read_differently():
    """The partition kept its length, and offset 20 holds another record than when it was first read."""
    numbers = []
    history(lambda kept, _: numbers.extend(kept))
    numbers[20] = identity(0, 999)
    return history(ends=((30, numbers),))


PLANTED = (
    ("the newest records are lost", lambda: history(lose_the_end), "lost"),
    ("a batch in the middle is lost", lambda: history(lose_the_middle), "lost"),
    ("another record stands there", lambda: history(forge), "lost"),
    ("a batch stands there twice", lambda: history(double), "duplicates"),
    ("two records of a producer changed places", lambda: history(turn_around), "disorder"),
    ("one offset was given to two batches", lambda: history(give_twice), "disagreeing"),
    ("an acknowledgment names another offset", lambda: history(give_elsewhere), "disagreeing"),
    ("an acknowledgment names no offset", lambda: history(nowhere), "disagreeing"),
    ("a record overtook one that was acknowledged before", lambda: history(late), "disorder"),
    ("a record that was read is gone", lambda: history(ends=((29, []),)), "lost"),
    ("what a reader was served is gone", lambda: history(witnessed=((30, [identity(1, 15)]),)), "lost"),
    ("a reader was served something else", lambda: history(witnessed=((0, [identity(1, 15)]),)), "disagreeing"),
    ("an offset reads differently later", read_differently, "disagreeing"),
)


def damaged(value, partition=0):
    return lambda: identify(value, partition)


def batch_with(at, replacement):
    data = bytearray(encode_batch([value_of(1, 0, n) for n in range(5)]))
    data[at : at + len(replacement)] = replacement
    return lambda: list(decode_batches(bytes(data)))


REFUSED = (
    ("a value of another partition", damaged(value_of(1, 2, 3), 1)),
    ("a value cut short", damaged(value_of(1, 0, 3)[:-1])),
    ("a value with another letter", damaged(value_of(1, 0, 3)[:-1] + b"~")),
    ("a value of nobody", damaged(b"hello")),
    ("a flipped bit in a record", batch_with(100, b"\xff")),
    ("another count in a batch", batch_with(57, struct.pack(">i", 4))),
)


def group_history(*changes):
    """Two members of a group that share two partitions; then b leaves and a has both. Problems, and records unread."""
    lines = [
        ("a", "assign", {"p": [0], "own": [0], "g": 1}),
        ("b", "assign", {"p": [1], "own": [1], "g": 1}),
        ("a", "read", {"r": {"0": [0, 9]}}),
        ("a", "commit", {"r": {"0": 10}}),
        ("b", "read", {"r": {"1": [0, 4]}}),
        ("b", "commit", {"r": {"1": 5}}),
        ("b", "read", {"r": {"1": [5, 9]}}),
        ("b", "closed", {}),
        ("a", "assign", {"p": [1], "own": [0, 1], "g": 2}),
        ("a", "read", {"r": {"1": [5, 9]}}),
        ("a", "commit", {"r": {"1": 10}}),
    ]
    for at, line in changes:
        lines[at] = line
    group = Group("nowhere:0", "planted", "t", 2)
    for at, (name, event, more) in enumerate(lines):
        group.heard({"n": name, "at": float(at), "e": event, **more})
    verdict = group.verdict()
    return verdict.problems, verdict.missing([10, 10])[0]


OF_GROUPS = (
    ("a partition has two owners", lambda: group_history((7, ("b", "revoke", {"p": [], "own": [1]})))[0]),
    ("a member begins before a commit", lambda: group_history((9, ("a", "read", {"r": {"1": [3, 9]}})))[0]),
    ("a member passes over records", lambda: group_history((9, ("a", "read", {"r": {"1": [11, 12]}})))[0]),
    ("a member jumps", lambda: group_history((6, ("b", "read", {"r": {"1": [6, 9]}})))[0]),
    (
        "records that nobody read",
        lambda: group_history((6, ("b", "commit", {"r": {"1": 5}})), (9, ("a", "read", {"r": {"1": [5, 7]}})))[1],
    ),
)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cycles", type=int, default=1, help="unused; nothing here is random")
    options.parse_args()
    problems = []
    clean = history(witnessed=((3, [identity(1, n) for n in range(3)]),))
    if not clean.clean or clean.acknowledged != 30:
        problems.append(f"a clean history is blamed: {clean.verdict()}")
    for what, plant, name in PLANTED:
        counts = plant()
        if getattr(counts, name) == 0 or counts.clean:
            problems.append(f"{what}: not found as {name}: {counts.verdict()}")
    for what, call in REFUSED:
        try:
            call()
        except ValueError:
            continue
        problems.append(f"{what}: taken as good")
    if group_history() != ([], 0):
        problems.append(f"a clean history of a group is blamed: {group_history()}")
    for what, plant in OF_GROUPS:
        if not plant():
            problems.append(f"{what}: not found")
    planted = len(PLANTED) + len(REFUSED) + len(OF_GROUPS)
    print(f"checkers: {planted} faults planted, {planted - len(problems)} found, a clean history passes")
    for problem in problems:
        print("  " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
