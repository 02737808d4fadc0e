"""Clients that ask for a lot and read every reply, many of them in one process."""

import select
import time

import attacks
from allocd import DEADLINE


class Asker:
    """One connection. It knows no more of replies than where they end."""

    def __init__(self, connection, body):
        self.connection, self.body = connection, body
        connection.setblocking(False)
        self.unsent, self.buffer, self.skip, self.is_last = b"", b"", 0, False
        self.replies = 0

    def ask(self, count):
        self.unsent = self.unsent + self.body * count if self.unsent else self.body * count
        self.flush()

    def flush(self):
        if self.unsent:
            self.unsent = self.unsent[attacks.send_some(self.connection, self.unsent):]

    def read(self):
        """How many replies have come to their end."""
        try:
            data = self.connection.recv(1 << 18)
        except BlockingIOError:
            return 0
        if not data:
            raise ConnectionError("an honest client was cut off")
        return self.take(data)

    def take(self, data):
        ended, place = 0, 0
        data = self.buffer + data if self.buffer else data
        self.buffer = b""
        while True:
            step = min(self.skip, len(data) - place)
            place += step
            self.skip -= step
            if self.skip:
                break
            if self.is_last:
                ended += 1
                self.is_last = False
            header = self.header(data, place)
            if header is None:
                self.buffer = data[place:]
                break
            place += header
        self.replies += ended
        return ended

    def header(self, data, place):
        """Its length, where all of it is there; then the frame's body is to be skipped."""
        if len(data) - place < 2:
            return None
        flags = data[place]
        if not flags & 2:
            self.skip, length = data[place + 1], 2
        elif len(data) - place < 9:
            return None
        else:
            self.skip, length = int.from_bytes(data[place + 1:place + 9], "big"), 9
        self.is_last = not flags & 5 # no more frames, and no command
        if self.skip == 0 and self.is_last:
            raise AssertionError("a reply without a body")
        return length


class Crowd:
    def __init__(self, endpoint, count, in_flight, fields):
        body = attacks.request(fields)
        connections = attacks.hand_shaken_ones(count, endpoint, b"DEALER")
        self.askers = {connection.fileno(): Asker(connection, body) for connection in connections}
        self.cut = []
        self.poller = select.epoll()
        for descriptor, asker in self.askers.items():
            self.poller.register(descriptor, select.EPOLLIN)
            asker.ask(in_flight)

    def step(self, again=True, patience=0.05):
        """Reads what has come, and asks again for as many as were answered."""
        for descriptor, _ in self.poller.poll(patience):
            asker = self.askers[descriptor]
            try:
                ended = asker.read()
                if ended and again:
                    asker.ask(ended)
            except OSError:
                self.poller.unregister(descriptor)
                self.cut.append(self.askers.pop(descriptor))
        self.flush()

    def flush(self):
        for asker in self.askers.values():
            try:
                asker.flush()
            except OSError:
                pass # it is found to be cut off where it is read

    def replies(self):
        return [asker.replies for asker in [*self.askers.values(), *self.cut]]


def for_ever(node, count, in_flight=1, fields=attacks.EVENTS):
    """As an attack is run: count honest clients, each with so many queries in flight."""
    crowd = Crowd(node.commands, count, in_flight, fields)
    while True:
        crowd.step()
        yield


def until_all_read(endpoint, count, in_flight, fields=attacks.EVENTS):
    """So many clients ask so much at once and read it all; gives how many replies each of them got,
    and the seconds that it took. Ends early where nothing more comes."""
    begin = last = time.monotonic()
    crowd = Crowd(endpoint, count, in_flight, fields)
    seen = 0
    while seen < count * in_flight and crowd.askers and time.monotonic() < last + DEADLINE:
        crowd.step(again=False)
        if sum(crowd.replies()) > seen:
            seen, last = sum(crowd.replies()), time.monotonic()
    for asker in crowd.askers.values():
        asker.connection.close()
    return crowd.replies(), time.monotonic() - begin
