"""Presence and receipts through foreign clients: who was connected when the broker was killed leaves once in
`__presence`, as confluent-kafka reads it, within the lease; who comes back is there once."""

import asyncio
import http.client
import json
import os
import subprocess
import time

import websockets

from harness import Broker, Confluent, Record, own_brokers, until

from broker import free_port

TOPIC = "lounge"
CLIENTS = 30
BACK = 10
LEASE = 10


def body(checks, apus, folder):
    port = free_port()
    broker = Broker(apus, os.path.join(folder, "data"), extra=["--http", f"127.0.0.1:{port}"])
    broker.start()
    try:
        address, host = f"127.0.0.1:{broker.port}", f"127.0.0.1:{port}"
        Confluent.create(address, TOPIC, 1, {"apus.presence": "true", "apus.receipts": "true"})
        asyncio.run(asyncio.wait_for(lounge(checks, broker, address, host), 150))
        asyncio.run(asyncio.wait_for(node(checks, apus, address, host), 150))
        checks.true("the broker lives", broker.alive())
    finally:
        broker.kill()


async def lounge(checks, broker, address, host):
    first = [await connect(host, f"guest {number}") for number in range(CLIENTS)]
    # What clients call themselves is anybody's word.
    rude = await connect(host, 'x","event":"leave\r\n\x1b[31m')
    await asyncio.to_thread(until, lambda: count(host) == CLIENTS + 1, "everybody is there", 30)
    await receipts(checks, address, host, first[0][0])
    await asyncio.to_thread(broker.kill)
    for socket, _ in [*first, rude]:
        await socket.wait_closed()
    await asyncio.to_thread(broker.start)
    began = time.monotonic()
    await asyncio.to_thread(until, lambda: answers(host), "HTTP is served again", 60)
    back = [await connect(host, f"back {number}") for number in range(BACK)]
    await asyncio.to_thread(until, lambda: count(host) == BACK, "only those are there who came back", LEASE + 30)
    took = time.monotonic() - began
    checks.true(f"within the lease ({took:.1f} s)", took < LEASE + 8)
    events, left = await asyncio.to_thread(read, address)
    joins = [key for key, event in events if event["event"] == "join"]
    leaves = [key for key, event in events if event["event"] == "leave"]
    checks.equal("joins", len(joins), CLIENTS + 1 + BACK)
    checks.equal("each of them once", len(set(joins)), len(joins))
    checks.equal("leaves", len(leaves), CLIENTS + 1)
    checks.equal("each of those once", len(set(leaves)), len(leaves))
    checks.equal("who is there by the log", len(left), BACK)
    checks.true("nobody who came back has left", not set(leaves) & set(left))
    checks.true("reasons", {event["reason"] for _, event in events if "reason" in event} <= {"lease", "restarted"})
    await follow(checks, host, back)
    for socket, _ in back:
        await socket.close()
    await asyncio.to_thread(until, lambda: count(host) == 0, "nobody is there", 30)
    code = await asyncio.to_thread(broker.stop)
    checks.equal("stopped", code, 0)
    await asyncio.to_thread(broker.start)


async def node(checks, apus, address, host):
    """An endpoint server in a process of its own is killed: its clients leave, and those of another stay."""
    port = free_port()
    command = [apus, "serve", "--roles", "edge", "--upstream", address, "--http", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        there = f"127.0.0.1:{port}"
        await asyncio.to_thread(until, lambda: answers(there), "the endpoint server serves", 60)
        await asyncio.to_thread(until, lambda: answers(host), "HTTP is served again", 60)
        before, _ = await asyncio.to_thread(read, address)
        stays = await connect(host, "stays")
        guests = [await connect(there, f"guest of the edge {number}") for number in range(CLIENTS)]
        await asyncio.to_thread(until, lambda: count(host) == CLIENTS + 1, "all are there", 30)
        answer = await ask(guests[0][0], {"id": 7, "op": "presence", "channel": TOPIC})
        checks.equal("as the endpoint server says", answer.get("ok", {}).get("count"), CLIENTS + 1)
        written = await ask(guests[0][0], {"id": 8, "op": "write", "topic": TOPIC, "text": "hi"})
        await confirm(guests[0][0], written["ok"]["offset"])
        await asyncio.to_thread(until, lambda: get(host, "receipts")["items"], "its receipt", 30)
        process.kill()
        began = time.monotonic()
        await asyncio.to_thread(until, lambda: count(host) == 1, "those of the dead one have left", LEASE + 30)
        took = time.monotonic() - began
        checks.true(f"within the lease of the endpoint server ({took:.1f} s)", took < LEASE + 8)
        events, left = await asyncio.to_thread(read, address)
        leaves = [event for _, event in events[len(before) :] if event["event"] == "leave"]
        checks.equal("each of them has left once", len({event["conn"] for event in leaves}), CLIENTS)
        checks.equal("in as many leaves", len(leaves), CLIENTS)
        checks.equal("for that reason", {event["reason"] for event in leaves}, {"lease"})
        checks.equal("the other stays", [json.loads(key)[3] for key in left], [stays[1]])
        checks.equal("its receipts are over", get(host, "receipts")["items"], [])
        await stays[0].close()
    finally:
        process.kill()
        process.wait()


async def confirm(socket, offset):
    """What was not pushed yet can not be confirmed yet."""
    for _ in range(2000):
        answer = await ask(socket, {"id": 9, "op": "ack", "channel": TOPIC, "partition": 0, "offset": offset})
        if "ok" in answer:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"not pushed: {answer}")


async def connect(host, name):
    socket = await websockets.connect(f"ws://{host}/v1/ws", subprotocols=["apus.v1.json"])
    answer = await ask(socket, {"id": 1, "op": "connect", "client": name})
    await ask(socket, {"id": 2, "op": "subscribe", "channel": TOPIC})
    return socket, answer["ok"]["conn"]


async def receipts(checks, address, host, socket):
    sent = [Record(0, b"k", b'{"n":%d}' % number, [], int(time.time() * 1000)) for number in range(5)]
    await asyncio.to_thread(Confluent.produce, address, TOPIC, sent)
    seen = []
    while len(seen) < len(sent):
        push = json.loads(await socket.recv())
        seen += push.get("records", [])
    offset = seen[2]["offset"]
    answer = await ask(socket, {"id": 5, "op": "ack", "channel": TOPIC, "partition": 0, "offset": offset})
    checks.equal("confirmed", answer.get("ok"), {})
    answer = await ask(socket, {"id": 6, "op": "ack", "channel": TOPIC, "partition": 0, "offset": offset + 3})
    checks.equal("confirmed too much", answer.get("error", {}).get("code"), "offset_out_of_range")
    found = await asyncio.to_thread(until, lambda: get(host, "receipts")["items"], "a receipt", 30)
    checks.equal("receipts", len(found), 1)
    place = {name: found[0]["seen"][0][name] for name in ("partition", "offset", "behind")}
    checks.equal("the receipt", place, {"partition": 0, "offset": offset, "behind": 2})


async def follow(checks, host, back):
    """Who is there now, and who goes, over WebSocket: the newest record of each key first."""
    async with websockets.connect(f"ws://{host}/v1/ws") as socket:
        await ask(socket, {"id": 1, "op": "connect"})
        channel = f"__presence/{json.dumps([TOPIC])[:-1]},*"
        answer = await ask(socket, {"id": 2, "op": "subscribe", "channel": channel, "from": "last value"})
        checks.true("followed", "ok" in answer)
        found = []
        while len(found) < BACK:
            found += json.loads(await socket.recv()).get("records", [])
        checks.equal("who is there", sorted(r["value"]["conn"] for r in found), sorted(name for _, name in back))
        leaver, name = back.pop()
        await leaver.close()
        found = []
        while len(found) < 2:
            found += json.loads(await socket.recv()).get("records", [])
        checks.equal("who goes", (found[0]["value"]["event"], found[0]["value"]["conn"]), ("leave", name))
        checks.equal("and is forgotten", found[1].get("deleted"), True)


async def ask(socket, request):
    await socket.send(json.dumps(request))
    while True:
        answer = json.loads(await socket.recv())
        if answer.get("id") == request["id"]:
            return answer


def get(host, what):
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", f"/v1/channels/{TOPIC}/{what}?limit=1000")
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    # While it is read after a start it says so.
    return answer if response.status == 200 else {"count": None, "items": []}


def answers(host):
    try:
        get(host, "presence")
    except ConnectionRefusedError:
        time.sleep(0.02)
        return False
    return True


def count(host):
    return get(host, "presence")["count"]


def read(address):
    """All of `__presence` from its beginning: the events with their keys, and the keys that are there in the end."""
    events, there = [], {}
    for record in Confluent.read(address, "__presence", 0, 0):
        key = record.key.decode()
        if len(json.loads(key)) == 5:
            continue  # a receipt
        if record.value is None:
            there.pop(key, None)
        else:
            there[key] = json.loads(record.value)
            events.append((key, there[key]))
    return events, [key for key, event in there.items() if event["event"] == "join"]


own_brokers("presence", body)
