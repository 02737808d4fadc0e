"""A port to which a node connects as to an upstream, and what an upstream that means harm does there:
attacks as those of attacks.py, of which the listener is a part."""

import socket
import time

import attacks
import zmtp
from allocd import DEADLINE, pack

TOPIC = b"BatchQuantityChanged/CHAIR/"
CHANGE = zmtp.message(TOPIC, pack({"type": "BatchQuantityChanged", "ref": "up", "qty": 5}))
BAD = zmtp.message(TOPIC, b"\xc1")
HELLO = zmtp.GREETING + zmtp.ready(b"PUB")


class Listener:
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(DEADLINE)
        self.endpoint = "tcp://127.0.0.1:%d" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

    def accept(self):
        connection = self.socket.accept()[0]
        connection.settimeout(attacks.PATIENCE)
        return connection

    def subscribed(self):
        """A connection to which the node has subscribed."""
        connection = self.accept()
        connection.settimeout(DEADLINE)
        connection.sendall(HELLO)
        received = b""
        while b"BatchQuantityChanged/" not in received:
            part = connection.recv(4096)
            if not part:
                raise ConnectionError("the node went away")
            received += part
        connection.settimeout(attacks.PATIENCE)
        return connection


def begun(data):
    """What connects, is subscribed to, and sends this first."""
    def connect(listener):
        connection = listener.subscribed()
        connection.sendall(data)
        return connection
    return connect


def accepted(data):
    """What connects and sends this first, whatever the node says."""
    def connect(listener):
        connection = listener.accept()
        connection.sendall(data)
        return connection
    return connect


def pouring(listener, data, connect=Listener.subscribed):
    """Sends this without end, after what `connect` does."""
    connection = connect(listener)
    while True:
        connection.sendall(data)
        yield


def each_time(listener, data, connect=Listener.subscribed, end=socket.socket.close):
    """Sends this once and ends the connection."""
    connection = connect(listener)
    attacks.send_some(connection, data)
    time.sleep(0.002)
    end(connection)
    yield
