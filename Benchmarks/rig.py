"""What every measurement needs: pinned servers, their CPU time, medians, and a machine that is not busy otherwise."""

import glob
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER_CORE, LOAD_CORE = "0", "1"
# More than this part of the machine's time taken by its neighbours, and a run says nothing.
STEAL_MAX = 0.02


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_seconds(pid):
    """CPU time of all threads: nanoseconds of schedstat, not the 10 ms ticks of stat."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path) as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # the thread ended meanwhile
    return total / 1e9


def status_kib(pid, name):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def resident_megabytes(pid):
    return status_kib(pid, "VmRSS") * 1024 / 1e6


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def _cpu_times():
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return sum(fields[:8]), fields[7]


class Steal:
    """How much of the machine's time went elsewhere while the body ran."""

    def __enter__(self):
        self.began = _cpu_times()
        return self

    def __exit__(self, *_):
        total, stolen = _cpu_times()
        self.part = (stolen - self.began[1]) / max(1, total - self.began[0])


def pinned(core, command):
    return ["taskset", "-c", core, *map(str, command)]


def run_json(core, command, timeout=600):
    """Runs a load; its last line of output is its result."""
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout if done.stdout.lstrip().startswith("{") else done.stdout.splitlines()[-1])


class Server:
    """A process on the server's core with a directory of its own, gone afterwards."""

    def __init__(self, name, work):
        self.data = tempfile.mkdtemp(prefix=f"{name}-", dir=work)
        self.log = open(os.path.join(self.data, "log"), "w+")
        self.process = None

    def launch(self, command, **more):
        self.process = subprocess.Popen(
            pinned(SERVER_CORE, command), stdin=subprocess.DEVNULL, stderr=self.log, text=True, **more
        )

    @property
    def pid(self):
        return self.process.pid

    def wait_for_port(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.process.args} does not listen; see {self.log.name}") from None
                time.sleep(0.01)

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)
        self.log.close()
        shutil.rmtree(self.data, ignore_errors=True)


class Apus(Server):
    def __init__(self, program, work, *flags, login=()):
        """`login`: the options with which loads and commands say who they are."""
        super().__init__("apus", work)
        self.program, self.flags, self.login = program, flags, login
        self.start()

    def start(self):
        """Starts, or starts again over the same data. `ready_ms` is from the start of the process to its ready line."""
        began = time.monotonic()
        command = [self.program, "serve", "--data", f"{self.data}/data", "--kafka", "127.0.0.1:0", *self.flags]
        self.launch(command + ["--log-level", "warning"], stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.ready_ms = (time.monotonic() - began) * 1000
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"apus serve did not start: {self.log.read()[-2000:]}")
        self.ready = json.loads(line)
        self.address = self.ready["kafka"]

    def bench(self, kind, *options, core=LOAD_CORE):
        command = [self.program, "bench", kind, *options, "--pid", self.pid, "-s", self.address, "-o", "json"]
        return run_json(core, [*command, *self.login])

    def command(self, *words, login=None):
        command = [self.program, *map(str, words), "-s", self.address, *(self.login if login is None else login)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class PageCache:
    """Keeps the page cache full, as it is on a machine that has been up for a while.

    A virtual machine may give pages that are free back to its host, and then gets each of them anew at its next use, at
    ten times the price (2.5 CPU-seconds per GB here, against 0.25). A row that writes into free memory measures the
    host. Where the cache is full, a new page takes the place of an old one. So a large file without blocks is read
    before every run: what its pages lost since the last one is filled again, at nobody's expense.
    """

    LEFT_FREE = 512 << 20
    CHUNK = 8 << 20

    def __init__(self, work):
        self.path = os.path.join(work, "ballast")
        with open("/proc/meminfo") as file:
            facts = {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}
        self.size = max(0, facts["MemAvailable"] - 4 * self.LEFT_FREE)
        with open(self.path, "wb") as file:
            file.truncate(self.size)

    def fill(self):
        with open("/proc/meminfo") as file:
            free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemFree:"))
        if free < 2 * self.LEFT_FREE:
            return
        buffer = bytearray(self.CHUNK)
        with open(self.path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def evict(directory):
    """Drops what is below a directory from the page cache, so that reading it means reading the disk."""
    os.sync()
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                descriptor = os.open(os.path.join(root, name), os.O_RDONLY)
            except FileNotFoundError:
                continue
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


page_cache = None  # set by `run`, unless it is told to leave free memory alone


def refill():
    """Where the page cache is kept full, it is so again."""
    if page_cache:
        page_cache.fill()


def interleaved(variants, repeats, say):
    """Runs all variants in turn, `repeats` times, so that a drift of the machine hits all alike.

    A run during which the neighbours took too much is repeated, at most twice. Returns the results by variant.
    """
    results = {name: [] for name in variants}
    for turn in range(repeats):
        for name, measure in variants.items():
            for attempt in range(3):
                os.sync()
                refill()
                with Steal() as steal:
                    result = measure()
                if steal.part <= STEAL_MAX:
                    break
                again = ", again" if attempt < 2 else ""
                say(f"    {name}: {steal.part:.1%} of the machine's time was stolen{again}")
            results[name].append(result)
            say(f"    {turn + 1}/{repeats} {name}: {brief(result)}")
    return results


def brief(result):
    keys = ("records_per_second", "megabytes_per_second", "latency_ms", "rss_mb", "ready_ms")
    return "  ".join(f"{key} {json.dumps(result[key])}" for key in keys if key in result) or json.dumps(result)


def median(results, *path):
    """The median over the runs of one number of the result."""
    values = []
    for result in results:
        for key in path:
            result = result[key]
        values.append(result)
    return statistics.median(values)


def spread(results, *path):
    values = []
    for result in results:
        for key in path:
            result = result[key]
        values.append(result)
    return min(values), max(values)


def need(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = "redis-server nats-server mosquitto iperf3 util-linux gcc"
        sys.exit(f"benchmarks need {', '.join(missing)}: apt-get install {packages}")
