"""Starts, kills and watches a real `apus serve`, and keeps what it printed."""

import os
import signal
import socket
import subprocess
import tempfile
import time

from wire import LATEST, Connection, Gone, Refused


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class StartFailed(Exception):
    """The broker ended, or did not answer in time."""


class Broker:
    def __init__(self, apus, data, port=None, extra=()):
        self.apus, self.data, self.port, self.extra = os.path.abspath(apus), data, port or free_port(), list(extra)
        self.address = ("127.0.0.1", self.port)
        self.process = None
        self.output = tempfile.TemporaryFile()

    def launch(self):
        command = [self.apus, "serve", "--data", self.data, "--kafka", f"127.0.0.1:{self.port}", *self.extra]
        environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT, env=environment
        )

    def start(self, topic=None, partitions=0, deadline=180.0):
        """Launches and waits until the broker, and if named every partition of the topic, answers. Seconds it took."""
        began = time.monotonic()
        self.launch()
        while True:
            if self.process.poll() is not None:
                raise StartFailed(f"ended with {self.process.returncode}: {self.said()[-2000:]}")
            try:
                with Connection(self.address, timeout=30) as connection:
                    connection.api_versions()
                    for partition in range(partitions):
                        connection.list_offset(topic, partition, LATEST)
                    return time.monotonic() - began
            except (Gone, Refused) as error:
                if time.monotonic() - began > deadline:
                    raise StartFailed(f"no answer within {deadline} s ({error}): {self.said()[-2000:]}") from None
            time.sleep(0.002)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, deadline=120.0):
        """Asks it to end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StartFailed(f"did not end within {deadline} s of SIGTERM") from None

    def run_to_end(self, deadline=120.0):
        """For starts that must be refused: (exit code, what it said); a broker that serves instead gives None."""
        self.launch()
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        return code, self.said()

    def alive(self):
        return self.process.poll() is None

    def said(self):
        self.output.flush()
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors="replace")

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until(condition, deadline, what):
    """Waits for a condition; its value, or an error that says what did not happen."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline} s: {what}")
        time.sleep(0.005)
