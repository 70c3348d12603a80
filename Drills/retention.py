"""Retention set by the consumer, on a real broker with small periods: what each subscription may read, what stays on the
disk, who holds it. Prints what a person would see, and holds it against what must be.

    python3 Drills/retention.py [--apus .build/release/apus]

Three stories: two periods on one topic; `consumed` mode with three groups, one of which dies; a disk that a dead reader
can not pin past the ceiling. Nothing is waited for blindly: every step polls until its condition holds, or ends with 1.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from broker import Broker

DEADLINE = 150.0


class Story:
    def __init__(self, apus, broker):
        self.apus, self.server, self.data, self.problems = apus, f"127.0.0.1:{broker.port}", broker.data, []

    def run(self, *words, show=True, fails=False):
        done = subprocess.run(
            [self.apus, *words, "--server", self.server], capture_output=True, text=True, timeout=120
        )
        if show:
            print(f"$ apus {' '.join(words)}")
            print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="", flush=True)
        if (done.returncode == 0) == fails:
            self.problems.append(f"apus {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "-o", "json", show=False) or "null")

    def until(self, what, holds):
        began = time.monotonic()
        while time.monotonic() - began < DEADLINE:
            found = holds()
            if found:
                print(f"  ✓ {what} (after {time.monotonic() - began:.0f} s)", flush=True)
                return found
            time.sleep(0.5)
        self.problems.append(f"never came: {what}")
        print(f"  ✗ {what}", flush=True)
        return None

    def must(self, what, holds):
        print(f"  {'✓' if holds else '✗'} {what}", flush=True)
        if not holds:
            self.problems.append(what)

    def start_of(self, topic):
        return int(self.json("topic", "offsets", topic)[0]["start"])

    def bytes_of(self, topic_id):
        """What the segment files of a topic take on the file system, holes not counted."""
        folder = os.path.join(self.data, "topics", topic_id, "0")
        return sum(
            os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder)
        )

    def describe(self, topic):
        return self.json("topic", "describe", topic)

    def write(self, topic, count, size=2000):
        lines = "".join(f"{n}-{'x' * size}\n" for n in range(count))
        subprocess.run(
            [self.apus, "pub", topic, "--server", self.server], input=lines, capture_output=True, text=True,
            check=True, timeout=120,
        )


def two_periods(story):
    print("\n== Two periods on one topic: 8 s and 40 s in place of an hour and a day")
    story.run("topic", "create", "orders", "--partitions", "1", "--config", "retention.ms=1s", "--config",
              "segment.bytes=16KiB", "--config", "segment.ms=1s")
    story.run("subscription", "create", "hourly", "--topic", "orders", "--period", "8s", "--owner", "ann")
    story.run("subscription", "create", "daily", "--topic", "orders", "--period", "40s", "--owner", "bob")
    topic_id = story.describe("orders")["id"]
    story.write("orders", 100)
    written = story.bytes_of(topic_id)
    story.until("after 8 s both are there still, and only the day holds what is older",
                lambda: (lambda d: len(d) == 2 and d["daily"]["held_bytes"] > 0 and d["hourly"]["held_bytes"] == 0)(
                    {h["subscription"]: h for h in story.describe("orders")["holders"]}))
    story.run("topic", "describe", "orders")
    story.must("nothing has left the disk", story.start_of("orders") == 0 and story.bytes_of(topic_id) >= written / 2)
    story.run("subscription", "rm", "daily", "--yes")
    story.until("with the day gone, the disk is given back", lambda: story.start_of("orders") >= 90)
    story.run("topic", "describe", "orders")
    print(f"  on the disk: {written} bytes before, {story.bytes_of(topic_id)} after")


def consumed(story):
    print("\n== Reading frees: three groups on one topic")
    story.run("topic", "create", "jobs", "--partitions", "1", "--config", "retention.ms=0", "--config",
              "segment.bytes=16KiB", "--config", "apus.retention.mode=consumed")
    topic_id = story.describe("jobs")["id"]
    for group in ("billing", "search", "stock"):
        story.run("subscription", "create", group, "--topic", "jobs", "--start", "start", "--expiry", "25s")
    story.write("jobs", 100)

    def seek(group, offset):
        story.run("subscription", "seek", group, "--to-offset", str(offset), "--execute", show=False)
        print(f"  {group} has read up to {offset}")

    whole = story.bytes_of(topic_id)
    seek("billing", 100)
    seek("search", 40)
    story.run("topic", "readers", "jobs", "--partition", "0", "--offset", "50")
    story.must("nothing has left the disk: stock has read nothing", story.start_of("jobs") == 0)
    seek("stock", 30)
    story.until("the disk shrinks to the slowest", lambda: story.start_of("jobs") == 30)
    some = story.bytes_of(topic_id)
    seek("stock", 80)
    story.until("and on, to the next slowest", lambda: story.start_of("jobs") == 40)
    fewer = story.bytes_of(topic_id)
    story.run("topic", "describe", "jobs")
    print("  search dies; the others go on")

    def alive():
        seek_quietly = ("subscription", "seek", "--to-offset", "100", "--execute")
        for group in ("billing", "stock"):
            story.run(*seek_quietly[:2], group, *seek_quietly[2:], show=False)
            # A position that stays is no commit: one back and forth is a sign of life.
            story.run("subscription", "seek", group, "--to-offset", "99", "--execute", show=False)
        return "search" not in [s["name"] for s in story.json("subscription", "ls", "--topic", "jobs")]

    story.until("search is removed after its expiry", alive)
    story.until("and holds nothing any more", lambda: story.start_of("jobs") >= 99)
    story.run("topic", "readers", "jobs", "--partition", "0", "--offset", "99")
    print(f"  on the disk: {whole} bytes, then {some}, then {fewer}, then {story.bytes_of(topic_id)}")


def ceiling(story):
    print("\n== A dead reader and the ceiling")
    story.run("topic", "create", "logs", "--partitions", "1", "--config", "retention.ms=0", "--config",
              "segment.bytes=16KiB", "--config", "apus.retention.mode=consumed", "--config",
              "apus.retention.ceiling.ms=10s")
    story.run("subscription", "create", "dead", "--topic", "logs")
    story.run("subscription", "create", "greedy", "--topic", "logs", "--period", "20s", fails=True)
    story.write("logs", 50)
    story.must("the dead reader holds all of it", story.start_of("logs") == 0)
    story.until("until the ceiling", lambda: story.start_of("logs") >= 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", default=".build/debug/apus")
    apus = os.path.abspath(parser.parse_args().apus)
    data = tempfile.mkdtemp(prefix="apus-retention-")
    broker = Broker(apus, os.path.join(data, "data"), extra=[
        "--options", "log.retention.check.interval.ms=1000,apus.subscription.grace.ms=0", "--loops", "1"])
    try:
        broker.start()
        story = Story(apus, broker)
        for part in (two_periods, consumed, ceiling):
            part(story)
    finally:
        broker.kill()
        shutil.rmtree(data, ignore_errors=True)
    for problem in story.problems:
        print(f"PROBLEM {problem}")
    print(f"retention: {'FAILED' if story.problems else 'ok'}")
    return 1 if story.problems else 0


if __name__ == "__main__":
    sys.exit(main())
