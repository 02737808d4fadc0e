"""ZeroMQ's wire protocol (ZMTP 3.x, mechanism NULL) by hand, over a plain TCP or ipc socket: for
tests that must not read, or must send what no ZeroMQ library would."""

import socket


def greeting(minor=0, mechanism=b"NULL", as_server=0):
    return (b"\xff" + b"\x00" * 8 + b"\x7f\x03" + bytes([minor]) + mechanism.ljust(20, b"\x00")
            + bytes([as_server]) + b"\x00" * 31)


GREETING = greeting()
assert len(GREETING) == 64


def property_of(name, value):
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


def ready(kind, *more):
    """The command that ends a handshake; `kind` is a socket type such as b"DEALER", and `more` are
    pairs of further properties."""
    return command(b"READY", b"".join(property_of(*pair)
                                      for pair in ((b"Socket-Type", kind), *more)))


def command(name, data=b""):
    body = bytes([len(name)]) + name + data
    if len(body) < 256:
        return bytes([4, len(body)]) + body
    return b"\x06" + len(body).to_bytes(8, "big") + body


def ping(ttl=0, context=b""):
    return command(b"PING", ttl.to_bytes(2, "big") + context)


def frame(body, more=False):
    if len(body) < 256:
        return bytes([more, len(body)]) + body
    return bytes([2 | more]) + len(body).to_bytes(8, "big") + body


def message(*bodies):
    return b"".join(frame(body, more=place < len(bodies) - 1) for place, body in enumerate(bodies))


def connect(endpoint, deadline, receive_buffer=None):
    """A connection to an endpoint of a node, over TCP or ipc."""
    is_ipc = endpoint.startswith("ipc://")
    connection = socket.socket(socket.AF_UNIX if is_ipc else socket.AF_INET)
    connection.settimeout(deadline)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        if is_ipc:
            connection.connect(endpoint.removeprefix("ipc://"))
        else:
            host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
            connection.connect((host, int(port)))
    except OSError:
        connection.close()
        raise
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


class Reader:
    """Takes what a node sends apart, from the byte after its greeting on or from any frame on.
    `commands` are those that came between messages: name and data."""

    def __init__(self, connection, kept=b""):
        self.connection, self.buffer, self.commands = connection, bytearray(kept), []

    def take(self, count):
        while len(self.buffer) < count:
            part = self.connection.recv(1 << 18)
            if not part:
                raise ConnectionError("the node closed the connection")
            self.buffer += part
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def frame(self):
        """Flags and body of the next frame."""
        flags = self.take(1)[0]
        size = int.from_bytes(self.take(8 if flags & 2 else 1), "big")
        return flags, self.take(size)

    def message(self):
        """The frames of the next message."""
        frames = []
        while True:
            flags, body = self.frame()
            if flags & 4:
                name_end = 1 + body[0]
                self.commands.append((body[1:name_end], body[name_end:]))
                continue
            frames.append(body)
            if not flags & 1:
                return frames

    def until_command(self, name):
        """The data of the next command of that name; what comes before it is passed over."""
        while True:
            flags, body = self.frame()
            if flags & 4 and body[1:1 + body[0]] == name:
                return body[1 + body[0]:]


class Peer:
    """A connection whose handshake is done, and which reads messages."""

    def __init__(self, endpoint, kind, deadline, receive_buffer=None, minor=0, more=()):
        self.socket = connect(endpoint, deadline, receive_buffer)
        self.reader = Reader(self.socket)
        self.socket.sendall(greeting(minor) + ready(kind, *more))
        self.greeting = self.reader.take(64)
        self.ready = self.reader.until_command(b"READY")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def message(self):
        return self.reader.message()
