#!/usr/bin/python3
"""Peers that mean harm, one kind after the other, then all kinds at once. While one kind is at it,
the node may grow by 64 MiB at most, and a good client gets each reply, no more than three times
slower than alone. While all are, it is still served, and the node still ends when it is told to.
What was measured is printed as a table.

Alone and attacked are measured by turns, and of several tries the best counts: other work of the
machine, or the attack itself, may take the processor.

HOSTILE_SECONDS (1) says how long each attack lasts."""

import multiprocessing
import os
import random
import resource
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time
import unittest
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

import zmtp
from allocd import DEADLINE, Client, Node, Subscriber, let_pass, pack, program, wait_until

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "1"))
GROWTH_MAX = 64 << 20
SLOWER_MAX = 3.0
LOG_LINES_MAX = 6      # in a second: each kind of line comes once at most
RECONNECT_SECONDS = 0.01 # after the node has ended a connection
PAIRS_MIN = 5          # of windows, alone and attacked
TRIES = 5              # of as many, if the rate is too low at first
END_SECONDS = 5        # in which SIGTERM is obeyed, while attacked
ROUND_TRIPS = 40       # of a window, and requests in flight at once
IN_FLIGHT = 400

# A sanitizer keeps what was freed, and shadows what is used: the node may have so many times more.
SANITIZERS = {b"__asan_init": 4, b"__tsan_init": 16}
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"


def sanitizer_factor():
    code = Path(program("ALLOCD", "allocd")).read_bytes()
    return max([1] + [factor for name, factor in SANITIZERS.items() if name in code])


# ---- attacks: each runs in a process of its own until `stop` is set, on plain sockets ----

def hand_shaken(endpoint, kind, receive_buffer=None):
    connection = zmtp.connect(endpoint, 0.5, receive_buffer)
    zmtp.shake_hands(connection, kind)
    return connection


def run_attack(kind, node, stop):
    warnings.simplefilter("ignore", ResourceWarning)
    kind(node, stop)


def reconnecting(attack, stop):
    """Does it again and again, each time that the node has ended the connection."""
    while not stop.is_set():
        try:
            attack()
        except OSError:
            stop.wait(RECONNECT_SECONDS)


def pour(connection, data, stop):
    """Sends it for ever."""
    while not stop.is_set():
        try:
            connection.sendall(data)
        except TimeoutError:
            return


def empty_frames_without_end(node, stop):
    reconnecting(lambda: pour(hand_shaken(node.commands, b"DEALER"), b"\x01\x00" * 32768, stop),
                 stop)


def large_frames_without_end(node, stop):
    data = zmtp.frame(b"x" * (1 << 20), more=True)
    reconnecting(lambda: pour(hand_shaken(node.commands, b"DEALER"), data, stop), stop)


def many_with_a_little_each(node, stop):
    """None of them has much, and none ends its message."""
    def attack():
        connections = [hand_shaken(node.commands, b"DEALER") for _ in range(100)]
        while not stop.is_set():
            for connection in connections:
                connection.sendall(b"\x01\x00" * 1000)
            stop.wait(0.04)
    reconnecting(attack, stop)


def subscriptions_without_end(node, stop):
    def attack():
        connection = hand_shaken(node.events, b"SUB")
        for start in range(0, 1 << 32, 5000):
            if stop.is_set():
                return
            connection.sendall(b"".join(zmtp.frame(b"\x01" + struct.pack(">I", number))
                                        for number in range(start, start + 5000)))
    reconnecting(attack, stop)


def a_thousand_that_say_nothing(node, stop):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = []
    for number in range(1000):
        endpoint = node.events if number % 4 == 0 else node.commands
        connections.append(zmtp.connect(endpoint, 5))
        if number % 4 == 1:
            zmtp.shake_hands(connections[-1], b"DEALER")
        if stop.is_set():
            return
    stop.wait()


def two_hundred_with_garbage(node, stop):
    chance = random.Random(1)
    connections = {}
    while not stop.is_set():
        for number in range(200):
            try:
                if number not in connections:
                    endpoint = node.events if number % 2 else node.commands
                    connections[number] = zmtp.connect(endpoint, 0.5)
                    if number % 3 == 0:
                        zmtp.shake_hands(connections[number], b"DEALER")
                connections[number].sendall(chance.randbytes(chance.randrange(1, 3000)))
            except OSError:
                if number in connections:
                    connections.pop(number).close()
        stop.wait(0.005)


def replies_never_read(node, stop):
    query = zmtp.frame(b"", more=True) + zmtp.frame(pack({"type": "ListBatches", "sku": "LONG",
                                                          "limit": 10_000}))
    def attack():
        connection = hand_shaken(node.commands, b"DEALER", 4096)
        connection.settimeout(0.05)
        while not stop.is_set():
            try:
                connection.sendall(query * 20)
            except TimeoutError: # it stays, and waits to be cut off
                pass
    reconnecting(attack, stop)


def events_never_read(node, stop):
    def attack():
        connection = hand_shaken(node.events, b"SUB", 4096)
        connection.sendall(zmtp.frame(b"\x01"))
        while not stop.wait(0.05):
            connection.sendall(zmtp.frame(b"\x01Welcome/"))
    reconnecting(attack, stop)


def claimed_routing_ids(node, stop):
    """All claim the id of the good client and of each other, and send requests."""
    command = (b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x04good")
    request = zmtp.frame(b"", more=True) + zmtp.frame(pack({"type": "Ping"}))
    def attack():
        connections = [zmtp.connect(node.commands, 0.5) for _ in range(50)]
        for connection in connections:
            connection.sendall(zmtp.GREETING + b"\x04" + bytes([len(command)]) + command)
        while not stop.wait(0.01):
            for connection in connections:
                connection.setblocking(False)
                try:
                    connection.send(request * 100)
                except BlockingIOError:
                    pass
    reconnecting(attack, stop)


def descriptors_run_short(node, stop):
    connections = []
    while not stop.is_set():
        try:
            connections.append(zmtp.connect(node.events if len(connections) % 2 else node.commands,
                                            0.5))
        except OSError:
            pass
        if len(connections) == 400:
            for connection in connections:
                connection.close()
            connections = []
            stop.wait(0.005)


ALL = [empty_frames_without_end, large_frames_without_end, many_with_a_little_each,
       subscriptions_without_end, a_thousand_that_say_nothing, two_hundred_with_garbage,
       replies_never_read, events_never_read, claimed_routing_ids]


class Attack:
    """Processes that attack a node, from `with` to its end."""

    def __init__(self, node, kinds):
        self.processes, self.stop = [], multiprocessing.Event()
        for kind in kinds:
            self.processes.append(multiprocessing.Process(target=run_attack,
                                                          args=(kind, node, self.stop)))

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def signal(self, number):
        for process in self.processes:
            os.kill(process.pid, number)

    def __exit__(self, *_):
        self.signal(signal.SIGCONT) # first, as one that stands still may hold the lock of `stop`
        self.stop.set()
        for process in self.processes:
            process.join(DEADLINE)
            if process.is_alive():
                process.kill()
                process.join()


class Endpoints:
    """What an attack needs of a node."""

    def __init__(self, node):
        self.commands, self.events = node.commands, node.events


# ---- measuring ----

def status_bytes(node, key):
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def forget_peak(node):
    """proc(5): VmHWM begins anew."""
    Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")


def slowness(pairs):
    """How many times slower than alone, for most of the pairs."""
    return statistics.median(quiet / busy for quiet, busy in pairs)


class GoodClient:
    """Sends commands and queries, checks each reply, and takes the time."""

    def __init__(self, node):
        self.client = Client(node)
        self.client.socket.disconnect(node.commands)
        self.client.socket.setsockopt(zmq.ROUTING_ID, b"good")
        self.client.socket.connect(node.commands)
        self.order = 0
        self.latencies = ([], [])

    def next_request(self):
        self.order += 1
        if self.order % 2:
            return {"type": "Ping", "id": str(self.order)}
        return {"type": "Allocate", "orderid": str(self.order), "sku": "GOOD", "qty": 1,
                "id": str(self.order)}

    @staticmethod
    def check(request, reply):
        assert reply["ok"] and reply["id"] == request["id"], (request, reply)
        assert request["type"] == "Ping" or reply["batchref"] == "good", (request, reply)

    def window(self, kind=0):
        """Requests a second: some one after the other, then many at once. Latencies are kept by
        kind of window."""
        start = time.monotonic()
        for _ in range(ROUND_TRIPS):
            request, begin = self.next_request(), time.monotonic()
            self.client.send(request)
            self.check(request, self.client.recv())
            self.latencies[kind].append(time.monotonic() - begin)
        requests = [self.next_request() for _ in range(IN_FLIGHT)]
        for request, reply in zip(requests, self.client.pipeline(requests)):
            self.check(request, reply)
        return (ROUND_TRIPS + IN_FLIGHT) / (time.monotonic() - start)

    def p99_ms(self, kind):
        latencies = sorted(self.latencies[kind])
        return 1000 * latencies[len(latencies) * 99 // 100]


class HostilePeers(unittest.TestCase):
    table = []

    @classmethod
    def tearDownClass(cls):
        print("\n| attack | alone 1/s | attacked 1/s | slower | tries | p99 alone ms "
              "| p99 attacked ms | base MiB | peak MiB | what the node counted |\n"
              + "|---" * 10 + "|",
              *cls.table, sep="\n", file=sys.stderr, flush=True)

    def start(self, *arguments):
        node = Node(*arguments)
        self.addCleanup(node.close)
        node.start()
        good = GoodClient(node)
        self.addCleanup(good.client.close)
        good.client.ask("CreateBatch", ref="good", sku="GOOD", qty=1_000_000_000)
        good.client.pipeline({"type": "CreateBatch", "ref": f"{number:04}{'x' * 200}",
                              "sku": "LONG", "qty": 1} for number in range(500))
        for _ in range(3): # to warm up
            good.window()
        good.latencies[0].clear()
        return node, good

    def attack(self, name, *kinds, counters=(), node_and_client=None, meanwhile=None, settle=0,
               is_bounded=True):
        node, good = node_and_client or self.start()
        before = good.client.ask("GetStats")
        forget_peak(node)
        base = status_bytes(node, "VmRSS")
        with Attack(Endpoints(node), kinds) as attack:
            let_pass(settle)
            tries, tries_max = 1, TRIES if is_bounded and sanitizer_factor() == 1 else 1
            pairs = self.pairs_of_windows(attack, good, meanwhile)
            while slowness(pairs) >= SLOWER_MAX and tries < tries_max:
                tries += 1
                pairs = self.pairs_of_windows(attack, good, meanwhile)
            attack.signal(signal.SIGCONT)
            for counter in counters:
                wait_until(lambda: good.client.ask("GetStats")[counter] > before[counter], counter)
            peak = status_bytes(node, "VmHWM")
            after = good.client.ask("GetStats")
            if not is_bounded:
                begin = time.monotonic()
                node.stop()
                self.assertLess(time.monotonic() - begin, END_SECONDS * sanitizer_factor())
        grown = {key: after[key] - before[key] for key in (
            "peers_cut", "peers_flooding", "peers_refused", "subscribers_cut", "requests_dropped",
            "replies_dropped") if after[key] != before[key]}
        alone, attacked = (statistics.median(rates) for rates in zip(*pairs))
        slower = slowness(pairs)
        self.table.append(
            f"| {name} | {alone:.0f} | {attacked:.0f} | {slower:.2f} | {tries} "
            f"| {good.p99_ms(0):.2f} "
            f"| {good.p99_ms(1):.2f} | {base / 2**20:.1f} | {peak / 2**20:.1f} | "
            + ", ".join(f"{key} {value}" for key, value in grown.items()) + " |")
        lines = len(node.stderr().splitlines())
        self.assertLess(lines, LOG_LINES_MAX * (2 + after["uptime_ms"] / 1000), "no flood")
        if not is_bounded:
            return
        self.assertLess(peak - base, GROWTH_MAX * sanitizer_factor(), "bytes that it grew by")
        if sanitizer_factor() == 1: # others are many times slower at some things alone
            self.assertLess(slower, SLOWER_MAX, "times slower than alone")
        node.close()

    @staticmethod
    def pairs_of_windows(attack, good, meanwhile):
        """Rates alone and attacked, by turns, as other work of the machine may slow both down. The
        attack stands still while the client is measured alone."""
        pairs, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end or len(pairs) < PAIRS_MIN:
            attack.signal(signal.SIGCONT)
            let_pass(0.1)
            if meanwhile is not None:
                meanwhile(good.client)
            attacked = good.window(1)
            attack.signal(signal.SIGSTOP)
            let_pass(0.02)
            pairs.append((good.window(0), attacked))
        return pairs

    def test_a_message_of_empty_frames_without_end(self):
        self.attack("empty frames without end", empty_frames_without_end)

    def test_a_message_of_large_frames_without_end(self):
        self.attack("large frames without end", large_frames_without_end)

    def test_many_messages_that_do_not_end(self):
        self.attack("100 with a little each", many_with_a_little_each)

    def test_subscriptions_without_end(self):
        self.attack("subscriptions without end", subscriptions_without_end,
                    counters=["subscribers_cut"])

    def test_a_thousand_that_say_nothing(self):
        self.attack("1,000 silent ones", a_thousand_that_say_nothing, settle=1)

    def test_two_hundred_with_garbage(self):
        self.attack("200 with garbage", two_hundred_with_garbage)

    def test_replies_never_read(self):
        self.attack("replies never read", replies_never_read, counters=["peers_cut"])

    def test_events_never_read(self):
        self.attack("events never read", events_never_read, meanwhile=make_events)

    def test_claimed_routing_ids(self):
        self.attack("claimed routing ids", claimed_routing_ids)

    def test_all_at_once(self):
        self.attack("all at once", *ALL, settle=1, is_bounded=False,
                    counters=["subscribers_cut"])

    def test_descriptors_run_short(self):
        with tempfile.TemporaryDirectory() as home:
            limited = Path(home) / "allocd"
            limited.write_text(f'#!/bin/sh\nulimit -n 150\nexec {program("ALLOCD", "allocd")} "$@"\n')
            limited.chmod(0o700)
            before = program("ALLOCD", "allocd")
            os.environ["ALLOCD"] = str(limited)
            try:
                node_and_client = self.start()
            finally:
                os.environ["ALLOCD"] = before
        self.attack("descriptors run short", descriptors_run_short, counters=["peers_refused"],
                    node_and_client=node_and_client)

    def test_connections_that_end_while_their_requests_wait(self):
        """libzmq 4.3.4 aborts when it has stopped reading such a connection by itself, and a PING
        is among what it read."""
        node, good = self.start()
        request = zmtp.frame(b"", more=True) + zmtp.frame(pack({"type": "Ping"}))
        for _ in range(30):
            connection = hand_shaken(node.commands, b"DEALER")
            connection.setblocking(False)
            try:
                connection.send((request + b"\x04\x07\x04PING\0\0") * 20_000)
            except OSError:
                pass
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            good.window()
        self.assertTrue(node.is_running())

    def test_who_sends_much_but_honestly_is_not_cut_off(self):
        node, good = self.start()
        for _ in range(3):
            for _ in range(40):
                good.client.send_body(b"\xa5" * (1 << 20))
            for _ in range(40):
                self.assertEqual(good.client.recv()["error"], "too_large")
        topics = [f"Allocated/{number:020}/" for number in range(10_000)]
        with Subscriber(node, *topics, "BatchCreated/") as subscriber:
            seq = good.client.ask("CreateBatch", ref="heard", sku="HEARD", qty=1)["seq"]
            subscriber.until(seq)
        self.assertEqual([good.client.ask("GetStats")[key] for key in
                          ("peers_cut", "peers_flooding", "subscribers_cut")], [0, 0, 0])


def make_events(client):
    """Some thousand, by two commands: all lines of a batch lose their stock and get it again."""
    if not client.request("GetBatch", ref="many")["ok"]:
        client.ask("CreateBatch", ref="many", sku="MANY", qty=2000)
        client.pipeline({"type": "Allocate", "orderid": f"{number:0200}", "sku": "MANY", "qty": 1}
                        for number in range(2000))
    for qty in (0, 2000):
        client.ask("ChangeBatchQuantity", ref="many", qty=qty)


if __name__ == "__main__":
    unittest.main()
