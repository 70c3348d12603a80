"""A broker, two endpoint servers, HAProxy in front of them as `apus generate haproxy` says, and clients of both kinds.

While records flow one endpoint server is told to stop, and later the other is killed. Connections are spread by least
connections; the one that stops is not ready first, and empty within its deadline; every client goes on at the other and
has seen every record of every partition once when the flow is over.
"""

import argparse
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from broker import Broker, StartFailed, free_port, until
from wire import Connection, Gone, Refused

TOPIC = "news"
PARTITIONS = 4
CLIENTS = 12
LATECOMERS = 4
SECONDS_OF_FLOW = 26  # at least: the disturbances should fall into it
GRACE = 3
STOP_SECONDS_MAX = 20  # from SIGTERM to the end of a node with clients
RESUME_SECONDS_MAX = 60


class Node:
    """An endpoint server."""

    def __init__(self, apus, upstream):
        self.apus, self.upstream, self.port = apus, upstream, free_port()
        self.process = None
        self.output = tempfile.TemporaryFile()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        command = (self.apus, "serve", "--roles", "edge", "--upstream", self.upstream, "--http", self.address)
        self.process = subprocess.Popen(
            (*command, "--drain-grace", f"{GRACE}s"),
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SWIFT_BACKTRACE": "enable=no"},
        )
        until(lambda: self.process.poll() is not None or self.ready() == 200, 60, "an endpoint server that is ready")
        if self.process.poll() is not None:
            raise StartFailed(f"an endpoint server ended with {self.process.returncode}: {self.said()}")

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def ready(self):
        return self.get("/readyz")[0]

    def number(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
        return 0

    def connections(self):
        return self.number("apus_edge_connections")

    def said(self):
        return os.pread(self.output.fileno(), 4000, 0).decode(errors="replace")

    def end(self, by=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(by)
            return self.process.wait(STOP_SECONDS_MAX * 2)
        return None


class Client(threading.Thread):
    """Comes back with its cursor whenever its connection ends, until it is told that that was all."""

    def __init__(self, port, kind):
        super().__init__(daemon=True)
        self.port, self.kind = port, kind
        self.next = [0] * PARTITIONS
        self.problems = []
        self.cursor = None
        self.connects = 0
        self.socket = None
        self.isOver = False
        self.wait = 0.0
        # When its last connection ended, when the next was answered, and when that brought its first record.
        self.endedAt = self.answeredAt = self.servedAt = 0.0

    def run(self):
        while not self.isOver:
            time.sleep(self.wait)
            self.wait = 0.1
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=40)
                if self.kind == "ws":
                    self.web_socket()
                else:
                    self.stream()
            except OSError:
                pass  # cut, refused or nobody there: again
            finally:
                if self.socket:
                    self.socket.close()
                # Tries that came to nothing are part of the way to the next connection.
                if self.endedAt <= self.answeredAt:
                    self.endedAt = time.monotonic()

    def over(self):
        self.isOver = True
        if self.socket:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already

    def head(self, path, fields=""):
        """Asks; the bytes behind the answer's head, or nothing if the answer is another than wanted."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{fields}\r\n"
        self.socket.sendall(request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed within the head")
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        if not head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
            if head.split()[1] not in (b"502", b"503", b"504"):
                self.problems.append(f"answered with {head.splitlines()[0].decode()}")
            raise ConnectionError("refused")
        self.connects += 1
        self.answeredAt, self.servedAt = time.monotonic(), 0.0
        return rest

    # Server-sent events

    def stream(self):
        fields = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
        rest = self.head(f"/v1/stream?channel={TOPIC}&from=earliest&slow=close", fields)
        name, identifier = "message", None
        while True:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.startswith(b"event: "):
                    name = line[7:].decode()
                elif line.startswith(b"id: "):
                    identifier = line[4:].decode()
                elif line.startswith(b"data: "):
                    self.take(json.loads(line[6:]), name)
                elif not line:
                    # An event counts when it is whole.
                    self.cursor = identifier or self.cursor
                    name = "message"
            more = self.socket.recv(1 << 18)
            if not more:
                return
            rest += more

    # WebSocket

    def send(self, opcode, payload):
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else bytes([0xFE]) + length.to_bytes(2, "big")
        self.socket.sendall(bytes([0x80 | opcode]) + size + bytes(4) + payload)

    def web_socket(self):
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        data = bytearray(self.head("/v1/ws", upgrade))
        wish = {"id": 2, "op": "subscribe", "channel": TOPIC, "slow": "close"}
        wish["cursor" if self.cursor else "from"] = self.cursor or "earliest"
        self.send(1, b'{"id":1,"op":"connect"}')
        self.send(1, json.dumps(wish).encode())
        while True:
            while (frame := self.frame(data)) is not None:
                opcode, payload = frame
                if opcode == 1:
                    for line in payload.split(b"\n"):
                        self.take(json.loads(line), "message")
                elif opcode == 9:
                    self.send(10, payload)
                elif opcode == 8:
                    return
            more = self.socket.recv(1 << 18)
            if not more:
                return
            data += more

    @staticmethod
    def frame(data):
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            return None
        opcode, payload = data[0] & 0x0F, bytes(data[start : start + size])
        del data[: start + size]
        return opcode, payload

    # Both

    def take(self, message, name):
        if "error" in message:
            # A node that has just come may not be heard by its brokers yet; whoever is told so comes again.
            if not message["error"].get("retryable"):
                self.problems.append(f"refused: {message['error']}")
            raise ConnectionError("refused")
        result = message.get("ok", message)
        if result.get("missing"):
            self.problems.append(f"told that something is missing: {result['missing']}")
        event = message.get("event", name)
        if event == "moved":
            self.wait = message["retry_in"] / 1000
        # Its place is found again, or there is something new.
        if not self.servedAt and (message.get("records") or name == "subscribed" or "recovered" in result):
            self.servedAt = time.monotonic()
        for record in message.get("records", ()):
            partition, offset = record["partition"], record["offset"]
            if offset != self.next[partition]:
                self.problems.append(f"partition {partition}: {offset} behind {self.next[partition] - 1}")
            self.next[partition] = offset + 1
        if self.kind == "ws":
            self.cursor = result.get("cursor", self.cursor)

    @property
    def seen(self):
        return sum(self.next)


def flow(apus, address, records):
    rate = max(records // SECONDS_OF_FLOW, 100)
    return subprocess.Popen(
        (apus, "bench", "pub", "--server", address, "--topic", TOPIC, "--records", str(records), "--rate", str(rate))
        + ("--record-bytes", "64", "--batch-records", "20", "-o", "ndjson"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def settled(nodes, wanted):
    """Waits until that many clients are there, and gives how many each node has."""

    def count():
        # Each look is a request that the node has to answer beside its clients.
        time.sleep(0.05)
        counts = [node.connections() for node in nodes]
        return counts if sum(counts) == wanted else None

    return until(count, RESUME_SECONDS_MAX, f"{wanted} connected clients")


def drained(node, problems):
    """Tells a node to stop: seconds until it said that it is not ready, and until it had ended."""
    began = time.monotonic()
    node.process.send_signal(signal.SIGTERM)
    until(lambda: node.ready() == 503, GRACE, "an answer that it is not ready")
    unready = time.monotonic() - began
    if node.connections() == 0:
        problems.append("the node sent its clients away before the balancer could know")
    try:
        code = node.process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        problems.append(f"the node that was told to stop was not empty within {STOP_SECONDS_MAX} s")
        code = node.end()
    if code != 0:
        problems.append(f"the node that was told to stop ended with {code}: {node.said()}")
    return unready, time.monotonic() - began


def run(apus, records, directory):
    problems, clients, started, nodes = [], [], [], []
    broker = Broker(apus, os.path.join(directory, "data"), extra=("--http", "none"))
    try:
        broker.start()
        started.append(broker.kill)
        with Connection(broker.address) as connection:
            connection.create_topic(TOPIC, PARTITIONS, {})
        upstream = f"127.0.0.1:{broker.port}"
        nodes = [Node(apus, upstream), Node(apus, upstream)]
        for node in nodes:
            started.append(node.end)
            node.start()
        port = free_port()
        file = os.path.join(directory, "haproxy.cfg")
        with open(file, "w") as out:
            names = [part for node in nodes for part in ("--node", node.address)]
            subprocess.run((apus, "generate", "haproxy", "--bind", f"127.0.0.1:{port}", *names), stdout=out, check=True)
        balancer = subprocess.Popen(("haproxy", "-db", "-f", file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(lambda: (balancer.kill(), balancer.wait()))
        until(lambda: listens(port) or balancer.poll() is not None, 20, "HAProxy listening")
        if balancer.poll() is not None:
            check = subprocess.run(("haproxy", "-c", "-f", file), capture_output=True, text=True)
            return "haproxy: HAProxy did not start", [check.stderr.strip()[-1000:]]

        clients = [Client(port, "ws" if n % 2 else "sse") for n in range(CLIENTS)]
        for client in clients:
            client.start()
        spread = settled(nodes, CLIENTS)
        if max(spread) - min(spread) > 1:
            problems.append(f"connections are not spread: {spread}")
        links = [node.number("apus_upstream_connections") for node in nodes]
        if links != [1, 1]:
            problems.append(f"connections to the one broker: {links}")

        source = flow(apus, upstream, records)
        started.append(source.kill)
        until(lambda: min(c.seen for c in clients) > records // 5, RESUME_SECONDS_MAX, "a fifth of the records")
        unready, empty = drained(nodes[0], problems)
        settled(nodes[1:], CLIENTS)
        nodes[0].start()
        # Who comes now goes to the node with the fewest, once HAProxy has seen that it is there.
        time.sleep(2.5)
        clients += (late := [Client(port, "ws" if n % 2 else "sse") for n in range(LATECOMERS)])
        for client in late:
            client.start()
        after = settled(nodes, CLIENTS + LATECOMERS)
        if after[0] != LATECOMERS:
            problems.append(f"those who came after the restart did not go where the fewest were: {after}")
        killed = time.monotonic()
        nodes[1].end()
        settled(nodes[:1], CLIENTS + LATECOMERS)
        moved = time.monotonic() - killed
        ways = way(clients, killed)
        error = source.communicate()[1]
        if source.returncode != 0:
            return "haproxy: the flow failed", [error.strip()[-300:]]
        until(lambda: min(c.seen for c in clients) >= records, RESUME_SECONDS_MAX, "every record at every client")
        for n, client in enumerate(clients):
            problems += [f"client {n} ({client.kind}): {problem}" for problem in client.problems[:5]]
            if client.seen != records:
                problems.append(f"client {n} ({client.kind}) saw {client.seen} records of {records}")
        connects = sum(client.connects for client in clients)
        return (
            f"haproxy: records {records:,}, clients {len(clients)}, spread {spread[0]}/{spread[1]}, connects {connects}, "
            f"not ready after {unready * 1000:.0f} ms, empty after {empty:.1f} s, all moved {moved:.1f} s after a kill ({ways}), "
            f"gaps and duplicates {sum(len(client.problems) for client in clients)}"
        ), problems
    except (Gone, Refused, StartFailed, TimeoutError, subprocess.CalledProcessError) as error:
        figures = f"seen {[client.seen for client in clients]}"
        for node in nodes:
            lines = [line for line in node.get("/metrics")[1].splitlines() if not line.startswith("#")]
            figures += f"; node: {', '.join(lines)}; said {node.said()[-500:]}"
        told = [problem for client in clients for problem in client.problems[:3]]
        return "haproxy: ended early", [f"{type(error).__name__}: {error}; {figures}", *problems, *told]
    finally:
        for client in clients:
            client.over()
        for end in reversed(started):
            end()


def way(clients, killed):
    """Of those whose node was killed, the slowest of each step: who is slow, the kernel, HAProxy or the other node?"""
    moved = [client for client in clients if client.endedAt > killed]
    until(lambda: all(client.servedAt > client.answeredAt for client in moved), RESUME_SECONDS_MAX, "an answer to who came again")
    cut = max(client.endedAt - killed for client in moved)
    answered = max(client.answeredAt - client.endedAt for client in moved)
    served = max(client.servedAt - client.answeredAt for client in moved)
    return f"cut off after {cut:.2f} s, answered {answered:.2f} s later, going on {served:.2f} s later"


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apus", required=True, help="path of the executable")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--cycles", type=int, default=1, help="taken and not used: one run has everything in it")
    options = parser.parse_args()
    if not shutil.which("haproxy"):
        print("haproxy: SKIPPED: needs haproxy")
        return 0
    directory = tempfile.mkdtemp(prefix="apus-haproxy-")
    try:
        line, problems = run(os.path.abspath(options.apus), options.records, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(line)
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
