"""ZeroMQ's wire protocol (ZMTP 3.0, mechanism NULL) by hand, over a plain TCP socket: for tests
that must not read, or must send what no ZeroMQ library would."""

import socket

GREETING = b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\x00") + b"\x00" * 32
assert len(GREETING) == 64


def ready(kind):
    """The command that ends a handshake; `kind` is a socket type such as b"DEALER"."""
    command = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return b"\x04" + bytes([len(command)]) + command


def frame(body, more=False):
    if len(body) < 256:
        return bytes([more, len(body)]) + body
    return bytes([2 | more]) + len(body).to_bytes(8, "big") + body


def connect(endpoint, deadline, receive_buffer=None):
    """A TCP connection to an endpoint of a node."""
    connection = socket.socket()
    connection.settimeout(deadline)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    connection.connect((host, int(port)))
    return connection


def shake_hands(connection, kind):
    """After this, messages may follow: a peer takes none before its own READY went out."""
    connection.sendall(GREETING + ready(kind))
    received = b""
    while b"\x05READY" not in received:
        part = connection.recv(1)
        if not part:
            raise ConnectionError("closed during the handshake")
        received += part
