"""A server that is no ZeroMQ: what it sends is up to a test, byte by byte."""

import os
import select
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import zmtp
from fake_node import DEADLINE_S, pack

STALLED_S = 1  # a socket that takes nothing for so long is read by nobody


class Liar:
    """Listens for commands or events; `lie(connection)` does as it likes once hands are shaken, or,
    where `kind` is None, without that. When it returns, the connection stays open to the end."""

    def __init__(self, lie, kind=b"ROUTER", path=None):
        self.lie, self.kind = lie, kind
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.commands = self.events = (
            "ipc://" + path if path else "tcp://127.0.0.1:%d" % self.listener.getsockname()[1])
        self.accepted, self.threads = [], []
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.settimeout(DEADLINE_S)
            self.accepted.append(connection)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        try:
            if self.kind is not None:
                zmtp.shake_hands(connection, self.kind)
            self.lie(connection)
        except (OSError, ConnectionError):
            pass  # zmq-send has gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for connection in self.accepted:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join()
        for connection in self.accepted:
            connection.close()


def message(*frames):
    return b"".join(zmtp.frame(body, more=i + 1 < len(frames)) for i, body in enumerate(frames))


def reply(request, value):
    """To a request as received."""
    return message(*request[:-1], value if isinstance(value, bytes) else pack(value))


def pulse(topic=b"Welcome/", seq=0):
    return message(topic, pack({"seq": seq, "time": 1}))


def pour(connection, data, size_max):
    """Sends it again and again, up to so many bytes, or until nobody takes any more. Returns how
    much was taken."""
    sent, view = 0, memoryview(data)
    connection.setblocking(False)
    while sent < size_max and select.select([], [connection], [], STALLED_S)[1]:
        sent += connection.send(view[sent % len(view):])
    connection.settimeout(DEADLINE_S)
    return sent
