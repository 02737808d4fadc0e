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


def receive_exactly(connection, size):
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("closed")
        received += part
    return received


def receive_frame(connection):
    """Flags and body."""
    flags, = receive_exactly(connection, 1)
    size = int.from_bytes(receive_exactly(connection, 8 if flags & 2 else 1), "big")
    return flags, receive_exactly(connection, size)


def shake_hands(connection, kind):
    """After this, messages may follow: a peer takes none before its own READY went out."""
    connection.sendall(GREETING + ready(kind))
    receive_exactly(connection, len(GREETING))
    if not receive_frame(connection)[1].startswith(b"\x05READY"):
        raise ConnectionError("not let in")


def receive_message(connection):
    """The frames of the next message; commands before it are passed over."""
    frames = []
    while True:
        flags, body = receive_frame(connection)
        if not flags & 4:
            frames.append(body)
            if not flags & 1:
                return frames
