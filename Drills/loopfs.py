"""A real ext4 of our own, on a loop device, that can lose its power, fill up, or run on a disk that lies."""

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

EXT4_IOC_SHUTDOWN = 0x8004587D
LOG_FLUSHED, LOG_LOST = 1, 2  # flag 1 writes the journal out before the end; flag 2 loses everything not yet synced


def keep_mounts_private():
    """A process elsewhere that copies our mounts would keep a file system alive after we unmounted it."""
    CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of our own")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def skip_unless_possible(drill):
    """Ends the drill, visibly and without failing, where no loop device can be made."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root"
    elif not all(shutil.which(tool) for tool in ("losetup", "mke2fs", "mount")):
        reason = "needs losetup, mke2fs and mount"
    elif not os.path.exists("/dev/loop-control"):
        reason = "needs loop devices"
    else:
        try:
            keep_mounts_private()
            with LoopDisk(16) as disk:
                disk.mount()
        except OSError as error:
            reason = str(error)
    if reason:
        print(f"{drill}: SKIPPED: {reason}")
        sys.exit(0)


class LoopDisk:
    """`with LoopDisk(megabytes) as disk: disk.mount(); disk.path …`. Leaves no mount and no loop device behind."""

    def __init__(self, megabytes, backing_megabytes=None):
        self.megabytes, self.backing_megabytes = megabytes, backing_megabytes
        self.device = self.backing = None
        self.mounted = False

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="apus-disk-")
        self.path, images = os.path.join(self.root, "mount"), os.path.join(self.root, "images")
        os.mkdir(self.path)
        os.mkdir(images)
        try:
            if self.backing_megabytes:  # a disk that says it is large on a store that is not
                run("mount", "-t", "tmpfs", "-o", f"size={self.backing_megabytes}m", "tmpfs", images)
                self.backing = images
            image = os.path.join(images, "disk")
            with open(image, "wb") as file:
                file.truncate(self.megabytes << 20)
            self.device = run("losetup", "-f", "--show", image)
            run("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", self.device)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.unmount(quiet=True)
        for undo in (("losetup", "-d", self.device), ("umount", self.backing)):
            if undo[-1]:
                subprocess.run(undo, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def mount(self, options="errors=continue"):
        run("mount", "-o", options, self.device, self.path)
        self.mounted = True

    def unmount(self, quiet=False):
        """Waits for the last file to be closed; processes that were killed may still be ending."""
        deadline = time.monotonic() + 120
        while self.mounted:
            done = subprocess.run(("umount", self.path), capture_output=True, text=True)
            if done.returncode == 0:
                self.mounted = False
            elif time.monotonic() > deadline:
                if quiet:
                    subprocess.run(("umount", "-l", self.path), capture_output=True)
                    return
                raise OSError(f"umount {self.path}: {done.stderr.strip()}")
            else:
                time.sleep(0.02)

    def cut(self, flag=LOG_LOST):
        """The power goes: from now on every write fails, and what was not synced will never have been."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(handle)

    def grow_backing(self, megabytes):
        run("mount", "-o", f"remount,size={megabytes}m", self.backing)

    def check(self):
        """Repairs the file system as a start after a crash would."""
        done = subprocess.run(("e2fsck", "-p", "-f", self.device), capture_output=True, text=True)
        if done.returncode > 2:
            raise OSError(f"e2fsck: {done.stdout.strip()}")
