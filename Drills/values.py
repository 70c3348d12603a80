"""Record values that say whose they are: `<producer>-<partition>-<counter>-<filler>`.

Every value is made from its three numbers alone, so a record that is lost, doubled, moved or altered is seen, and one
number stands for it in memory.
"""

import functools
import random

COUNTER_BITS = 40  # of an identity; the producer is in the bits above


@functools.lru_cache(maxsize=64)
def filler_of(producer):
    dice = random.Random(producer)
    return bytes(dice.randrange(97, 122) for _ in range(1000))


def filler_length(counter):
    return 20 + counter * 7919 % 800


def value_of(producer, partition, counter):
    return b"%d-%d-%d-" % (producer, partition, counter) + filler_of(producer)[: filler_length(counter)]


def identity(producer, counter):
    return producer << COUNTER_BITS | counter


def told(number):
    """An identity in words."""
    return f"{number >> COUNTER_BITS}-{number & (1 << COUNTER_BITS) - 1}"


def identify(value, partition):
    """The identity of a value read from a partition; ValueError when no producer of ours wrote that value there."""
    try:
        producer, place, counter, filler = value.split(b"-", 3)
        producer, place, counter = int(producer), int(place), int(counter)
    except ValueError:
        raise ValueError(f"nobody wrote this into [{partition}]: {value[:40]!r}") from None
    if place != partition or filler != filler_of(producer)[: filler_length(counter)]:
        raise ValueError(f"[{partition}] serves a record that was altered or stands elsewhere: {value[:40]!r}")
    return producer << COUNTER_BITS | counter
