"""What producers were promised and what was read back, held against one another: the checkers of the drills.

A ledger looks at each record once, when it is first read, and at each acknowledgment once, at the next reading. It
keeps eight bytes for a record and 24 for a batch, so that a check costs the same at the thousandth cycle as at the
first.
"""

from array import array
from dataclasses import dataclass, field

from values import COUNTER_BITS, identity, told

NOTES_MAX = 20


@dataclass
class Counts:
    """What the checkers found, over all partitions and topics."""

    acknowledged: int = 0
    lost: int = 0  # acknowledged, or read once, and not there
    disagreeing: int = 0  # one offset, two records
    duplicates: int = 0  # one record, two offsets
    disorder: int = 0  # against the order of a producer, or against time
    unknown: int = 0  # never answered; may be there or not
    other: int = 0  # promises that are not about one record
    notes: list = field(default_factory=list)

    def note(self, text):
        if len(self.notes) < NOTES_MAX:
            self.notes.append(text)

    def wrong(self, text):
        self.other += 1
        self.note(text)

    @property
    def clean(self):
        return self.lost == self.disagreeing == self.duplicates == self.disorder == self.other == 0

    def verdict(self):
        text = (
            f"acknowledged {self.acknowledged:,}, lost {self.lost:,}, disagreeing {self.disagreeing}, "
            f"duplicates {self.duplicates}, out of order {self.disorder}, unknown {self.unknown}"
        )
        return text + (f", other promises broken {self.other}" if self.other else "")


class Ledger:
    """One partition of one topic."""

    def __init__(self, name, counts):
        self.name, self.counts = name, counts
        self.read = array("Q")  # the identity at each offset, as first read
        self.newest = {}  # producer → counter of the newest of its records that was read
        self.owed = []  # acknowledgments that came since the last reading
        self.witnessed = []  # what somebody else read since then: (offset, identities)
        self.kept = (array("q"), array("d"), array("d"))  # first offset, sent, acknowledged: of every batch found

    def promise(self, offset, producer, first, count, sent, acknowledged):
        """A batch was acknowledged: `count` records of a producer, from the counter `first`, stand at `offset`."""
        self.counts.acknowledged += count
        self.owed.append((offset, identity(producer, first), count, sent, acknowledged))

    def witness(self, offset, numbers):
        """Another client read these records at `offset`; from then on everybody must."""
        self.witnessed.append((offset, numbers))

    def ends_at(self, end):
        """The partition says where it ends; whatever was read behind that is gone."""
        gone = len(self.read) - end
        if gone <= 0:
            return
        self.counts.lost += gone
        self.counts.note(f"{self.name}: {gone} records from {end} ({told(self.read[end])}) were read before, are gone")
        del self.read[end:]
        self.newest = {}
        for number in self.read:
            self.newest[number >> COUNTER_BITS] = number & (1 << COUNTER_BITS) - 1
        rows = [row for row in zip(*self.kept) if row[0] < end]
        self.kept = tuple(array(kind, column) for kind, column in zip("qdd", zip(*rows) if rows else ((), (), ())))

    def saw(self, number):
        """The next record, read for the first time. A producer's counters grow in every partition."""
        producer, counter = number >> COUNTER_BITS, number & (1 << COUNTER_BITS) - 1
        newest = self.newest.get(producer, -1)
        if counter <= newest:
            try:
                before = self.read.index(number)
            except ValueError:
                self.counts.disorder += 1
                self.counts.note(f"{self.name}@{len(self.read)}: {told(number)} stands behind {producer}-{newest}")
            else:
                self.counts.duplicates += 1
                self.counts.note(f"{self.name}: {told(number)} is at {before} and at {len(self.read)}")
        else:
            self.newest[producer] = counter
        self.read.append(number)

    def settle(self):
        """Holds what was acknowledged, and what others read, against what stands there; call it when everything up to
        the end was read."""
        present = None
        for offset, first, count, sent, acknowledged in self.owed:
            expected = array("Q", range(first, first + count))
            found = self.read[offset : offset + count]
            if found == expected and offset >= 0:
                for column, value in zip(self.kept, (offset, sent, acknowledged)):
                    column.append(value)
            else:
                present = present or set(self.read)
                self.miss(offset, expected, found, present)
        self.owed.clear()
        for offset, numbers in self.witnessed:
            found = self.read[offset : offset + len(numbers)]
            if found != numbers:
                self.counts.lost += len(numbers) - len(found)
                self.counts.disagreeing += sum(a != b for a, b in zip(found, numbers))
                self.counts.note(
                    f"{self.name}@{offset}: {len(numbers)} records were served to a reader, {found[:1]} now"
                )
        self.witnessed.clear()

    def miss(self, offset, expected, found, present):
        for at, number in enumerate(expected):
            if at < len(found) and found[at] == number:
                continue
            holds = told(found[at]) if at < len(found) else "nothing"
            if number in present:
                self.counts.disagreeing += 1
            else:
                self.counts.lost += 1
            self.counts.note(f"{self.name}@{offset + at} was promised to {told(number)}, holds {holds}")

    def again(self, offset, number):
        """A record was read once more: everybody reads the same, for ever."""
        if self.read[offset] != number:
            self.counts.disagreeing += 1
            self.counts.note(f"{self.name}@{offset} read as {told(self.read[offset])}, then as {told(number)}")

    def check_time(self):
        """Nothing that was sent after the acknowledgment of another record may stand in front of it."""
        latest = float("-inf")
        for offset, sent, acknowledged in sorted(zip(*self.kept)):
            if acknowledged < latest:
                self.counts.disorder += 1
                self.counts.note(f"{self.name}@{offset} stands behind a record sent after its acknowledgment")
            latest = max(latest, sent)
