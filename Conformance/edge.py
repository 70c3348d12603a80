"""WebSocket and event streams through foreign clients: the records of a Kafka client, each once, one offset each, also
when the broker is killed in between."""

import asyncio
import base64
import http.client
import json
import os
import struct
import time

import websockets

from harness import Broker, Confluent, Record, own_brokers

from broker import free_port

TOPIC, PARTITIONS, COUNT = "edge", 3, 400
DEADLINE = 120
START = int(time.time() * 1000) - 100_000


def records():
    return [
        Record(number % PARTITIONS, b"key %d" % (number % 7), json.dumps({"n": number}).encode(), [], START + number)
        for number in range(COUNT)
    ]


def body(checks, apus, folder):
    port = free_port()
    broker = Broker(apus, os.path.join(folder, "data"), extra=["--http", f"127.0.0.1:{port}", "--ws-deflate"])
    broker.start()
    try:
        address, host = f"127.0.0.1:{broker.port}", f"127.0.0.1:{port}"
        Confluent.create(address, TOPIC, PARTITIONS)
        sent = records()
        Confluent.produce(address, TOPIC, sent[: COUNT // 2])
        asyncio.run(asyncio.wait_for(sockets(checks, broker, address, host, sent), DEADLINE))
        checks.part("bytes", lambda: asyncio.run(asyncio.wait_for(in_bytes(checks, host), DEADLINE)))
        checks.part("stream", stream, checks, host, sent)
        checks.part("streams", streams, checks, host, sent)
        checks.part("refusals", refusals, checks, host)
        checks.part("four ways", four_ways, checks, address, host)
        checks.true("the broker lives", broker.alive())
    finally:
        broker.kill()


async def sockets(checks, broker, address, host, sent):
    url = f"ws://{host}/v1/ws"
    async with websockets.connect(url, subprotocols=["apus.v1.json"]) as socket:
        checks.equal("subprotocol", socket.subprotocol, "apus.v1.json")
        await ask(socket, {"id": 1, "op": "connect"})
        answer = await ask(socket, {"id": 2, "op": "subscribe", "channel": TOPIC, "from": "earliest"})
        checks.equal("recovered", answer["ok"]["recovered"], True)
        seen, cursor = await follow(socket, COUNT // 2)
        await (await socket.ping())
    checks.equal("the past", sorted(number for number, _, _ in seen), list(range(COUNT // 2)))
    # Its connection breaks, and meanwhile the broker is killed and comes back.
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    await asyncio.to_thread(Confluent.produce, address, TOPIC, sent[COUNT // 2 :])
    async with websockets.connect(url) as socket:
        await ask(socket, {"id": 1, "op": "connect"})
        await ask(socket, {"id": 2, "op": "subscribe", "channel": TOPIC, "cursor": cursor})
        rest, _ = await follow(socket, COUNT - COUNT // 2)
        written = await ask(socket, {"id": 3, "op": "write", "topic": TOPIC, "partition": 1, "text": "by socket"})
        checks.true("written", written["ok"]["partition"] == 1)
    checks.equal("resumed", sorted(number for number, _, _ in rest), list(range(COUNT // 2, COUNT)))
    for partition in range(PARTITIONS):
        offsets = [offset for _, place, offset in seen + rest if place == partition]
        checks.equal(f"offsets of {partition}", offsets, list(range(len(offsets))))
    async with websockets.connect(url) as socket:
        await socket.send(b"\x00")
        checks.equal("binary", await code(socket), 1003)
    try:
        async with websockets.connect(url, origin="https://evil.example"):
            checks.true("a foreign page was let in", False)
    except websockets.InvalidStatus as error:
        checks.equal("foreign page", error.response.status_code, 403)


async def in_bytes(checks, host):
    """The binary subprotocol, beside JSON on the same topic; pushes are compressed for whoever offers it."""
    url, value = f"ws://{host}/v1/ws", bytes(range(256)) * 8
    async with websockets.connect(url, subprotocols=["apus.v1.cbor"]) as socket, websockets.connect(
        url, compression=None
    ) as text:
        checks.equal("binary subprotocol", socket.subprotocol, "apus.v1.cbor")
        offers = [extension.name for extension in socket.protocol.extensions]
        checks.equal("compression", offers, ["permessage-deflate"])
        checks.true("no compression", not text.protocol.extensions)
        await say(socket, {"id": 1, "op": "connect"})
        await say(socket, {"id": 2, "op": "create", "topic": "in-bytes"})
        await say(socket, {"id": 3, "op": "subscribe", "channel": "in-bytes"})
        await ask(text, {"id": 1, "op": "connect"})
        await ask(text, {"id": 2, "op": "subscribe", "channel": "in-bytes"})
        await socket.send(cbor({"op": "write", "topic": "in-bytes", "key": b"\xff\x00", "value": value}))
        push = uncbor(await socket.recv())
        checks.equal("pushed bytes", [(r["key"], r["value"]) for r in push["records"]], [(b"\xff\x00", value)])
        other = json.loads(await text.recv())
        checks.equal("the same in JSON", base64.b64decode(other["records"][0]["base64"]), value)
        checks.equal("one offset", push["records"][0]["offset"], other["records"][0]["offset"])
        checks.equal("one cursor", push["cursor"], other["cursor"])
        answer = await say(socket, {"id": 4, "op": "read", "channel": "in-bytes"})
        checks.equal("read bytes", [r["value"] for r in answer["ok"]["records"]], [value])
        answer = await say(socket, {"id": 5, "op": "dance"})
        checks.equal("refused in bytes", answer["error"]["code"], "unknown_operation")
        await socket.send("{}")
        checks.equal("text where bytes are spoken", await code(socket), 1003)


async def say(socket, request):
    await socket.send(cbor(request))
    while True:
        answer = uncbor(await socket.recv())
        if answer.get("id") == request["id"]:
            return answer


def cbor(value):
    """RFC 8949, as far as operations need it."""

    def head(major, number):
        for short, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
            if number < 24:
                return bytes([major << 5 | number])
            if number < 1 << 8 * struct.calcsize(form):
                return bytes([major << 5 | short]) + struct.pack(form, number)
        raise ValueError(number)

    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(name) + cbor(item) for name, item in value.items())
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(0, value)


def uncbor(data):
    def item(at):
        major, short, at = data[at] >> 5, data[at] & 31, at + 1
        if major == 7:
            return {20: False, 21: True, 22: None}[short], at
        number = short
        if short >= 24:
            form = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}[short]
            (number,) = struct.unpack_from(form, data, at)
            at += struct.calcsize(form)
        if major in (2, 3):
            piece = bytes(data[at : at + number])
            return (piece if major == 2 else piece.decode()), at + number
        if major in (4, 5):
            items = []
            for _ in range(number * (major - 3)):
                one, at = item(at)
                items.append(one)
            return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
        return (number if major == 0 else -1 - number), at

    value, end = item(0)
    assert end == len(data), "something follows the item"
    return value


async def ask(socket, request):
    await socket.send(json.dumps(request))
    while True:
        answer = json.loads(await socket.recv())
        if answer.get("id") == request["id"]:
            return answer


async def follow(socket, count):
    seen, cursor = [], None
    while len(seen) < count:
        push = json.loads(await socket.recv())
        for record in push.get("records", []):
            seen.append((record["value"]["n"], record["partition"], record["offset"]))
        cursor = push.get("cursor", cursor)
    return seen, cursor


async def code(socket):
    try:
        while True:
            await socket.recv()
    except websockets.ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else None


def stream(checks, host, sent):
    connection = http.client.HTTPConnection(host, timeout=DEADLINE)
    connection.request("GET", f"/v1/stream?channel={TOPIC}&from=earliest")
    response = connection.getresponse()
    checks.equal("status", response.status, 200)
    checks.equal("type", response.getheader("content-type"), "text/event-stream")
    seen = []
    while len(seen) < len(sent):
        line = response.fp.readline()
        if not line.startswith(b"data: "):
            continue
        for record in json.loads(line[6:]).get("records", []):
            if "value" in record:
                seen.append(record["value"]["n"])
    connection.close()
    checks.equal("the stream's records", sorted(seen), list(range(COUNT)))


def four_ways(checks, address, host):
    """One record, by a Kafka consumer group, REST, a WebSocket and an event stream: one offset, one value."""
    topic, value = "four-ways", {"n": 7, "text": "Grüße"}
    Confluent.create(address, topic, PARTITIONS)
    sent = [Record(1, b"k", json.dumps(value).encode(), [], START + number) for number in range(5)]
    Confluent.produce(address, topic, sent)
    wanted = [(1, offset, value) for offset in range(len(sent))]
    consumer = Confluent.consumer(address, **{"group.id": "four-ways", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    grouped = []
    end = time.monotonic() + DEADLINE
    while len(grouped) < len(sent) and time.monotonic() < end:
        message = consumer.poll(1.0)
        if message is not None and not message.error():
            grouped.append((message.partition(), message.offset(), json.loads(message.value())))
    consumer.close()
    checks.equal("by a consumer group", grouped, wanted)
    connection = http.client.HTTPConnection(host, timeout=DEADLINE)
    connection.request("GET", f"/v1/topics/{topic}/records?partition=1&from=earliest")
    checks.equal("by REST", told(json.loads(connection.getresponse().read())), wanted)
    connection.close()
    checks.equal("by WebSocket", asyncio.run(asyncio.wait_for(by_socket(host, topic, len(sent)), DEADLINE)), wanted)
    connection = http.client.HTTPConnection(host, timeout=DEADLINE)
    connection.request("GET", f"/v1/stream?channel={topic}&from=earliest")
    response, streamed = connection.getresponse(), []
    while len(streamed) < len(sent):
        line = response.fp.readline()
        if line.startswith(b"data: "):
            streamed += told(json.loads(line[6:]))
    connection.close()
    checks.equal("by an event stream", streamed, wanted)


def told(push):
    return [(record["partition"], record["offset"], record["value"]) for record in push.get("records", [])]


async def by_socket(host, topic, count):
    seen = []
    async with websockets.connect(f"ws://{host}/v1/ws", subprotocols=["apus.v1.json"]) as socket:
        await ask(socket, {"id": 1, "op": "connect"})
        await ask(socket, {"id": 2, "op": "subscribe", "channel": topic, "from": "earliest"})
        while len(seen) < count:
            seen += told(json.loads(await socket.recv()))
    return seen


def streams(checks, host, sent):
    """Two channels over one stream, cut off in the middle of an event, and resumed by its id."""
    key = [number for number, record in enumerate(sent) if record.key == b"key 3"]
    wanted = sorted([("all", n) for n in range(COUNT)] + [("key", n) for n in key])
    seen, last = [], ""
    for goal in (COUNT // 3, len(wanted)):
        connection = http.client.HTTPConnection(host, timeout=DEADLINE)
        headers = {"Last-Event-ID": last} if last else {}
        query = f"channel={TOPIC}&channel={TOPIC}/key%203*&from=earliest"
        connection.request("GET", f"/v1/stream?{query}", headers=headers)
        response = connection.getresponse()
        checks.equal("status of two", response.status, 200)
        id, data = None, {}
        while len(seen) < goal:
            line = response.fp.readline().rstrip(b"\n")
            if line.startswith(b"id: "):
                id = line[4:].decode()
            elif line.startswith(b"data: "):
                data = json.loads(line[6:])
            elif not line and id is not None:
                last, id = id, None
                which = "all" if data.get("channel") == TOPIC else "key"
                seen += [(which, record["value"]["n"]) for record in data.get("records", []) if "value" in record]
                data = {}
        connection.close()
    checks.equal("records of two channels", sorted(seen), wanted)


def refusals(checks, host):
    for target, status in (
        ("/v1/stream?channel=none", 404),
        ("/v1/stream", 400),
        (f"/v1/stream?channel={TOPIC}&last_event_id=forged", 400),
        ("/v1/ws", 400),
    ):
        connection = http.client.HTTPConnection(host, timeout=DEADLINE)
        connection.request("GET", target)
        response = connection.getresponse()
        checks.equal(f"status of {target}", response.status, status)
        checks.equal(f"problem of {target}", json.loads(response.read())["status"], status)
        connection.close()


own_brokers("edge", body)
