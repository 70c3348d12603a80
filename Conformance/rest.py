"""REST by clients that are not ours: each verb and the error of its misuse, the description held against the server by
schemathesis, and bytes that mean no good."""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

from harness import Broker, own_brokers

from broker import free_port

HOST = "127.0.0.1"


def ask(port, method, target, body=None, headers=None):
    """Status and body of one request, on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def serves(broker, port):
    """HTTP is there; the Kafka port is, a moment earlier."""
    while True:
        try:
            return ask(port, "GET", "/livez")
        except OSError:
            if not broker.alive():
                raise
            time.sleep(0.02)


def verbs(checks, port):
    """The dialogue of README.md."""
    topics, records = "/v1/topics", "/v1/topics/chat/records"
    wish = '{"name":"chat","partitions":3}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl says of -d
    checks.equal("create", ask(port, "POST", topics, wish, form)[0], 201)
    checks.equal("create again", ask(port, "POST", topics, wish, form)[0], 409)
    checks.equal("create what can not be", ask(port, "POST", topics, '{"name":"a b"}', form)[0], 400)
    checks.equal("write", ask(port, "POST", records, "hi", form)[0], 200)
    checks.equal("write nowhere", ask(port, "POST", "/v1/topics/none/records", "hi", form)[0], 404)
    status, body = ask(port, "GET", records + "?from=earliest")
    checks.equal("read", (status, [r["text"] for r in json.loads(body)["records"]]), (200, ["hi"]))
    checks.equal("read at no time", ask(port, "GET", records + "?from=tomorrow")[0], 400)
    checks.equal("delete_topic", ask(port, "DELETE", "/v1/topics/chat")[0], 204)
    status, body = ask(port, "DELETE", "/v1/topics/chat")
    problem = json.loads(body)
    checks.equal("delete_topic again", (status, problem["code"], problem["kafka_error"]), (404, "topic_not_found", 3))


def stream(checks, port):
    """100,000 lines, a report for each, and every one of them read back once."""
    ask(port, "POST", "/v1/topics", '{"name":"lines","partitions":2}')
    lines = b"".join(b'{"value":%d,"key":"k%d"}\n' % (n, n % 100) for n in range(100_000))
    status, body = ask(port, "POST", "/v1/topics/lines/records", lines, {"Content-Type": "application/x-ndjson"})
    places = [json.loads(line) for line in body.splitlines()]
    checks.equal("lines", (status, len(places), sum("offset" in place for place in places)), (200, 100_000, 100_000))
    found, query = [], "from=earliest"
    while True:
        answer = json.loads(ask(port, "GET", f"/v1/topics/lines/records?limit=1000&{query}")[1])
        if not answer["records"]:
            break
        found += [record["value"] for record in answer["records"]]
        query = "cursor=" + answer["cursor"]
    checks.equal("lines read by cursor", sorted(found) == list(range(100_000)), True)


def pulled(checks, port):
    """A subscription read over HTTP: what is not acknowledged comes again, what is never does."""
    ask(port, "POST", "/v1/topics", '{"name":"jobs","partitions":3}')
    lines = b"".join(b'{"value":%d,"key":"k%d"}\n' % (n, n) for n in range(250))
    ask(port, "POST", "/v1/topics/jobs/records", lines, {"Content-Type": "application/x-ndjson"})
    name = "/v1/subscriptions/workers"
    status = ask(port, "POST", "/v1/subscriptions", '{"name":"workers","topics":["jobs"],"start":"earliest"}')[0]
    checks.equal("subscription", status, 201)

    def post(verb, wish):
        while True:
            status, body = ask(port, "POST", name + verb, json.dumps(wish))
            if status != 503:  # the coordinators' topic is made by the first who needs it
                return status, json.loads(body)
            time.sleep(0.05)

    def values(answer):
        return [record["value"] for topic in answer["topics"] for record in topic["records"]]

    first, again = (values(post(":pull", {"max": 100})[1]) for _ in range(2))
    checks.equal("not acknowledged", (len(first), again), (100, first))
    seen = []
    while True:
        answer = post(":pull", {"max": 100, "wait": "100ms"})[1]
        if not answer["topics"]:
            break
        seen += values(answer)
        checks.equal("ack", post(":ack", {"positions": answer["positions"]})[0], 200)
    checks.equal("each once", sorted(seen), list(range(250)))
    lag = json.loads(ask(port, "GET", "/v1/groups/workers/lag")[1])["total_lag"]
    line = 'kafka_consumergroup_lag{consumergroup="workers",topic="jobs",partition="0"} 0'
    checks.equal("lag", (lag, line in ask(port, "GET", "/metrics")[1].splitlines()), (0, True))
    checks.equal("seek", post(":seek", {"to": "earliest"})[0], 200)
    checks.equal("from the beginning", len(values(post(":pull", {"max": 1000})[1])), 250)


def known(checks, broker, port):
    """A write with a key is done once: sent twice, sent while the broker is killed, and sent to its next life."""
    ask(port, "POST", "/v1/topics", '{"name":"once","partitions":3}')
    path, form = "/v1/topics/once/records", {"Content-Type": "application/json"}

    def write(key, value, port=port):
        return ask(port, "POST", path, json.dumps({"value": value}), {**form, "Idempotency-Key": f'"{key}"'})

    def place(answer):
        record = json.loads(answer[1])["records"][0]
        return record["partition"], record["offset"]

    first = {n: place(write(f"k{n}", n)) for n in range(100)}
    checks.equal("known at once", {n: place(write(f"k{n}", n)) for n in range(100)}, first)
    checks.equal("another write", write("k7", 8)[0], 422)
    # Twenty clients write while the broker is killed, and send again whatever they had no answer to.
    answers, begun = {}, threading.Event()

    def client(number):
        for n in range(1000 + number, 3000, 20):
            while n not in answers:
                try:
                    status, text = write(f"k{n}", n)
                    if status == 200:
                        answers[n] = place((status, text))
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
            if len(answers) > 300:
                begun.set()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(20)]
    for one in clients:
        one.start()
    for _ in range(2):
        checks.true("they write", begun.wait(120))
        broker.kill()
        broker.start()
        serves(broker, port)
        begun.clear()
    for one in clients:
        one.join()
    checks.equal("answered", len(answers), 2000)
    again = {n: place(write(f"k{n}", n)) for n in list(first) + sorted(answers)}
    checks.equal("the same places after kill -9", again, {**first, **answers})
    found, query = [], "from=earliest"
    while True:
        page = json.loads(ask(port, "GET", f"{path}?limit=1000&{query}")[1])
        if not page["records"]:
            break
        found += [record["value"] for record in page["records"]]
        query = "cursor=" + page["cursor"]
    checks.equal("each written once", sorted(found), list(range(100)) + list(range(1000, 3000)))
    print(f"{len(found)} writes with a key, each once, over two kills")


def clients(checks, port):
    """Tickets are good once; who is connected is listed, and disconnected by name."""
    ticket = json.loads(ask(port, "POST", "/v1/tickets")[1])["ticket"]
    target = "/v1/stream?channel=jobs&ticket=" + ticket
    stream = http.client.HTTPConnection(HOST, port, timeout=60)
    stream.request("GET", target)
    answer = stream.getresponse()
    checks.equal("a ticket", answer.status, 200)
    checks.equal("the same ticket", ask(port, "GET", target)[0], 401)
    items = json.loads(ask(port, "GET", "/v1/connections")[1])["items"]
    name = next(item["conn"] for item in items if item["transport"] == "sse")
    checks.equal("disconnect", ask(port, "DELETE", "/v1/connections/" + name)[0], 204)
    checks.true("the stream ends with its code", b'"code":4004' in answer.read())
    checks.equal("disconnect again", ask(port, "DELETE", "/v1/connections/" + name)[0], 404)
    made = json.loads(ask(port, "POST", "/v1/tokens", '{"name":"ci"}')[1])
    listed = ask(port, "GET", "/v1/tokens")[1]
    secret = made["token"].split("_", 2)[2]
    checks.equal("a key is listed without its secret", (made["id"] in listed, secret in listed), (True, False))
    checks.equal("a key is removed", ask(port, "DELETE", "/v1/tokens/" + made["id"])[0], 204)
    edge = json.loads(ask(port, "GET", "/asyncapi.json")[1])
    checks.true("the edge is described", edge["asyncapi"] == "3.0.0" and "subscribe" in edge["operations"])


def described(checks, port, folder):
    """schemathesis, when it is there: no answer that the description does not know, no 500."""
    tool = os.path.join(os.path.dirname(sys.executable), "st")
    ask(port, "POST", "/v1/topics", '{"name":"t"}')
    # It knows no lines by itself; what it makes is a text.
    with open(os.path.join(folder, "lines_hook.py"), "w") as hook:
        hook.write(
            "import schemathesis\n\n\n@schemathesis.serializer('application/x-ndjson')\n"
            "def lines(context, value):\n    return str(value).encode(errors='replace')\n"
        )
    words = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [tool, "run", f"http://{HOST}:{port}/openapi.json", "--checks", words, "--max-examples", "50"],
        capture_output=True, text=True, timeout=900, cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "lines_hook"},
    )
    print(next((line.strip() for line in done.stdout.splitlines() if "generated," in line), ""), "(schemathesis)")
    checks.equal("schemathesis", (done.returncode, done.stdout[-3000:] if done.returncode else ""), (0, ""))


def hostile(checks, port):
    """Requests with bytes changed, cut and lengthened: each is answered or closed, and nobody else notices."""
    generator = random.Random(20261121)
    whole = [
        b"GET /v1/topics/t/records?from=-9223372036854775808 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/topics/t/records?from=@99999999999999999&limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n{\"value\":[1]}",
        b"POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\n\r\n",
        b"POST /v1/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{\"name\":\"t\\u0000\",\"a\":",
        b"GET /v1/stream?channel=t HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: x\r\nConnection: close\r\n\r\n",
    ]
    statuses = {}
    for _ in range(3000):
        request = bytearray(generator.choice(whole))
        for _ in range(generator.randrange(4)):
            request[generator.randrange(len(request))] = generator.randrange(256)
        if generator.randrange(5) == 0:
            request += bytes(generator.randrange(256) for _ in range(generator.randrange(300)))
        with socket.create_connection((HOST, port), 30) as connection:
            connection.settimeout(0.05)
            connection.sendall(request[: generator.randrange(len(request))] if generator.randrange(5) == 0 else request)
            try:
                status = connection.recv(12)[9:12].decode("latin1")
            except (TimeoutError, ConnectionError):
                status = ""
        statuses[status] = statuses.get(status, 0) + 1
    checks.true(f"no server error among {statuses}", not any(status.startswith("5") for status in statuses))
    checks.equal("it goes on", ask(port, "GET", "/livez")[0], 200)


def body(checks, apus, folder):
    port = free_port()
    broker = Broker(apus, os.path.join(folder, "data"), extra=["--http", f"{HOST}:{port}", "--loops", "2"])
    broker.start()
    try:
        serves(broker, port)
        checks.part("verbs", verbs, checks, port)
        checks.part("stream", stream, checks, port)
        checks.part("pulled", pulled, checks, port)
        checks.part("known", known, checks, broker, port)
        checks.part("clients", clients, checks, port)
        checks.part("hostile", hostile, checks, port)
        checks.part("described", described, checks, port, folder)
        checks.true("the broker lives", broker.alive())
        checks.equal("it stops cleanly", broker.stop(), 0)
    finally:
        broker.kill()


own_brokers("rest", body)
