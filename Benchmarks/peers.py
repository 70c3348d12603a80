"""The systems Apus is measured beside, with the configuration that is theirs for the same promise."""

import asyncio
import json
import os
import re
import socket
import subprocess
import time

from rig import HERE, LOAD_CORE, SERVER_CORE, Server, cpu_seconds, free_port, pinned, run_json

_compiled = {}


def compiled(source, work):
    """Compiles a load once."""
    if source not in _compiled:
        _compiled[source] = os.path.join(work, source.removesuffix(".c"))
        subprocess.run(["cc", "-O2", "-o", _compiled[source], os.path.join(HERE, source)], check=True)
    return _compiled[source]


class Peer(Server):
    def __init__(self, name, work):
        super().__init__(name, work)
        self.program, self.port = compiled("peerload.c", work), free_port()
        self.fan_program = compiled("fanload.c", work)

    def load(self, kind, name, *numbers):
        """Runs a load; adds what it cost the server, by million records."""
        before = cpu_seconds(self.pid)
        result = run_json(LOAD_CORE, [self.program, kind, self.port, name, *numbers])
        spent = cpu_seconds(self.pid) - before
        result["broker_cpu_seconds"] = spent
        result["broker_cpu_seconds_per_million"] = spent / result["records"] * 1e6
        return result

    def fan_out(self, kind, connections, bytes_each, records, rate):
        """Messages to many readers; a "record" of the result is a delivery."""
        before = cpu_seconds(self.pid)
        result = run_json(LOAD_CORE, [self.fan_program, kind, self.port_of(kind), connections, bytes_each, records, rate])
        spent = cpu_seconds(self.pid) - before
        return {"records_per_second": result["deliveries_per_second"],
                "broker_cpu_seconds_per_million": spent / result["deliveries"] * 1e6}

    def port_of(self, kind):
        return self.port


class Redis(Peer):
    """Streams in an append-only file; `always` syncs before it answers, `everysec` once a second; none for Pub/Sub."""

    def __init__(self, work, fsync):
        super().__init__("redis", work)
        self.launch(
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--maxclients", 20_000,
             "--appendonly", "yes" if fsync else "no", "--appendfsync", fsync or "no", "--auto-aof-rewrite-percentage", "0", "--io-threads", "1", "--dir", self.data],
            stdout=subprocess.DEVNULL,
        )
        self.wait_for_port(self.port)

    def forget(self):
        """Streams live in memory: an empty server for each run."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(60)
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(64)

    def pings(self, connections, every, seconds):
        """Answers the percentage of a core that so many connections cost, each with one PING every so many seconds."""
        async def rest(number, times):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.sleep(every * (1 + number / connections))
            for _ in range(times):
                writer.write(b"PING\r\n")
                await reader.readline()
                await asyncio.sleep(every)
            writer.close()

        async def spent():
            times = 1 + -(-seconds // every)
            resting = [asyncio.create_task(rest(number, times)) for number in range(connections)]
            await asyncio.sleep(2 * every)
            before, began = cpu_seconds(self.pid), time.monotonic()
            await asyncio.sleep(seconds - every)
            used = (cpu_seconds(self.pid) - before) / (time.monotonic() - began)
            await asyncio.gather(*resting)
            return 100 * used

        return asyncio.run(spent())

    def publish(self, bytes_each, records, connections, window):
        self.forget()
        return self.load("redis-xadd", "bench", bytes_each, records, connections, window)

    def end_to_end(self, bytes_each, rate, warmup, seconds):
        self.forget()
        return self.load("redis-e2e", "bench", bytes_each, rate, warmup, seconds)


class Nats(Peer):
    """Core (memory, at most once), and JetStream with a file store (page cache: this release can not sync always)."""

    def __init__(self, work):
        super().__init__("nats", work)
        self.web_port = free_port()
        path = os.path.join(self.data, "nats.conf")
        with open(path, "w") as file:
            file.write(
                f'listen: "127.0.0.1:{self.port}"\nmax_pending: 256MB\nwrite_deadline: "10s"\n'
                f'websocket {{ listen: "127.0.0.1:{self.web_port}", no_tls: true }}\n'
                f'jetstream {{ store_dir: "{self.data}/js", max_mem: 64MB, max_file: 40GB }}\n'
            )
        self.launch(["nats-server", "-c", path], stdout=subprocess.DEVNULL)
        self.wait_for_port(self.port)

    def _ask(self, subject, body):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(30)
            text = json.dumps(body)
            connection.sendall(
                f'CONNECT {{"verbose":false}}\r\nSUB answer 1\r\nPUB {subject} answer {len(text)}\r\n{text}\r\n'.encode()
            )
            lines = connection.makefile()
            for line in lines:
                if line.startswith("MSG"):
                    return json.loads(lines.readline())
        raise RuntimeError("nats-server did not answer")

    def publish(self, bytes_each, records, connections, window):
        self._ask("$JS.API.STREAM.DELETE.bench", {})
        answer = self._ask(
            "$JS.API.STREAM.CREATE.bench",
            {"name": "bench", "subjects": ["bench"], "storage": "file", "retention": "limits", "num_replicas": 1},
        )
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return self.load("nats-js", "bench", bytes_each, records, connections, window)

    def end_to_end(self, bytes_each, rate, warmup, seconds):
        return self.load("nats-e2e", "core", bytes_each, rate, warmup, seconds)

    def port_of(self, kind):
        return f"{self.web_port}:{self.port}" if kind == "nats-ws" else self.port


class Mosquitto(Peer):
    """QoS 0 in memory, without bounds of its own on what waits."""

    def __init__(self, work):
        super().__init__("mosquitto", work)
        path = os.path.join(self.data, "mosquitto.conf")
        with open(path, "w") as file:
            file.write(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
                "max_queued_messages 0\nuser root\n"
            )
        self.launch(["mosquitto", "-c", path], stdout=subprocess.DEVNULL)
        self.wait_for_port(self.port)


def iperf3(*flags, seconds=5, receiver=SERVER_CORE, sender=LOAD_CORE):
    """One TCP stream over the loopback: what the kernel gives to somebody who does nothing else."""
    port = free_port()
    server = subprocess.Popen(
        pinned(receiver, ["iperf3", "-s", "-1", "-p", port]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while True:  # until the server listens
            done = subprocess.run(
                pinned(sender, ["iperf3", "-c", "127.0.0.1", "-p", port, "-t", seconds, "-J", *flags]),
                capture_output=True, text=True,
            )
            answer = json.loads(done.stdout or "{}").get("end", {})
            if done.returncode == 0 and "sum_received" in answer:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"iperf3: {done.stdout[-500:]}")
            time.sleep(0.05)
        return {"megabytes_per_second": answer["sum_received"]["bits_per_second"] / 8e6}
    finally:
        server.kill()
        server.wait()


def versions():
    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        return found.group() if found else "?"

    return {
        "redis-server": said("redis-server", "--version"),
        "nats-server": said("nats-server", "--version"),
        "mosquitto": said("mosquitto", "-h"),
        "iperf3": said("iperf3", "--version"),
    }
