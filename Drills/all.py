"""Every drill against one executable; a table of what was found, and one closing line with the counts."""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DRILLS = (
    ("checkers.py",),
    ("kill.py",),
    ("powercut.py",),
    ("powercut.py", "--durability", "page-cache"),
    ("powercut-commits.py",),
    ("powercut-commits.py", "--compact"),
    ("groups.py", "--records", "100000"),
    ("ghost.py",),
    ("fsync-error.py",),
    ("fulldisk.py",),
    ("atrest.py",),
    ("hostile.py",),
    ("haproxy.py", "--records", "30000"),
)
WITHOUT_A_BROKER = ("checkers.py", "ghost.py")
CONTROL_CYCLES_MAX = 20  # the control only has to lose once
SINGLE_CYCLES_MAX = 3  # drills whose cycles differ little from one another
DRILL_SECONDS_MAX = 3600
FIGURES = re.compile(
    r"cycles (\d+), acknowledged ([\d,]+), lost ([\d,]+),.* unknown (\d+).* recovery p50 (\d+ ms), p99 (\d+ ms)"
)


def cycles_of(name, extra, wanted):
    if name in ("groups.py", "haproxy.py"):
        return 1
    if "--durability" in extra:
        return min(wanted, CONTROL_CYCLES_MAX)
    return wanted if name in ("kill.py", "powercut.py", "powercut-commits.py") else min(wanted, SINGLE_CYCLES_MAX)


def run(command):
    """Runs a drill and shows its lines as they come; (exit code, the lines)."""
    drill = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    late = threading.Timer(DRILL_SECONDS_MAX, os.killpg, (drill.pid, signal.SIGKILL))
    late.start()
    lines = []
    for line in drill.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip("\n"))
    code = drill.wait()
    late.cancel()
    if code == -signal.SIGKILL:
        print(f"  killed; a drill may take {DRILL_SECONDS_MAX} s")
    return code, lines


def table(found):
    """cycles, acknowledged, lost, unknown, recovery p50 and p99 of the drills that have them."""
    rows = [("drill", "cycles", "acknowledged", "lost", "unknown", "recovery p50", "p99")]
    for label, lines in found.items():
        rows += [(label, *match.groups()) for match in map(FIGURES.search, lines) if match]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for label, *cells in rows:
        print("  ".join((label.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)))))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=10)
    arguments = options.parse_args()
    passed, skipped, failed, found = [], [], [], {}
    for name, *extra in DRILLS:
        label, began = " ".join((name, *extra)), time.monotonic()
        command = [sys.executable, os.path.join(HERE, name), *extra]
        if name not in WITHOUT_A_BROKER:
            command += ["--apus", arguments.apus]
        code, lines = run([*command, "--cycles", str(cycles_of(name, extra, arguments.cycles))])
        found[label] = lines
        print(f"  [{label}: {'ok' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s]", flush=True)
        (failed if code else skipped if any("SKIPPED" in line for line in lines) else passed).append(label)
    table(found)
    print(f"drills: {len(passed)} passed, {len(skipped)} skipped, {len(failed)} failed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
