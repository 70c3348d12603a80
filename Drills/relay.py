"""Stands between the clients and the broker, and can be cut: from then on nothing the broker says reaches a client.

The relay is a process of its own. When `cut` returns, the kernel has ended it, so whatever a client has in hand or
in its socket was said by the broker before that moment. New clients wait at the door until the next `open`.
"""

import multiprocessing
import socket
import threading

PIECE = 1 << 16


class Relay:
    def __init__(self, broker_address):
        self.broker_address = broker_address
        self.door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.door.getsockname()
        self.process = None

    def open(self):
        self.process = multiprocessing.Process(target=serve, args=(self.door, self.broker_address), daemon=True)
        self.process.start()

    def cut(self):
        if self.process:
            self.process.kill()
            self.process.join()
            self.process = None

    def close(self):
        self.cut()
        self.door.close()


def serve(door, broker_address):
    while True:
        client, _ = door.accept()
        try:
            broker = socket.create_connection(broker_address, timeout=5)
        except OSError:
            client.close()
            continue
        for side in (client, broker):
            side.settimeout(None)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((client, broker), (broker, client)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source, sink):
    """Hands on what comes, until either side ends; then both end."""
    try:
        while piece := source.recv(PIECE):
            sink.sendall(piece)
    except OSError:
        pass
    for side in (source, sink):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
