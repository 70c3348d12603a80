"""A real text corpus through kcat and back, with every codec, and through `apus pub` and `apus sub`: same checksum."""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from broker import Broker
from wire import Connection

STEP_SECONDS_MAX = 300
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
APT_HELPER = "/usr/lib/apt/apt-helper"


def gather(path, megabytes):
    """Writes package lists, and where there are none the documentation of the system, until there is enough."""
    lists = sorted(glob.glob("/var/lib/apt/lists/*_Packages*"))
    pages = sorted(glob.glob("/usr/share/common-licenses/*") + glob.glob("/usr/share/perl/**/*.p[ml]", recursive=True))
    limit, written = megabytes << 20, 0
    with open(path, "wb") as corpus:
        while written < limit:
            before = written
            for source in lists if lists and os.path.exists(APT_HELPER) else pages:
                text = (
                    subprocess.run((APT_HELPER, "cat-file", source), capture_output=True).stdout
                    if lists
                    else slurp(source)
                )
                text = re.sub(rb"\n{2,}", b"\n", text.strip(b"\n") + b"\n")  # kcat passes over empty lines
                text = text[: limit - written + 200]
                text = text[: text.rfind(b"\n") + 1]
                written += corpus.write(text)
                if written >= limit:
                    break
            if written == before:
                raise SystemExit("corpus: no text found on this machine")
    return written


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def through(produce, consume, corpus, back):
    began = time.monotonic()
    with open(corpus, "rb") as source:
        subprocess.run(produce, stdin=source, check=True, timeout=STEP_SECONDS_MAX)
    middle = time.monotonic()
    with open(back, "wb") as sink:
        subprocess.run(consume, stdout=sink, check=True, timeout=STEP_SECONDS_MAX)
    return checksum(back), middle - began, time.monotonic() - middle


def kcat(address, topic, codec):
    base = ["kcat", "-q", "-b", address, "-t", topic, "-p", "0"]
    return (
        base
        + ["-P", "-z", codec, "-X", "acks=all", "-X", "linger.ms=20", "-X", "queue.buffering.max.messages=1000000"],
        base + ["-C", "-o", "beginning", "-e"],
    )


def apus(program, address, topic):
    return (
        [program, "pub", topic, "-", "--server", address, "-q"],
        [program, "sub", topic, "--server", address, "--from", "start", "-e", "-f", "%v\\n"],
    )


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--cycles", type=int, default=1, help="unused; every codec once")
    arguments = options.parse_args()
    if not shutil.which("kcat"):
        print("corpus: SKIPPED: needs kcat")
        return 0
    work = tempfile.mkdtemp(prefix="apus-corpus-")
    corpus, back = os.path.join(work, "corpus"), os.path.join(work, "back")
    size = gather(corpus, arguments.megabytes)
    expected = checksum(corpus)
    print(f"corpus {size / 1e6:.1f} MB, sha256 {expected[:16]}")
    broker = Broker(arguments.apus, os.path.join(work, "data"))
    equal = 0
    address = f"127.0.0.1:{broker.port}"
    ways = [(f"kcat {codec}", kcat(address, f"text-{codec}", codec)) for codec in CODECS]
    ways.append(("apus pub, apus sub", apus(arguments.apus, address, "text-apus")))
    try:
        broker.start()
        with Connection(broker.address) as connection:
            for codec in (*CODECS, "apus"):
                connection.create_topic(f"text-{codec}", 1)
        for name, (produce, consume) in ways:
            found, there, home = through(produce, consume, corpus, back)
            equal += found == expected
            print(
                f"  {name:20} {'equal' if found == expected else 'DIFFERENT'}  there {there:.1f} s, back {home:.1f} s"
            )
    finally:
        broker.kill()
        shutil.rmtree(work, ignore_errors=True)
    print(f"corpus: {equal} of {len(ways)} ways gave the same checksum")
    return 0 if equal == len(ways) else 1


if __name__ == "__main__":
    sys.exit(main())
