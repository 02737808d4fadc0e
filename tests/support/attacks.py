"""What peers that mean harm do to a node: each attack is a generator that takes a node's endpoints
and yields after each of its steps. Whoever runs it says how long it lasts, and begins it anew when
the node has ended its connection. They send a lot with few calls, on plain sockets."""

import itertools
import os
import random
import select
import socket
import struct
import time

import zmtp
from allocd import pack

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that resets the connection
PATIENCE = 0.5                   # for a node that takes no more
LIST = {"type": "ListBatches", "sku": "LONG", "limit": 10_000}
EVENTS = {"type": "GetEvents", "limit": 10_000}


def request(fields):
    return zmtp.message(b"", pack(fields))


def greeted(endpoint, kind, receive_buffer=None):
    """A connection that has sent its part of the handshake, and read nothing."""
    connection = zmtp.connect(endpoint, PATIENCE, receive_buffer)
    connection.sendall(zmtp.GREETING + zmtp.ready(kind))
    return connection


def let_in(connection):
    """Reads the node's part of the handshake: before that, messages would break the protocol."""
    received = b""
    while b"\x05READY" not in received:
        part = connection.recv(4096)
        if not part:
            raise ConnectionError("closed during the handshake")
        received += part
    return connection


def hand_shaken(endpoint, kind, receive_buffer=None):
    return let_in(greeted(endpoint, kind, receive_buffer))


def many(count, connect):
    return [connect() for _ in range(count)]


def hand_shaken_ones(count, endpoint, kind, receive_buffer=None):
    """So many, let in a hundred at a time."""
    connections = []
    while len(connections) < count:
        some = many(min(100, count - len(connections)),
                    lambda: greeted(endpoint, kind, receive_buffer))
        connections += [let_in(connection) for connection in some]
    return connections


def send_some(connection, data):
    """As much of it as the kernel takes at once."""
    try:
        return connection.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def pour(connections, data):
    """Sends the data to all of them, again and again, each from where it was left."""
    sent = [0] * len(connections)
    poller = select.epoll()
    places = {connection.fileno(): place for place, connection in enumerate(connections)}
    for descriptor in places:
        poller.register(descriptor, select.EPOLLOUT)
    while True:
        for descriptor, _ in poller.poll(0.05):
            place = places[descriptor]
            sent[place] += send_some(connections[place], memoryview(data)[sent[place]:])
            sent[place] %= len(data)
        yield


def fill(connections, data):
    """Sends the data once to each of them, as far as the node takes it."""
    left = {connection: memoryview(data) for connection in connections}
    while True:
        for connection, rest in left.items():
            if rest:
                left[connection] = rest[send_some(connection, rest):]
        yield
        time.sleep(0.005)


def for_seconds(seconds, steps):
    """These steps, for so long."""
    end = time.monotonic() + seconds
    for _ in steps:
        yield
        if time.monotonic() > end:
            return


def hold(pause=0.05):
    """What they have stays as it is."""
    while True:
        time.sleep(pause)
        yield


# ---- on the command socket ----

def empty_frames_without_end(node):
    connection = hand_shaken(node.commands, b"DEALER")
    while True:
        connection.sendall(b"\x01\x00" * 32768)
        yield


def large_frames_without_end(node):
    connection = hand_shaken(node.commands, b"DEALER")
    data = zmtp.frame(b"x" * (1 << 20), more=True)
    while True:
        connection.sendall(data)
        yield


def many_with_a_little_each(node):
    """None of them has much, and none ends its message."""
    connections = hand_shaken_ones(100, node.commands, b"DEALER")
    while True:
        for connection in connections:
            connection.sendall(b"\x01\x00" * 1000)
        yield
        time.sleep(0.04)


def half_messages(node, count=400, size=None):
    """Each has sent nearly all of the longest envelope that is kept, or so many bytes of it."""
    connections = hand_shaken_ones(count, node.commands, b"DEALER")
    yield from fill(connections, zmtp.frame(b"x" * 1_000_000, more=True)[:size or -1])


def half_handshakes(node):
    """Each has sent nearly all of the longest READY that is read."""
    data = zmtp.GREETING + zmtp.ready(b"DEALER", (b"X-Name", b"x" * 4000))[:-1]
    connections = many(300, lambda: zmtp.connect(node.commands, PATIENCE))
    yield from for_seconds(2, fill(connections, data)) # then the node would close them


def a_thousand_that_say_nothing(node):
    endpoints = [node.events if number % 4 == 0 else node.commands for number in range(1000)]
    connections = []
    for number, endpoint in enumerate(endpoints):
        connections.append(zmtp.connect(endpoint, 5))
        if number % 4 == 1:
            zmtp.shake_hands(connections[-1], b"DEALER")
        yield
    yield from hold()


def two_hundred_with_garbage(node):
    chance = random.Random(1)
    connections = {}
    while True:
        for number in range(200):
            try:
                if number not in connections:
                    endpoint = node.events if number % 2 else node.commands
                    connections[number] = zmtp.connect(endpoint, PATIENCE)
                    if number % 3 == 0:
                        zmtp.shake_hands(connections[number], b"DEALER")
                connections[number].sendall(chance.randbytes(chance.randrange(1, 3000)))
            except OSError:
                if number in connections:
                    connections.pop(number).close()
        yield
        time.sleep(0.005)


def replies_never_read(node):
    connection = hand_shaken(node.commands, b"DEALER", 4096)
    yield from pour([connection], request(LIST) * 20)


def replies_that_many_never_read(node):
    """Each of them leaves less unread than it may, and all together more than there is room for."""
    connections = hand_shaken_ones(300, node.commands, b"DEALER", 4096)
    for connection in connections:
        send_some(connection, request(LIST) * 60)
        yield
    yield from hold()


def whole_requests_of_many(node):
    """More of them than can be carried out, from many at once, and no reply is read."""
    connections = hand_shaken_ones(900, node.commands, b"DEALER")
    yield from pour(connections, request({"type": "Ping", "id": "x" * 200}) * 200)


def requests_of_thousands(node):
    """From each as many as are read at once, of which few can be carried out soon."""
    connections = hand_shaken_ones(2500, node.commands, b"DEALER")
    data = request({"type": "Ping", "id": "x" * 200}) * 300
    for connection in connections:
        send_some(connection, data[:65_000])
    yield
    yield from hold()


HEAVY = b"\xdf" + (32_000).to_bytes(4, "big") + b"\xa0\xc0" * 32_000 # a map with one key 32,000 times


def bodies_of_many_keys(node):
    """What has to compare all keys with each other takes its time."""
    yield from pour([hand_shaken(node.commands, b"DEALER")], zmtp.message(b"", HEAVY) * 6)


def bodies_of_many_keys_then_close(node):
    connections = hand_shaken_ones(5, node.commands, b"DEALER")
    for connection in connections:
        send_some(connection, zmtp.message(b"", HEAVY) * 6)
    for connection in connections:
        connection.close()
    yield


def large_requests_of_many(node):
    connections = hand_shaken_ones(300, node.commands, b"DEALER")
    yield from pour(connections, zmtp.message(b"", b"\xa5" * (1 << 20)))


def envelopes_of_many(node):
    """An envelope comes back with its reply, so that it is kept, up to 1 MiB."""
    connections = hand_shaken_ones(100, node.commands, b"DEALER")
    yield from pour(connections, zmtp.message(b"e" * 1_040_000, b"", pack({"type": "Ping"})))


def pings_never_answered(node):
    """PINGs whose PONGs are not read."""
    connections = hand_shaken_ones(50, node.commands, b"DEALER", 4096)
    yield from pour(connections, zmtp.ping(0, b"x" * 16) * 3000)


def claimed_routing_ids(node):
    """All claim the id of the good client and of each other, and send requests."""
    hello = zmtp.GREETING + zmtp.ready(b"DEALER", (b"Identity", b"good"))
    connections = many(50, lambda: zmtp.connect(node.commands, PATIENCE))
    for connection in connections:
        connection.sendall(hello)
    while True:
        for connection in connections:
            send_some(connection, request({"type": "Ping"}) * 100)
        yield
        time.sleep(0.01)


def descriptors_run_short(node):
    while True:
        connections = []
        for number in range(400):
            try:
                connections.append(zmtp.connect(node.events if number % 2 else node.commands,
                                                PATIENCE))
            except OSError:
                pass
        for connection in connections:
            connection.close()
        yield
        time.sleep(0.005)


def more_queries_than_are_taken_in_then_close(node):
    """Ten of them; they close as a client does that was killed."""
    connections = hand_shaken_ones(10, node.commands, b"DEALER")
    for connection in connections:
        send_some(connection, request(EVENTS) * 20_000)
    yield
    time.sleep(0.02)
    for number, connection in enumerate(connections):
        if number % 2:
            reset(connection)
        else:
            connection.close()
    yield


def a_hundred_queries_then_close(node):
    connection = hand_shaken(node.commands, b"DEALER")
    connection.sendall(request(EVENTS) * 100)
    connection.close()
    yield


def pings_between_requests_then_reset(node):
    """libzmq 4.3.4 aborts when it has stopped reading such a connection by itself, and a PING is
    among what it read."""
    connection = hand_shaken(node.commands, b"DEALER")
    send_some(connection, (request({"type": "Ping"}) + zmtp.ping()) * 20_000)
    reset(connection)
    yield


def connect_and_reset(node):
    for connection in many(50, lambda: zmtp.connect(node.commands, PATIENCE)):
        reset(connection)
    yield


# ---- on the event socket ----

def subscriptions_without_end(node):
    connection = hand_shaken(node.events, b"SUB")
    for start in range(0, 1 << 32, 5000):
        connection.sendall(b"".join(zmtp.frame(b"\x01" + struct.pack(">I", number))
                                    for number in range(start, start + 5000)))
        yield


def one_random_topic_each(node, count, size):
    """Each subscribes to one long topic; then all of them close, and it begins anew."""
    connections = []
    while len(connections) < count:
        some = hand_shaken_ones(100, node.events, b"SUB")
        for connection in some:
            connection.sendall(zmtp.frame(b"\x01" + os.urandom(size)))
        connections += some
        yield
    for connection in connections:
        connection.close()
    yield


def within_what_each_may_subscribe(node, count=25):
    """Each has about as many subscriptions as it may; some 100 bytes are counted beside its own."""
    connections = hand_shaken_ones(count, node.events, b"SUB")
    for connection in connections:
        sent, size = 0, 200
        while sent + size + 96 < 900_000:
            some = b"".join(zmtp.frame(b"\x01" + os.urandom(size)) for _ in range(100))
            connection.settimeout(5)
            connection.sendall(some)
            sent += 100 * (size + 96)
            yield
    yield from hold()


def short_topics_within_what_each_may(node, count=25):
    connections = hand_shaken_ones(count, node.events, b"SUB")
    for connection in connections:
        connection.settimeout(5)
        for _ in range(14):
            connection.sendall(b"".join(zmtp.frame(b"\x01" + os.urandom(8)) for _ in range(1000)))
            yield
    yield from hold()


def topics_within_each_other(node):
    """Each has a chain of prefixes that ends just before the topic of the good client's events."""
    connections = hand_shaken_ones(1200, node.events, b"SUB")
    data = b"".join(zmtp.frame(b"\x01" + name + b"\0" * length)
                    for name in (b"Allocated/GOOD", b"Deallocated/GOOD") for length in range(1, 190))
    for connection in connections:
        connection.settimeout(5)
        connection.sendall(data)
        yield
    yield from hold()


def many_topics_and_an_empty_one(node):
    """The empty one comes and goes: all others begin with it."""
    connections = hand_shaken_ones(30, node.events, b"SUB")
    data = b"".join(zmtp.frame(b"\x01" + os.urandom(4)) for _ in range(15_000))
    for connection in connections:
        connection.settimeout(5)
        connection.sendall(data)
        yield
    yield from pour(connections, (zmtp.frame(b"\x01") + zmtp.frame(b"\x00")) * 2000)


def a_few_topics_of_thousands(node):
    """None of them has much."""
    connections = hand_shaken_ones(8000, node.events, b"SUB")
    for connection in connections:
        connection.settimeout(5)
        connection.sendall(b"".join(zmtp.frame(b"\x01" + os.urandom(8)) for _ in range(270)))
        yield
    yield from hold()


def welcome_again_and_again(node):
    connections = hand_shaken_ones(300, node.events, b"SUB")
    yield from pour(connections, zmtp.frame(b"\x01Welcome/") * 500)


def subscribe_and_cancel(node):
    connections = hand_shaken_ones(5, node.events, b"SUB")
    yield from pour(connections, (zmtp.frame(b"\x01Allocated/x/") + zmtp.frame(b"\x00Allocated/x/"))
                    * 5000)


def subscribe_and_reset(node):
    """They read nothing, go on subscribing, and are reset while they do."""
    connections = hand_shaken_ones(50, node.events, b"SUB", 4096)
    for connection in connections:
        send_some(connection, zmtp.frame(b"\x01"))
    yield from itertools.islice(pour(connections, b"".join(
        zmtp.frame(b"\x01" + os.urandom(8)) for _ in range(3000))), 40)
    for connection in connections:
        reset(connection)
    yield


def large_properties(node):
    """A handshake with 200 KiB of small properties, from sixty, which go and come again."""
    hello = zmtp.GREETING + zmtp.ready(b"SUB", *[(b"%x" % number, b"") for number in range(20_000)])
    connections = many(60, lambda: zmtp.connect(node.events, PATIENCE))
    for connection in connections:
        connection.sendall(hello)
        yield
    yield from itertools.islice(hold(), 4)
    for connection in connections:
        connection.close()
    yield


def events_never_read(node):
    connection = hand_shaken(node.events, b"SUB", 4096)
    connection.sendall(zmtp.frame(b"\x01"))
    while True:
        connection.sendall(zmtp.frame(b"\x01Welcome/"))
        yield
        time.sleep(0.05)


def events_that_many_never_read(node):
    connections = hand_shaken_ones(300, node.events, b"SUB", 4096)
    for connection in connections:
        connection.sendall(zmtp.frame(b"\x01") + zmtp.frame(b"\x01Welcome/"))
        yield
    yield from hold()


def half_subscriptions(node):
    """Each has sent nearly all of a subscription that may be."""
    connections = hand_shaken_ones(400, node.events, b"SUB")
    yield from fill(connections, zmtp.frame(b"\x01" + b"x" * 214)[:-1])
