"""The measurements of the web: pushes beside peers and beside a bare loop, idle connections, REST."""

import json
import socket
import subprocess
import threading
import time

from peers import Mosquitto, Nats, Redis, compiled
from rig import LOAD_CORE, Apus, cpu_seconds, interleaved, median, pinned, run_json
from rows import Row, between, count

VALUE_BYTES = 128
MIB = 1 << 20


class Web(Apus):
    """A broker with its web port."""

    def __init__(self, options, *flags):
        super().__init__(options.apus, options.work, "--http", "127.0.0.1:0", *flags)

    @property
    def web_port(self):
        return int(self.ready["http"].rsplit(":", 1)[1])

    def push(self, kind, connections, *flags):
        return self.bench(kind, "--connections", connections, "--record-bytes", VALUE_BYTES, "--http",
                          self.ready["http"], "--durability", "page-cache", *flags)


def each_core_second(results):
    """Deliveries for each second of a core that the server spent."""
    return 1e6 / median(results, "broker_cpu_seconds_per_million")


def fan_out(options, say):
    """Records to many sockets: as fast as they are delivered, and at a rate at which nothing comes together."""
    rows = []
    for connections in (1_000, 10_000):
        records = max(2_000, int(options.gigabytes * 20_000_000 / connections))
        with Web(options) as apus, Redis(options.work, None) as redis, Nats(options.work) as nats, \
                Mosquitto(options.work) as mosquitto:
            found = interleaved(
                {
                    "WebSocket": lambda: apus.push("ws", connections, "--records", records),
                    "events": lambda: apus.push("sse", connections, "--records", records),
                    "Redis Pub/Sub": lambda: redis.fan_out("redis", connections, VALUE_BYTES, records, 0),
                    "NATS, WebSocket": lambda: nats.fan_out("nats-ws", connections, VALUE_BYTES, records, 0),
                    "NATS": lambda: nats.fan_out("nats", connections, VALUE_BYTES, records, 0),
                    # A write for each message and reader: a tenth is enough to see it.
                    "mosquitto": lambda: mosquitto.fan_out(
                        "mqtt", connections, VALUE_BYTES, max(100, records // 50), 0),
                },
                options.repeats, say,
            )
        beside = "; ".join(
            f"{name} {count(median(results, 'records_per_second'))}/s, "
            f"{count(each_core_second(results))} a core-second"
            for name, results in found.items() if name not in ("WebSocket", "events")
        )
        for name in ("WebSocket", "events"):
            ratio = each_core_second(found[name]) / each_core_second(found["Redis Pub/Sub"])
            rate = median(found[name], "records_per_second")
            rows.append(Row(
                f"{VALUE_BYTES} B records to {connections:,} readers ({name}), as fast as delivered",
                f"{count(rate)} deliveries/s ({between(found[name], 'records_per_second')}), "
                f"{count(each_core_second(found[name]))} a core-second",
                f"{beside}; {ratio:.1f} × Redis", "8 × Redis a core-second, 2 million/s", ratio >= 8 and rate >= 2e6,
            ))
    return rows + paced(options, say)


def paced(options, say):
    connections, rate, seconds = 5_000, 50, max(4, options.seconds)
    flags = ["--rate", rate, "--batch-records", 1, "--duration", f"{seconds}s"]
    records = rate * seconds
    with Web(options) as apus, Redis(options.work, None) as redis:
        found = interleaved(
            {
                "WebSocket": lambda: apus.push("ws", connections, *flags),
                # As many bytes as one of our pushes has.
                "send": lambda: bare(options, connections, VALUE_BYTES + 140, records, rate),
                "Redis Pub/Sub": lambda: redis.fan_out("redis", connections, VALUE_BYTES, records, rate),
            },
            options.repeats, say,
        )
    spent = {name: median(results, "broker_cpu_seconds_per_million") for name, results in found.items()}
    ratio = spent["WebSocket"] / spent["send"]
    return [Row(
        f"{VALUE_BYTES} B records at {rate}/s to {connections:,} WebSockets: CPU of one delivery",
        f"{spent['WebSocket']:.2f} µs, p99 {median(found['WebSocket'], 'latency_ms', 'p99'):.1f} ms",
        f"a C loop of send: {spent['send']:.2f} µs; Redis Pub/Sub {spent['Redis Pub/Sub']:.2f} µs; "
        f"{ratio:.2f} × the loop", "1.3 × the loop", ratio <= 1.3,
    )]


def bare(options, connections, size, records, rate):
    """A process that accepts so many connections and calls `send` for each message and each of them."""
    program = compiled("fanload.c", options.work)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [port, connections, size, records]
    server = subprocess.Popen(pinned("0", [program, "bare", *words, rate]), stdout=subprocess.PIPE, text=True)
    try:
        for attempt in range(100):
            done = subprocess.run(pinned(LOAD_CORE, [program, "count", *words, 0]), capture_output=True, text=True)
            if done.returncode == 0:
                break
            time.sleep(0.05)  # it does not listen yet
        result = json.loads(server.communicate(timeout=60)[0])
    finally:
        server.kill()
        server.wait()
    return {"records_per_second": result["deliveries"] / result["seconds"],
            "broker_cpu_seconds_per_million": result["cpu_seconds_per_million"]}


def idle_sockets(options, say):
    """WebSockets that do nothing: what one more costs, in memory and in time; and memory after a burst."""
    def hold(connections, *flags):
        with Web(options) as apus:
            return apus.push("ws", connections, "--hold", "62s", "--records", 1, *flags)

    found = {str(number): [hold(number)] for number in (2_000, 10_000)}
    few, many = (found[str(number)][0] for number in (2_000, 10_000))
    totals = [result["memory_bytes_per_connection"] * result["connections"] for result in (few, many)]
    slope = (totals[1] - totals[0]) / (many["connections"] - few["connections"])
    own = hold(10_000, "--channels", 10)
    channels = (own["memory_bytes_per_connection"] - many["memory_bytes_per_connection"]) / 10
    percent = many["idle_core_percent"]
    return [
        Row("10,000 idle WebSockets with one channel each: memory of one more", f"{slope:,.0f} B",
            f"{totals[1] / MIB:.1f} MiB for all", "3,072 B", slope <= 3072),
        Row("the same: time", f"{percent:.2f} % of a core", "pings included", "1 %", percent < 1),
        Row("100,000 channels topic/key on 10,000 WebSockets: memory of one channel", f"{channels:,.0f} B", "", "250 B",
            channels <= 250),
        burst(options),
    ]


def burst(options):
    connections, hold = 10_000, 5
    with Web(options) as apus:
        load = [options.apus, "bench", "ws", "--connections", connections, "--records", 1, "--record-bytes", 65_536,
                "--hold", f"{hold}s", "--stay", "65s", "--http", apus.ready["http"], "-s", apus.address, "-o", "json"]
        samples, began = [], time.monotonic()
        with subprocess.Popen(pinned(LOAD_CORE, load), stdout=subprocess.PIPE, text=True) as running:
            while running.poll() is None:
                samples.append((time.monotonic() - began, private_bytes(apus.pid)))
                time.sleep(0.1)
            connected = json.load(running.stdout)["connect_seconds"]
    # All are there, and nothing was written yet.
    before = max(size for at, size in samples if connected <= at < connected + hold - 1)
    peak, top = max(samples, key=lambda sample: sample[1])
    back = next((at - peak for at, size in samples if at >= peak and size <= 1.05 * before), None)
    said = "not back within the run" if back is None else f"back after {back:.0f} s"
    return Row(f"a burst of 64 KiB to {connections:,} WebSockets: memory",
               f"{before / MIB:.0f} MiB before, {top / MIB:.0f} MiB at most, {said}", "", "back within 60 s",
               back is not None and back <= 60)


def reconnect(options, say):
    """Everybody is cut off, records are written, and everybody comes back with a cursor: until the last one has all."""
    connections, records = 5_000, 1_000
    with Web(options) as apus:
        flags = ["--reconnect", "--records", records, "--at-once"]
        found = interleaved(
            {
                "WebSocket": lambda: apus.push("ws", connections, *flags, 1_000),
                "WebSocket, all at once": lambda: apus.push("ws", connections, *flags, connections),
                "events": lambda: apus.push("sse", connections, *flags, 1_000),
            },
            options.repeats, say,
        )
    rows = []
    for name, results in found.items():
        seconds, lost = median(results, "caught_up_seconds"), sum(r["gaps"] + r["duplicates"] for r in results)
        rows.append(Row(
            f"{connections:,} reconnects with resume ({name}, no jitter), {records:,} records of {VALUE_BYTES} B each",
            f"all caught up after {seconds:.2f} s ({between(results, 'caught_up_seconds')}), "
            f"{count(median(results, 'reconnects_per_second'))} connections/s, gaps and duplicates {lost}",
            f"{median(results, 'broker_cpu_seconds'):.2f} s of CPU", "5 s", seconds <= 5 and lost == 0))
    return rows


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private_"))


def push_latency(options, say):
    """From the moment a record is due until a reader has it: a Kafka client, and a WebSocket on the same node."""
    flags = ["--rate", 10_000, "--record-bytes", VALUE_BYTES, "--duration", f"{options.seconds}s", "--durability",
             "page-cache"]
    with Web(options) as apus:
        found = interleaved(
            {
                "Kafka": lambda: apus.bench("e2e", *flags, "--warmup", "2s"),
                "WebSocket": lambda: apus.bench("ws", *flags, "--connections", 1, "--batch-records", 10, "--http",
                                                apus.ready["http"]),
            },
            options.repeats, say,
        )
    p99 = {name: median(results, "latency_ms", "p99") for name, results in found.items()}
    more = p99["WebSocket"] - p99["Kafka"]
    return [Row("written over Kafka at 10,000 records/s, received over a WebSocket: p99", f"{p99['WebSocket']:.3f} ms",
                f"received over Kafka {p99['Kafka']:.3f} ms", "1 ms more", more <= 1)]


def rest(options, say):
    """Writes over REST: one record a request over many connections, and lines."""
    requests, lines = max(20_000, int(options.gigabytes * 100_000)), max(100_000, int(options.gigabytes * 500_000))
    program = compiled("httpload.c", options.work)
    with Web(options) as apus:
        apus.command("topic", "create", "rest")

        def measured(load, number):
            before = cpu_seconds(apus.pid)
            result = load()
            result["broker_cpu_seconds_per_million"] = (cpu_seconds(apus.pid) - before) / number * 1e6
            return result

        one = [program, apus.web_port, "/v1/topics/rest/records", 256, requests, VALUE_BYTES]
        found = interleaved(
            {
                "one": lambda: measured(lambda: run_json(LOAD_CORE, one), requests),
                "lines": lambda: measured(lambda: stream_lines(apus.web_port, "rest", lines), lines),
            },
            options.repeats, say,
        )
    rows = []
    for name, what, goal in (("one", "one record a request, 256 connections, fsync", 15_000),
                             ("lines", "lines (NDJSON) with a report for each, one connection, fsync", 300_000)):
        results = found[name]
        rate, spent = median(results, "records_per_second"), median(results, "broker_cpu_seconds_per_million")
        rows.append(Row(f"REST write, {what}",
                        f"{count(rate)} records/s ({between(results, 'records_per_second')}), {spent:.2f} µs of CPU each",
                        "", f"{goal:,}/s on a core", rate >= goal))
    return rows


def stream_lines(port, topic, lines):
    body = (json.dumps({"value": {"v": "x" * (VALUE_BYTES - 16)}}) + "\n").encode() * lines
    head = (f"POST /v1/topics/{topic}/records HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    reports, began = 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(head), connection.sendall(body)))
        sender.start()
        rest = b""
        while piece := connection.recv(1 << 18):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            reports += (whole + newline).count(b'"offset"')
        sender.join()
    if reports != lines:
        raise RuntimeError(f"{lines} lines were sent, {reports} were acknowledged")
    return {"records_per_second": lines / (time.monotonic() - began)}


SECTIONS = {"fan-out": fan_out, "idle-sockets": idle_sockets, "reconnect": reconnect, "push-latency": push_latency,
            "rest": rest}
