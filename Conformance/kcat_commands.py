"""kcat as people type it: list, produce, keys, headers, codecs, tail, JSON, auto-created topics."""

import json

from harness import Confluent, kcat, run

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def body(checks, address, _):
    checks.part("list", listing, checks, address)
    checks.part("first message", first_message, checks, address)
    for codec in CODECS:
        checks.part(codec, lines_with, checks, address, codec)
    checks.part("keys and headers", keys_and_headers, checks, address)
    checks.part("tail", tail, checks, address)


def listing(checks, address):
    Confluent.create(address, "listed", 3)
    told = json.loads(kcat(address, "-L", "-J"))
    listed = {topic["topic"]: len(topic["partitions"]) for topic in told["topics"]}
    checks.equal("partitions of the listed topic", listed.get("listed"), 3)
    checks.equal("brokers", len(told["brokers"]), 1)
    checks.equal("leaders", {p["leader"] for t in told["topics"] for p in t["partitions"]}, {told["brokers"][0]["id"]})


def first_message(checks, address):
    """Nothing was created before: the broker does it, as newcomers expect."""
    kcat(address, "-P", "-t", "hello", data=b"hi\n")
    checks.equal("the first message", kcat(address, "-C", "-t", "hello", "-o", "beginning", "-e"), b"hi\n")


def lines_with(checks, address, codec):
    topic = f"lines-{codec}"
    lines = b"".join(b"line %d %s\n" % (n, b"again and " * (n % 50)) for n in range(5000))
    kcat(address, "-P", "-t", topic, "-p", "0", "-z", codec, "-X", "linger.ms=10", data=lines)
    back = kcat(address, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e")
    checks.equal(f"5000 lines through {codec}", back == lines, True)


def keys_and_headers(checks, address):
    kcat(address, "-P", "-t", "keyed", "-p", "0", "-K", ":", "-H", "a=1", "-H", "b=2", data=b"k1:v1\nk2:v2\n")
    told = kcat(address, "-C", "-t", "keyed", "-p", "0", "-o", "beginning", "-e", "-J").splitlines()
    seen = [(m["offset"], m["key"], m["payload"], m["headers"]) for m in map(json.loads, told)]
    checks.equal("keyed", seen, [(0, "k1", "v1", ["a", "1", "b", "2"]), (1, "k2", "v2", ["a", "1", "b", "2"])])


def tail(checks, address):
    kcat(address, "-P", "-t", "tailed", "-p", "0", data=b"".join(b"%d\n" % n for n in range(100)))
    checks.equal(
        "the last 5",
        kcat(address, "-C", "-t", "tailed", "-p", "0", "-o", "-5", "-e").split(),
        [b"95", b"96", b"97", b"98", b"99"],
    )
    one = kcat(address, "-C", "-t", "tailed", "-p", "0", "-o", "42", "-c", "1")
    checks.equal("one at 42", one, b"42\n")


run("kcat", body)
