"""What means something to somebody else: line ends, NUL, codes of terminals, controls of Unicode, markup. Each of them
in every place where a client may say something, and nowhere in what the broker says as it is: no header, no line of an
event stream, no frame, no line of the log, no line of /metrics, no element of the page.

A case is one hostile text in one place; it is asked over a socket, and every byte of the answer is looked at.
"""

import asyncio
import base64
import http.client
import json
import os
import re
import socket
import time
from urllib.parse import quote, quote_from_bytes

import websockets

from harness import Broker, Confluent, own_brokers

from broker import free_port

HOST = "127.0.0.1"
DEADLINE = 120
MARK = "Xinj"  # a header, a field or an element of this name is one that somebody else made
MARKUP = f"<img src=x onerror=document.title='{MARK}'><script>document.title='{MARK}'</script>"

HOSTILE = {
    "CR": f"a\rX-{MARK}: 1",
    "LF": f"a\nX-{MARK}: 1",
    "CRLF": f"a\r\nX-{MARK}: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-{MARK}: 2\r\n\r\n",
    "an event": f"a\n\nevent: {MARK}\ndata: {{}}\n\n",
    "an event, CR": f"a\r\revent: {MARK}\rdata: {{}}\r\r",
    "NUL": "a\x00b",
    "TAB": "a\tb",
    "ESC": "a\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "BEL and BS": "a\x07\x08\x08",
    "FF and VT": "a\x0c\x0bb",
    "DEL": "a\x7fb",
    "CSI of C1": "a\x9b31m",
    "NEL": "a\x85b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "bidi override": "a\u202egnp.exe",
    "bidi isolate": "a\u2066b\u2069",
    "zero width": "a\u200b\ufeffb",
    "markup": MARKUP,
    "attribute": f"\" onload=\"document.title='{MARK}'\" x='",
    "end of script": f"</script></textarea><script>document.title='{MARK}'</script>",
    "quotes": "a\"'`\\b",
    "a label": f'a"}} 1\n{MARK}{{x="',
    "percent": f"%0d%0aX-{MARK}:%201",
    "escapes": f"\\r\\nX-{MARK}: 1\\u000a",
    "format": "%s%n{}\\x1b[0m$(id)`id`",
}
# In UTF-8 they are none: for places that take bytes.
NOT_TEXT = {"lone surrogate": b"a\xed\xa0\x80b", "overlong line feed": b"a\xc0\x8ab", "latin": b"a\xff\xfeb"}

# What no terminal, log, header or page may be handed, as bytes or decoded.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
IN_LOGS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
IN_OURS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # strings of JSON that the broker writes

HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\x20-\x7e]*")
HEADERS = {
    b"content-type", b"content-length", b"cache-control", b"connection", b"date", b"server", b"location", b"etag",
    b"allow", b"retry-after", b"www-authenticate", b"transfer-encoding", b"idempotent-replayed", b"x-accel-buffering",
    b"content-security-policy", b"x-content-type-options", b"referrer-policy", b"x-frame-options", b"vary",
    b"access-control-allow-origin", b"upgrade", b"sec-websocket-accept", b"cross-origin-resource-policy",
    b"cross-origin-opener-policy",
}  # fmt: skip
METRIC = re.compile(r'(# (HELP|TYPE) .*|[a-z_]+(\{([a-z_]+="([^"\\\n]|\\[\\"n])*",?)*\})? [-+0-9.eInfNa]+)')


def serves(broker, port):
    """HTTP is there; the Kafka port is, a moment earlier."""
    while True:
        try:
            return socket.create_connection((HOST, port), DEADLINE).close()
        except OSError:
            if not broker.alive():
                raise
            time.sleep(0.02)


class Cases:
    """Counts hostile texts by place, and holds what comes back against the rules of its form."""

    def __init__(self, checks, port):
        self.checks, self.port, self.count, self.statuses = checks, port, 0, {}

    def bad(self, where, what):
        self.checks.problems.append(f"{where}: {what}")

    def send(self, request):
        """All that comes, until the server closes."""
        with socket.create_connection((HOST, self.port), DEADLINE) as connection:
            connection.settimeout(DEADLINE)
            connection.sendall(request)
            answer = b""
            while True:
                try:
                    piece = connection.recv(65536)
                except ConnectionError:
                    return answer
                if not piece:
                    return answer
                answer += piece

    def ask(self, where, method, target, body=b"", headers=()):
        """One case: `target` is percent-encoded, header values are sent as they are."""
        lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: localhost", b"Connection: close"]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        lines += [name.encode() + b": " + value for name, value in headers]
        return self.case(where, b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def case(self, where, request):
        self.count += 1
        self.checks.count += 1
        answer = self.send(request)
        status, body = self.read(where, answer)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 500:
            self.bad(where, f"{status} {body[:200]}")
        return status, body

    def read(self, where, answer):
        """Status and body of exactly one answer, whose head and end are what they should be."""
        head, gap, rest = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not gap or not re.fullmatch(rb"HTTP/1\.1 \d{3} [\x20-\x7e]*", lines[0]):
            self.bad(where, f"no head: {answer[:200]}")
            return 0, b""
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if not HEADER.fullmatch(line) or name.lower() not in HEADERS or name.lower() in fields:
                self.bad(where, f"a header {line[:200]}")
            fields[name.lower()] = value.strip()
        if fields.get(b"transfer-encoding") == b"chunked":
            body, rest = self.chunks(where, rest)
        elif b"content-length" in fields:
            length = int(fields[b"content-length"])
            body, rest = rest[:length], rest[length:]
        else:
            body, rest = rest, b""
        if rest:
            self.bad(where, f"something behind the answer: {rest[:200]}")
        kind = fields.get(b"content-type", b"").split(b";")[0]
        if kind in (b"application/json", b"application/problem+json"):
            self.json(where, body)
        elif kind == b"text/event-stream":
            self.events(where, body)
        elif body and kind not in (b"text/plain", b"application/x-ndjson"):
            self.bad(where, f"an answer of type {kind}")
        return int(lines[0].split()[1]), body

    def chunks(self, where, rest):
        body = b""
        while True:
            size, gap, rest = rest.partition(b"\r\n")
            if not gap or not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                self.bad(where, f"a chunk of length {size[:50]}")
                return body, b""
            length = int(size, 16)
            body, rest = body + rest[:length], rest[length + 2 :]
            if length == 0:
                return body, rest

    def json(self, where, body):
        text = body.decode("utf-8", errors="strict") if is_utf8(body) else None
        if text is None:
            return self.bad(where, f"not UTF-8: {body[:200]}")
        found = IN_OURS.search(text)
        if found:
            self.bad(where, f"{found.group()!r} in {text[max(0, found.start() - 60) : found.start() + 20]!r}")
        value = json.loads(text)
        if isinstance(value, dict) and MARK in value:
            self.bad(where, f"a member of somebody else's: {text[:200]}")
        return value

    def events(self, where, body):
        """The pushes of an event stream, whose lines are all the server's own."""
        pushes = []
        for line in re.split(rb"\r\n|\r|\n", body):
            if not re.fullmatch(rb"|:.*|(id|data|retry|event): ?[^\x00-\x1f\x7f]*", line) or MARK.encode() in line[:12]:
                self.bad(where, f"a line of somebody else's: {line[:200]}")
            if line.startswith(b"data:"):
                pushes.append(self.json(where, line[5:].strip()))
        return pushes


def is_utf8(body):
    try:
        body.decode()
        return True
    except UnicodeDecodeError:
        return False


def texts():
    """Every hostile text, and the bytes that are none."""
    for name, text in HOSTILE.items():
        yield name, text.encode("utf-8", errors="surrogatepass")
    yield from NOT_TEXT.items()


def in_targets(cases):
    """Names in paths, and values of queries: percent-encoded, so that everything arrives."""
    paths = [
        ("GET", "/v1/topics/{}"), ("DELETE", "/v1/topics/{}"), ("GET", "/v1/topics/id:{}"), ("GET", "/{}"),
        ("POST", "/v1/topics/{}:trim"), ("POST", "/v1/topics/{}/records"), ("GET", "/v1/topics/{}/records"),
        ("GET", "/v1/groups/{}"), ("GET", "/v1/groups/{}/lag"), ("DELETE", "/v1/groups/{}"), ("GET", "/errors/{}"),
        ("GET", "/v1/subscriptions/{}"), ("POST", "/v1/subscriptions/{}:pull"), ("DELETE", "/v1/users/{}"),
        ("GET", "/v1/channels/{}/presence"), ("GET", "/v1/channels/t%2F{}/receipts"), ("DELETE", "/v1/tokens/{}"),
        ("DELETE", "/v1/connections/{}"), ("GET", "/v1/stream?channel={}"), ("GET", "/v1/stream?{}=t"),
        ("GET", "/v1/stream?channel=t&from={}"), ("GET", "/v1/stream?channel=t&cursor={}"),
        ("GET", "/v1/stream?channel=t&last_event_id={}"), ("GET", "/v1/stream?channel=t&ticket={}&from=x"),
        ("GET", "/v1/topics/t/records?from={}"), ("GET", "/v1/topics/t/records?cursor={}"),
        ("GET", "/v1/topics/t/records?{}=1"), ("GET", "/v1/topics/t/records?limit={}"),
        ("GET", "/v1/topics/t/records?wait={}"), ("GET", "/v1/topics?prefix={}"), ("GET", "/v1/topics?cursor={}"),
        ("GET", "/v1/acls?name={}"), ("GET", "/v1/acls?principal={}"), ("POST", "/v1/topics/t/records?acks={}"),
    ]  # fmt: skip
    for method, path in paths:
        body = b"{}" if method == "POST" else b""
        for name, text in texts():
            cases.ask(f"{name} in {method} {path}", method, path.replace("{}", quote_from_bytes(text, safe="")), body)


def in_headers(cases):
    """As they are: what a header can not hold ends the request, the rest is somebody's word."""
    for header in (
        "Origin", "Apus-Client-Id", "Idempotency-Key", "Last-Event-ID", "If-Match", "Content-Type", "Authorization",
        "Apus-Key", "Apus-Key-Base64", "Apus-Partition", "Apus-Timestamp", "Apus-Header-x", "ce-id", "Prefer",
        "Expect", "User-Agent", "X-Forwarded-For", "Cookie",
    ):  # fmt: skip
        for name, text in texts():
            where = f"{name} in the header {header}"
            cases.ask(where, "POST", "/v1/topics/t/records", b'{"text":"x"}', [(header, text)])
    for name, text in texts():
        cases.ask(f"{name} in Last-Event-ID", "GET", "/v1/stream?channel=t", headers=[("Last-Event-ID", text)])
        cases.ask(f"{name} in an Origin", "GET", "/v1/stream?channel=t&from=x", headers=[("Origin", text)])
        quoted = b'"' + text + b'"'
        cases.ask(f"{name} in a quoted key", "POST", "/v1/topics/t/records", b"x", [("Idempotency-Key", quoted)])
        cases.case(f"{name} as a method", text + b" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        cases.case(f"{name} as a target", b"GET /" + text + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        cases.case(f"{name} as a host", b"GET / HTTP/1.1\r\nHost: " + text + b"\r\nConnection: close\r\n\r\n")
        raw = b"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + text + b": 1\r\n\r\n"
        cases.case(f"{name} as a header's name", raw)


def in_bodies(cases):
    """Strings of JSON, escaped and as they are; each field that a route quotes when it refuses."""
    bodies = [
        ("POST", "/v1/topics", '{"name":%s}'), ("POST", "/v1/topics", '{"name":"n","config":{%s:"1"}}'),
        ("POST", "/v1/topics", '{"name":"n","config":{"retention.ms":%s}}'), ("POST", "/v1/topics", '{%s:1}'),
        ("POST", "/v1/topics/t:trim", '{"before":%s}'), ("POST", "/v1/topics/t/records", '{%s:1}'),
        ("POST", "/v1/topics/t/records", '{"base64":%s}'), ("POST", "/v1/topics/t/records", '{"text":"x","key_base64":%s}'),
        ("POST", "/v1/subscriptions", '{"name":%s,"topics":["t"]}'), ("POST", "/v1/subscriptions", '{"name":"s","topics":[%s]}'),
        ("POST", "/v1/subscriptions", '{"name":"s","pattern":%s}'), ("POST", "/v1/subscriptions", '{"name":"s","topics":["t"],"owner":%s}'),
        ("PUT", "/v1/users/u", '{"password":%s}'), ("POST", "/v1/tokens", '{"name":%s}'), ("POST", "/v1/tokens", '{"name":"n","owner":%s}'),
        ("POST", "/v1/acls", '{"acls":[{"type":"topic","name":%s,"principal":"User:a","operation":"read"}]}'),
        ("POST", "/v1/acls", '{"acls":[{"type":"topic","name":"x","principal":%s,"operation":"read"}]}'),
        ("POST", "/v1/acls", '{"acls":[{"type":%s,"name":"x","principal":"User:a","operation":"read"}]}'),
        ("POST", "/v1/groups/g:seek", '{"to":%s}'), ("POST", "/v1/tickets", '{%s:1}'),
    ]  # fmt: skip
    for method, path, form in bodies:
        for name, text in HOSTILE.items():
            for escaped in (True, False):
                body = (form % json.dumps(text, ensure_ascii=escaped)).encode()
                cases.ask(f"{name} in {path} {form}", method, path, body, [("Content-Type", b"application/json")])
    for name, text in texts():
        cases.ask(f"{name} as JSON", "POST", "/v1/topics", text, [("Content-Type", b"application/json")])
        line = b'{"text":"' + text + b'"}\n' + b'{"' + text + b'":1}\n'
        cases.ask(f"{name} in lines", "POST", "/v1/topics/t/records", line, [("Content-Type", b"application/x-ndjson")])
    for path in ("/v1/topics", "/v1/subscriptions", "/v1/acls", "/v1/tokens", "/v1/users", "/v1/connections", "/v1/groups"):
        cases.ask(f"the list {path}", "GET", path)


def in_records(cases, address):
    """Keys, values, names and values of headers, and types: written by REST and by a Kafka client, and read back the
    same by REST, as an event stream and as metrics."""
    ask = http.client.HTTPConnection(HOST, cases.port, timeout=DEADLINE)
    ask.request("POST", "/v1/topics", '{"name":"records"}')
    ask.getresponse().read()
    wanted = []
    for name, text in HOSTILE.items():
        for field in ("text", "key", "header name", "header value", "type"):
            record = {"text": "x"}
            if field in ("text", "key", "type"):
                record[field] = text
            else:
                record["headers"] = [[text, "v"]] if field == "header name" else [["n", text]]
            body = json.dumps(record).encode()
            headers = [("Content-Type", b"application/json")]
            status, _ = cases.ask(f"{name} in {field}", "POST", "/v1/topics/records/records", body, headers)
            if status == 200:
                wanted.append((field, text))
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "client.id": "a\x1b[31m\r\nb\u2028\u202e"})
    for name, data in texts():
        cases.count += 1
        producer.produce("records", data, key=data, headers=[("h", data)])
        wanted.append(("kafka", data))
    producer.flush(DEADLINE)
    read_back(cases, wanted)


def read_back(cases, wanted):
    _, body = cases.ask("all of them by REST", "GET", "/v1/topics/records/records?from=earliest&limit=1000")
    by_rest = json.loads(body)["records"]
    cases.checks.equal("records by REST", len(by_rest), len(wanted))
    for record, (field, text) in zip(by_rest, wanted):
        if field == "kafka":
            cases.checks.equal("a value of a Kafka client", plain(record, "text", "base64"), text)
            cases.checks.equal("a key of a Kafka client", plain(record, "key", "key_base64"), text)
        elif field in ("text", "key", "type"):
            cases.checks.equal(f"{field} by REST", record.get(field), text)
        else:
            cases.checks.equal(f"{field} by REST", text in record["headers"][0], True)
    connection = socket.create_connection((HOST, cases.port), DEADLINE)
    connection.sendall(b"GET /v1/stream?channel=records&from=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heard, records = b"", []
    connection.settimeout(DEADLINE)
    while len(records) < len(wanted):
        heard += connection.recv(65536)
        whole = heard.partition(b"\r\n\r\n")[2].rpartition(b"\n\n")[0]
        found = [json.loads(line[5:]) for line in whole.split(b"\n") if line.startswith(b"data:")]
        records = [record for push in found for record in push.get("records", [])]
    connection.close()
    cases.count += len(wanted)
    head, _, body = heard.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        if not HEADER.fullmatch(line) or line.partition(b":")[0].lower() not in HEADERS:
            cases.bad("the stream's head", line)
    cases.events("the stream", body.rpartition(b"\n\n")[0])
    cases.checks.equal("records by event stream", records, by_rest)


def plain(record, text, encoded):
    return record[text].encode() if text in record else base64.b64decode(record.get(encoded, ""))


async def in_frames(cases):
    """Over a WebSocket: as client's name, as channel, in every field, and as records that are pushed to another."""
    url = f"ws://{HOST}:{cases.port}/v1/ws"
    async with websockets.connect(url) as reader, websockets.connect(url) as writer:
        for one in (reader, writer):
            await one.send('{"id":1,"op":"connect"}')
            cases.json("a frame", (await one.recv()).encode())
        await reader.send('{"id":2,"op":"subscribe","channel":"frames"}')
        await reader.recv()
        for name, text in HOSTILE.items():
            said = json.dumps(text)
            for form in (
                '{"id":%s,"op":"ping"}', '{"id":3,"op":%s}', '{"id":3,"op":"subscribe","channel":%s}', '{%s:1}', "%s",
                '{"id":3,"op":"subscribe","channel":"t","from":%s}', '{"id":3,"op":"read","channel":%s}',
                '{"id":3,"op":"subscribe","channel":"t","cursor":%s}', '{"id":3,"op":"create","topic":%s}',
                '{"id":3,"op":"delete_topic","topic":%s}', '{"id":3,"op":"unsubscribe","channel":%s}',
            ):  # fmt: skip
                cases.count += 1
                cases.checks.count += 1
                await writer.send(form % said)
                cases.json(f"{name} in {form}", (await asyncio.wait_for(writer.recv(), DEADLINE)).encode())
            record = {"id": 4, "op": "write", "topic": "frames", "key": text, "text": text, "headers": [["h", text]]}
            await writer.send(json.dumps(record))
            cases.json(f"{name} written", (await writer.recv()).encode())
            cases.count += 1
            push = cases.json(f"{name} pushed", (await asyncio.wait_for(reader.recv(), DEADLINE)).encode())
            found = push["records"][0]
            cases.checks.equal(f"{name} by WebSocket", (found["key"], found["text"]), (text, text))
    for name, text in HOSTILE.items():
        async with websockets.connect(url) as guest:
            cases.count += 1
            await guest.send(json.dumps({"id": 1, "op": "connect", "client": text}))
            cases.json(f"{name} as a client's name", (await guest.recv()).encode())
            cases.ask(f"{name} among the connections", "GET", "/v1/connections")


def in_numbers(cases):
    """/metrics, whose lines have names of groups in them."""
    _, body = cases.ask("/metrics", "GET", "/metrics")
    for line in body.decode().split("\n"):
        if line and (not METRIC.fullmatch(line) or CONTROL.search(line)):
            cases.bad("/metrics", line[:200])


def kafka_clients(cases, address):
    """What clients of the Kafka port call themselves is told by the list of connections, and by the log."""
    from confluent_kafka import Producer

    for name, text in HOSTILE.items():
        if "\x00" in text:  # a C string ends there
            continue
        client = Producer({"bootstrap.servers": address, "client.id": text})
        client.list_topics(timeout=DEADLINE)
        cases.ask(f"{name} as a client of the Kafka port", "GET", "/v1/connections?limit=1000")


def on_the_page(cases):
    """The page shows records as text; what is no letter is made visible, and nothing of it runs."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for word in "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage".split():
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"http://{HOST}:{cases.port}/#frames")
        end = time.monotonic() + DEADLINE
        shown = []
        while len(shown) < len(HOSTILE) and time.monotonic() < end:
            driver.execute_script(
                "[...document.querySelectorAll('button')].find((one) => one.textContent.startsWith('frames'))?.click()")
            shown = driver.execute_script(
                "return [...document.querySelectorAll('#rows tr')].map((row) => [...row.children].map((c) => c.textContent))")
        cases.count += len(shown)
        cases.checks.equal("records on the page", len(shown), len(HOSTILE))
        raw = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
        for row in shown:
            for text in row:
                cases.checks.true(f"shown as it is: {text!r}", not raw.search(text))
        cases.checks.true("nothing of it ran", MARK not in driver.title)
        elements = driver.execute_script("return document.querySelectorAll('#rows img, #rows script').length")
        cases.checks.equal("elements of somebody else's", elements, 0)
        severe = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        cases.checks.equal("errors in the console", severe, [])
    finally:
        driver.quit()


def in_the_log(cases, broker):
    """Every line begins as one of ours, and holds nothing that a terminal obeys."""
    for line in broker.said().split("\n"):
        found = IN_LOGS.search(line)
        if found:
            cases.bad("the log", repr(line[max(0, found.start() - 100) : found.start() + 40]))
        elif line and not re.match(r"\d{4}-\d\d-\d\dT|\{\"event\":|apus|\s*$", line):
            cases.bad("a line of the log", line[:200])


def body(checks, apus, folder):
    port = free_port()
    extra = ["--http", f"{HOST}:{port}", "--loops", "2", "--log-level", "trace"]
    broker = Broker(apus, os.path.join(folder, "data"), extra=extra)
    broker.start()
    try:
        serves(broker, port)
        address = f"{HOST}:{broker.port}"
        for topic in ("t", "frames"):
            Confluent.create(address, topic, 1)
        cases = Cases(checks, port)
        for part in (in_targets, in_headers, in_bodies):
            checks.part(part.__name__, part, cases)
        checks.part("in_records", in_records, cases, address)
        checks.part("in_frames", lambda: asyncio.run(asyncio.wait_for(in_frames(cases), 10 * DEADLINE)))
        checks.part("kafka_clients", kafka_clients, cases, address)
        checks.part("in_numbers", in_numbers, cases)
        checks.part("on_the_page", on_the_page, cases)
        checks.part("in_the_log", in_the_log, cases, broker)
        checks.true("the broker lives", broker.alive())
        checks.equal("it stops cleanly", broker.stop(), 0)
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(cases.statuses.items()))
        print(f"{cases.count} cases of injection ({answers})")
    finally:
        broker.kill()


own_brokers("injection", body)
