"""Every drill against one executable; one closing line with the counts."""

import argparse
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DRILLS = (
    ("kill.py",),
    ("powercut.py",),
    ("powercut.py", "--durability", "page-cache"),
    ("fsync-error.py",),
    ("fulldisk.py",),
    ("atrest.py",),
    ("hostile.py",),
)
CONTROL_CYCLES_MAX = 20  # the control only has to lose once
SINGLE_CYCLES_MAX = 3  # drills whose cycles differ little from one another
DRILL_SECONDS_MAX = 3600


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--apus", required=True, help="path of the executable")
    options.add_argument("--cycles", type=int, default=10)
    arguments = options.parse_args()
    passed, skipped, failed = [], [], []
    for name, *extra in DRILLS:
        cycles = arguments.cycles
        if extra:
            cycles = min(cycles, CONTROL_CYCLES_MAX)
        elif name not in ("kill.py", "powercut.py"):
            cycles = min(cycles, SINGLE_CYCLES_MAX)
        label, began = " ".join((name, *extra)), time.monotonic()
        command = [sys.executable, os.path.join(HERE, name), "--apus", arguments.apus, "--cycles", str(cycles), *extra]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DRILL_SECONDS_MAX)
            output, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            output, code = f"{label}: not done within {late.timeout:.0f} s\n", 1
        print(output, end="", flush=True)
        print(f"  [{label}: {'ok' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s]", flush=True)
        (failed if code else skipped if "SKIPPED" in output else passed).append(label)
    print(f"drills: {len(passed)} passed, {len(skipped)} skipped, {len(failed)} failed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
