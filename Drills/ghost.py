"""What fdatasync says while an ext4 is shut down under it, and whether the data is there after the next mount.

Threads write 4 KiB and sync, the drills' power cut falls in, the file system is mounted again. Counted are the syncs
that said success, by when they returned, and how many of those had lost their data. A loss before the cut fails: no
drill on such a kernel would mean anything. Lies after it are why `powercut.py` takes the clients away before the
disk.
"""

import argparse
import os
import random
import struct
import sys
import threading
import time

from loopfs import LOG_FLUSHED, LOG_LOST, LoopDisk, skip_unless_possible

THREADS, SIZE, FILE_BYTES = 8, 4096, 16 << 20
WHEN = ("before the cut", "during the ioctl", "after it", "begun after it")


def content(number):
    return struct.pack(">Q", number) * (SIZE // 8)


def write_and_sync(handle, said):
    try:
        for number in range(FILE_BYTES // SIZE):
            os.pwrite(handle, content(number), number * SIZE)
            begun = time.monotonic()
            os.fdatasync(handle)
            said.append((number, begun, time.monotonic()))
    except OSError:
        pass  # the disk is gone: that was the aim


def cut_once(disk, kind, flag, seconds, rows):
    disk.mount()
    paths, said = [os.path.join(disk.path, str(n)) for n in range(THREADS)], [[] for _ in range(THREADS)]
    handles = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for path in paths]
    for handle in handles:
        if kind == "set aside":
            os.posix_fallocate(handle, 0, FILE_BYTES)
        elif kind == "written before":
            os.pwrite(handle, bytes(FILE_BYTES), 0)
        os.fsync(handle)
    threads = [threading.Thread(target=write_and_sync, args=pair) for pair in zip(handles, said, strict=True)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    began = time.monotonic()
    disk.cut(flag)
    ended = time.monotonic()
    for thread, handle in zip(threads, handles, strict=True):
        thread.join()
        os.close(handle)
    disk.unmount()
    disk.mount()
    for path, syncs in zip(paths, said, strict=True):
        with open(path, "rb") as file:
            found = file.read()
        for number, begun, returned in syncs:
            row = rows[(returned >= began) + (returned >= ended) + (begun >= ended)]
            row[0] += 1
            row[1] += found[number * SIZE : (number + 1) * SIZE] != content(number)
    disk.unmount()


options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--cycles", type=int, default=20)
cycles, dice, honest = options.parse_args().cycles, random.Random(7), True
skip_unless_possible("ghost")
with LoopDisk(512) as disk:
    for kind in ("appended", "set aside", "written before"):
        rows = [[0, 0] for _ in WHEN]
        for cycle in range(cycles):
            cut_once(disk, kind, (LOG_LOST, LOG_FLUSHED)[cycle % 2], dice.uniform(0.02, 0.08), rows)
        told = ", ".join(f"{when} {count:,} ({lost} lost)" for when, (count, lost) in zip(WHEN, rows, strict=True))
        print(f"ghost: {kind}, {cycles} cuts, syncs that said success: {told}")
        honest = honest and rows[0][0] > 0 and rows[0][1] == 0
sys.exit(0 if honest else 1)
