"""Members of a group, each told apart by name, and a ledger of what they said: who had which partition when, what was
read, what was committed, and whether all of that fits together."""

import json
import os
import subprocess
import sys
import threading
import time

from wire import Connection, Gone, Refused

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE = 180.0


class Process:
    """One `member.py` with one or more members."""

    def __init__(self, group, names, arguments):
        self.group, self.names = group, names
        command = [sys.executable, os.path.join(HERE, "member.py"), *arguments]
        for name in names:
            command += ["--name", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.stderr = []
        self.threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._hear_errors, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def _listen(self):
        for line in self.process.stdout:
            self.group.heard(json.loads(line))

    def _hear_errors(self):
        for line in self.process.stderr:
            self.stderr = [*self.stderr[-20:], line.rstrip()]

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        """kill -9; returns when all that it said is known."""
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        self.group.died(self.names)

    def end(self, deadline=DEADLINE):
        """All its members leave; it must end by itself, and well."""
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.names} did not leave within {deadline} s") from None
        for thread in self.threads:
            thread.join()
        if code != 0:
            raise RuntimeError(f"{self.names} ended with {code}: {self.stderr[-5:]}")


class Group:
    """The members of one group, and what they said so far."""

    def __init__(self, address, group, topic, partitions, client="confluent-kafka", **settings):
        self.address, self.name, self.topic, self.partitions = address, group, topic, partitions
        self.client, self.settings = client, settings
        self.changed = threading.Condition()
        self.processes = {}
        self.alive = set()
        self.own = {}  # member: set of partitions
        self.lines = []
        self.errors = {}
        self.records = 0

    # --- who is in it

    def add(self, *names, **more):
        """Starts a process with these members."""
        settings = {**self.settings, **more}
        arguments = ["--client", self.client, "--address", self.address, "--group", self.name, "--topic", self.topic]
        for key, value in settings.items():
            flag = "--" + key.replace("_", "-")
            if value is True:
                arguments.append(flag)
            elif value not in (None, False):
                arguments += [flag, str(value)]
        with self.changed:
            self.alive |= set(names)
            for name in names:
                self.own[name] = set()
        process = Process(self, names, arguments)
        for name in names:
            self.processes[name] = process
        return process

    def close(self, name):
        """A member leaves in good order; the others of its process stay."""
        self.processes[name].say(f"close {name}")
        self.wait(lambda: name not in self.alive, f"{name} leaves")

    def end(self):
        for process in set(self.processes.values()):
            if process.process.poll() is None:
                process.end()

    def kill_all(self):
        for process in set(self.processes.values()):
            if process.process.poll() is None:
                process.kill()

    # --- what they say

    def heard(self, line):
        with self.changed:
            self.lines.append(line)
            name, event = line["n"], line["e"]
            if "own" in line:
                self.own[name] = set(line["own"])
            if event == "read":
                self.records += sum(last - first + 1 for first, last in line["r"].values())
            elif event in ("refused", "error"):
                self.errors[line["why"]] = self.errors.get(line["why"], 0) + 1
            elif event == "closed":
                self._gone(name)
            self.changed.notify_all()

    def died(self, names):
        with self.changed:
            for name in names:
                if name in self.alive:
                    self.lines.append({"n": name, "at": time.monotonic(), "e": "killed"})
                    self._gone(name)
            self.changed.notify_all()

    def _gone(self, name):
        self.alive.discard(name)
        self.own[name] = set()

    def count(self, *events, since=0):
        """How many events of these kinds there were, from the line with this number on."""
        return sum(line["e"] in events for line in self.lines[since:])

    # --- what can be waited for

    def wait(self, condition, what, deadline=DEADLINE):
        """Until a condition on what was said holds; woken by every line."""
        end = time.monotonic() + deadline
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                dead = [n for n in self.alive if n in self.processes and self.processes[n].process.poll() is not None]
                if left <= 0 or dead:
                    owned = {name: sorted(self.own[name]) for name in sorted(self.alive)}
                    said = [self.processes[name].stderr[-3:] for name in dead]
                    raise TimeoutError(
                        f"not within {deadline} s: {what}; owned {owned}, errors {self.errors}, dead {dead} {said}"
                    )
                self.changed.wait(min(left, 1.0))

    def is_settled(self):
        """Every partition has one owner among the living, and none has much more than another."""
        owned = [partition for name in self.alive for partition in self.own[name]]
        counts = [len(self.own[name]) for name in self.alive]
        return sorted(owned) == list(range(self.partitions)) and max(counts) - min(counts) <= 1

    def settle(self, what, deadline=DEADLINE):
        self.wait(self.is_settled, what, deadline)

    def commit_all(self, ends, what, deadline=DEADLINE):
        """Until the broker has everything before `ends`, [end of each partition], as committed.

        The broker is asked: a member that was killed may have committed what it had no time to tell."""
        end = time.monotonic() + deadline
        while True:
            positions = self.positions()
            if all(map(int.__ge__, positions, ends)):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"not within {deadline} s: {what}; positions {positions}, errors {self.errors}")
            with self.changed:
                self.changed.wait(0.2)

    def positions(self):
        """What the broker has, [offset of each partition]; −1 where there is none, or nobody answers now."""
        host, port = self.address.rsplit(":", 1)
        try:
            with Connection((host, int(port)), timeout=30) as connection:
                found = connection.positions(self.name, self.topic, range(self.partitions))
        except (Gone, Refused):
            return [-1] * self.partitions
        return [found.get(partition, (-1, ""))[0] for partition in range(self.partitions)]

    def verdict(self):
        return Verdict(self)


class Holding:
    """One member's time with one partition, and what it reads next there."""

    __slots__ = ("member", "generation", "since", "next")

    def __init__(self, member, generation, since):
        self.member, self.generation, self.since, self.next = member, generation, since, None


class Verdict:
    """All that was said, once more in the order of the machine's clock: what does not fit together is a problem.

    At any time a partition has one owner, unless the one before has lost it without knowing. Whoever gets it goes on
    behind everything that was committed before it got it, and passes over nothing that nobody read."""

    def __init__(self, group):
        self.problems, self.late, self.losses = [], 0, 0
        self.holdings = {}  # partition: the holding that is open
        self.read = [[] for _ in range(group.partitions)]
        self.commits = [[(float("-inf"), 0, "nobody")] for _ in range(group.partitions)]  # (when, offset, who)
        self.read_end = [0] * group.partitions
        self.members = {line["n"] for line in group.lines if line["e"] == "assign"}
        self.records = group.records
        self.commit_count, self.refused = group.count("commit"), group.count("refused")
        for line in sorted(group.lines, key=lambda line: line["at"]):
            event = getattr(self, "_" + line["e"], None)
            if event:
                event(line["n"], line["at"], line)

    def _assign(self, name, at, line):
        for partition in line["p"]:
            held = self.holdings.get(partition)
            if held and held.member != name:
                self.problems.append(
                    f"[{partition}] is given to {name} (generation {line['g']}) while {held.member} "
                    f"(generation {held.generation}) has it"
                )
            self.holdings[partition] = Holding(name, line["g"], at)

    def _revoke(self, name, at, line):
        self._let_go(name, line["p"])

    def _lost(self, name, at, line):
        self.losses += 1
        self._let_go(name, line["p"])

    def _killed(self, name, at, line):
        self._let_go(name, list(self.holdings))

    _closed = _killed

    def _let_go(self, name, partitions):
        for partition in partitions:
            held = self.holdings.get(partition)
            if held and held.member == name:
                del self.holdings[partition]

    def _read(self, name, at, line):
        for partition, (first, last) in line["r"].items():
            partition = int(partition)
            self.read[partition].append((first, last))
            held = self.holdings.get(partition)
            if not held or held.member != name:
                self.late += 1  # what a poll had in hand when the partition went
            elif held.next is None:
                self._begins(partition, held, first)
            elif first != held.next:
                self.problems.append(f"[{partition}] {name} goes on at {first}, not at {held.next}")
            if held and held.member == name:
                held.next = last + 1
            self.read_end[partition] = max(self.read_end[partition], last + 1)

    def _begins(self, partition, held, first):
        _, offset, who = max(
            (commit for commit in self.commits[partition] if commit[0] < held.since), key=lambda commit: commit[1]
        )
        if first < offset:
            self.problems.append(
                f"[{partition}] {held.member} (generation {held.generation}) begins at {first}, "
                f"though {who} had committed {offset} before"
            )
        elif first > self.read_end[partition]:
            passed = self.read_end[partition]
            self.problems.append(f"[{partition}] {held.member} begins at {first}, and nobody read {passed}")

    def _commit(self, name, at, line):
        for partition, offset in line["r"].items():
            self.commits[int(partition)].append((at, offset, name))

    def missing(self, ends):
        """Records that nobody read, and how often one was read again."""
        unread = again = 0
        for end, spans in zip(ends, self.read, strict=True):
            seen = bytearray(end)
            for first, last in spans:
                again += sum(seen[first : last + 1])
                seen[first : last + 1] = b"\1" * (last + 1 - first)
            unread += end - sum(seen[:end])
        return unread, again
