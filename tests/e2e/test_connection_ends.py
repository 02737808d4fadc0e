#!/usr/bin/python3
"""Connections end, in whatever state they are: the node sees it within a second, gives back what they
took, drops the queries that it had not begun, and carries out the commands that had arrived. What was
measured is printed as a table."""

import fcntl
import shutil
import signal
import socket
import struct
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

import attacks
import zmtp
from allocd import DEADLINE, Client, Node, let_pass, pack, wait_until
from hostile import (GONE_SECONDS, MIB, STOP_SECONDS, Attack, anonymous_bytes, cpu_seconds,
                     descriptors, good_node, sanitizer_factor)

PEERS = 20              # that end at once
IDLE_SECONDS = 3
IDLE_CPU_MAX = 0.020
KEPT_MAX = 16 * MIB

HELLO = zmtp.GREETING + zmtp.ready(b"DEALER")
PING = attacks.request({"type": "Ping"})
COMMANDS = {
    "connected": [],
    "half a greeting": [zmtp.GREETING[:11]],
    "greeted": [zmtp.GREETING],
    "half a READY": [HELLO[:-3]],
    "let in": [HELLO],
    "half a header": [HELLO, b"\x02\x00\x00"],
    "half a frame": [HELLO, zmtp.frame(b"x" * 100_000)[:50_000]],
    "half a message": [HELLO, zmtp.frame(b"", more=True)],
    "half a PING": [HELLO, zmtp.ping()[:-1]],
    "a request, and half of one": [HELLO, PING, PING[:-1]],
    "queries that wait": [HELLO, attacks.request(attacks.EVENTS) * 20_000],
    "replies unread": [HELLO, attacks.request(attacks.LIST) * 200],
    "replies unread, and half a message": [HELLO, attacks.request(attacks.LIST) * 200 + PING[:-1]],
    "PINGs unread": [HELLO, zmtp.ping() * 20_000],
}
HELLO_SUB = zmtp.GREETING + zmtp.ready(b"SUB")
EVENTS = {
    "greeted": [zmtp.GREETING],
    "let in": [HELLO_SUB],
    "half a subscription": [HELLO_SUB, zmtp.frame(b"\x01" + b"x" * 200)[:-1]],
    "subscribed": [HELLO_SUB, zmtp.frame(b"\x01")],
    "1,000 subscriptions": [HELLO_SUB, b"".join(zmtp.frame(b"\x01%d/" % number)
                                                for number in range(1000))],
    "events unread": [HELLO_SUB, zmtp.frame(b"\x01") + zmtp.frame(b"\x01Welcome/") * 20_000],
}


def close_it(connection):
    connection.close()


def shut_down(connection):
    """The client says that it sends no more, and stays."""
    connection.shutdown(socket.SHUT_WR)


WAYS = {"close": close_it, "reset": attacks.reset, "shutdown": shut_down}


def hand_over(connection, parts):
    """What the peer sends, as far as the node takes it at once."""
    connection.settimeout(DEADLINE)
    for place, part in enumerate(parts):
        if place == 1: # what follows a handshake
            attacks.let_in(connection)
        attacks.send_some(connection, part)


def unsent(connection):
    """Bytes that the kernel of the other side does not have yet."""
    return struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


class Ends(unittest.TestCase):
    """Twenty of a kind end at once; it is the kernel that says when the node has closed them."""

    @classmethod
    def setUpClass(cls):
        print("\n| end | how | seen after s | memory kept MiB |\n|---|---|---|---|", file=sys.stderr,
              flush=True)

    # What a client sends no more stands in TCP behind what it sent and the node does not read, as it
    # leaves its replies unread: nobody can see it, and nothing has ended.
    hidden = {("queries that wait", "shutdown")}

    def start(self):
        return good_node(self)

    def ends(self, endpoint_of, states):
        late = []
        node, good = self.start()
        for name, parts in states.items():
            for how, end in WAYS.items():
                if (name, how) in self.hidden:
                    continue
                seen, kept = self.end(node, good, endpoint_of(node), parts, end)
                shown = "never" if seen is None else f"{seen:.3f}"
                print(f"| {name} | {how} | {shown} | {kept / MIB:.1f} |", file=sys.stderr, flush=True)
                if seen is None or seen > GONE_SECONDS * sanitizer_factor() or \
                        kept > KEPT_MAX * sanitizer_factor():
                    late.append((name, how, shown, kept))
                    good.client.close()
                    node.close()
                    node, good = self.start()
        self.assertEqual(late, [], "seen too late, or memory kept")

    @staticmethod
    def end(node, good, endpoint, parts, how):
        pid = node.process.pid
        count, memory = descriptors(pid), anonymous_bytes(pid)
        connections = [zmtp.connect(endpoint, DEADLINE, 4096) for _ in range(PEERS)]
        for connection in connections:
            hand_over(connection, parts)
        wait_until(lambda: descriptors(pid) == count + PEERS, "they are accepted")
        begin = time.monotonic()
        for connection in connections:
            how(connection)
        try:
            wait_until(lambda: descriptors(pid) == count, "the node has closed them", 10)
            wait_until(lambda: Ends.connections(good) == (1, 0), "it counts so many", 10)
            seen = time.monotonic() - begin
        except (AssertionError, TimeoutError):
            seen = None
        for connection in connections:
            connection.close()
        return seen, anonymous_bytes(pid) - memory

    @staticmethod
    def connections(good):
        stats = good.client.ask("GetStats")
        return stats["peers"], stats["subscribers"]

    def test_of_the_command_socket(self):
        self.ends(lambda node: node.commands, COMMANDS)

    def test_of_the_event_socket(self):
        self.ends(lambda node: node.events, EVENTS)


class EndsOverIpc(Ends):
    hidden = set()

    def start(self):
        home = tempfile.mkdtemp(prefix="allocd-ipc-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        return good_node(self, commands=f"ipc://{home}/commands", events=f"ipc://{home}/events")


class WhatItHadSent(unittest.TestCase):
    def setUp(self):
        self.node, self.good = good_node(self)

    def allocates(self, name, count=1000):
        return [{"type": "Allocate", "orderid": f"{name}-{number}", "sku": "GOOD", "qty": 1}
                for number in range(count)]

    def wait_for_lines(self, name, count=1000):
        def are_there():
            replies = self.good.client.pipeline({"type": "GetAllocations",
                                                 "orderid": f"{name}-{number}"}
                                                for number in range(count))
            return all(reply["ok"] for reply in replies)
        wait_until(are_there, f"all of {count} commands are carried out")

    def test_commands_of_one_that_closed_are_carried_out(self):
        for name, end in WAYS.items():
            with self.subTest(name):
                connection = attacks.hand_shaken(self.node.commands, b"DEALER")
                connection.settimeout(DEADLINE)
                self.addCleanup(connection.close)
                connection.sendall(b"".join(attacks.request(each) for each in self.allocates(name)))
                wait_until(lambda: unsent(connection) == 0, "the node's kernel has them")
                end(connection)
                self.wait_for_lines(name)

    def test_many_commands_of_one_that_reset_are_carried_out(self):
        """More than the node takes in at once, so that it writes a reply to what is reset."""
        for attempt in range(3):
            name, count = f"many {attempt}", 12_000
            connection = attacks.hand_shaken(self.node.commands, b"DEALER")
            connection.settimeout(DEADLINE)
            self.addCleanup(connection.close)
            connection.sendall(b"".join(attacks.request(each)
                                        for each in self.allocates(name, count)))
            wait_until(lambda: unsent(connection) == 0, "the node's kernel has them")
            attacks.reset(connection)
            self.wait_for_lines(name, count)

    def test_commands_of_a_dealer_that_closed_are_carried_out(self):
        client = Client(self.node)
        for each in self.allocates("dealer"):
            client.send(each)
        client.recv()
        client.socket.close(linger=1000 * int(DEADLINE))
        # What its kernel had not sent when it closed is lost, so they follow each other.
        found = [self.good.client.request("GetAllocations", orderid=f"dealer-{number}")["ok"]
                 for number in range(1000)]
        self.assertEqual(found, sorted(found, reverse=True))
        self.assertTrue(found[0])

    def test_a_command_behind_queries_is_carried_out(self):
        connection = attacks.hand_shaken(self.node.commands, b"DEALER")
        self.addCleanup(connection.close)
        connection.sendall(attacks.request(attacks.EVENTS) * 300
                           + b"".join(attacks.request(each) for each in self.allocates("behind", 10))
                           + attacks.request(attacks.EVENTS) * 300)
        wait_until(lambda: unsent(connection) == 0, "the node's kernel has them")
        connection.close()
        self.wait_for_lines("behind", 10)

    def test_queries_that_were_not_begun_are_dropped(self):
        before = self.good.client.ask("GetStats")
        connections = attacks.hand_shaken_ones(10, self.node.commands, b"DEALER")
        for connection in connections:
            attacks.send_some(connection, attacks.request(attacks.EVENTS) * 20_000)
        for connection in connections:
            connection.close()
        begin = time.monotonic()
        wait_until(lambda: self.good.client.ask("GetStats")["peers"] == 1, "they are gone")
        waited = time.monotonic() - begin
        after = self.good.client.ask("GetStats")
        grown = {key: after[key] - before[key] for key in ("requests_dropped", "queries")}
        print(f"10 with 20,000 queries each that closed: gone after {waited:.2f} s, {grown}",
              file=sys.stderr, flush=True)
        self.assertGreater(grown["requests_dropped"], 0)
        self.assertLess(waited, GONE_SECONDS * sanitizer_factor())

    def test_clients_that_are_killed(self):
        """Ordinary ones, in a process of their own, with all that they can send in flight."""
        pid = self.node.process.pid
        count = descriptors(pid)
        with Attack(self.node, [dealers_in_flight]):
            wait_until(lambda: descriptors(pid) >= count + 10, "they are connected")
            let_pass(0.5)
        begin = time.monotonic()
        try:
            wait_until(lambda: descriptors(pid) == count, "the node has closed them", 10)
        finally:
            print(f"10 clients that were killed: seen after {time.monotonic() - begin:.2f} s",
                  file=sys.stderr, flush=True)
        self.assertLess(time.monotonic() - begin, GONE_SECONDS * sanitizer_factor())

    def test_a_thousand_that_close_leave_room_for_others(self):
        connections = attacks.hand_shaken_ones(1000, self.node.commands, b"DEALER")
        for connection in connections:
            attacks.send_some(connection, attacks.request(attacks.EVENTS) * 500)
        for connection in connections:
            connection.close()
        begin = time.monotonic()
        with Client(self.node) as client:
            client.ask("Ping")
        waited = time.monotonic() - begin
        print(f"after 1,000 with 500 queries each that closed, a new one waits {waited:.2f} s",
              file=sys.stderr, flush=True)
        self.assertLess(waited, GONE_SECONDS * sanitizer_factor())


def dealers_in_flight(node):
    own = zmq.Context() # that of the parent does not work in its child
    sockets = []
    for _ in range(10):
        sockets.append(own.socket(zmq.DEALER))
        sockets[-1].setsockopt(zmq.SNDHWM, 0)
        sockets[-1].connect(node.commands)
    for _ in range(20_000):
        for each in sockets:
            each.send_multipart([b"", pack(attacks.EVENTS)])
    yield from attacks.hold()


class Idle(unittest.TestCase):
    def test_an_idle_node_uses_no_processor(self):
        node, good = good_node(self)
        kept = attacks.hand_shaken_ones(5, node.commands, b"DEALER")
        kept += attacks.hand_shaken_ones(5, node.events, b"SUB")
        kept += [zmtp.connect(node.commands, DEADLINE)]
        for connection in kept:
            self.addCleanup(connection.close)
        good.client.ask("Ping")
        before = cpu_seconds(node.process.pid)
        let_pass(IDLE_SECONDS)
        used = cpu_seconds(node.process.pid) - before
        print(f"idle for {IDLE_SECONDS} s: {1000 * used:.1f} ms of processor time", file=sys.stderr,
              flush=True)
        self.assertLess(used, IDLE_CPU_MAX * sanitizer_factor())


class Term(unittest.TestCase):
    """SIGTERM while subscribers that read nothing go on subscribing and reset: status 0, each time."""

    def test_while_subscribers_subscribe_and_reset(self):
        times = []
        for _ in range(3):
            node = Node()
            self.addCleanup(node.close)
            node.start()
            with Attack(node, [attacks.subscribe_and_reset]), Client(node) as client:
                client.ask("CreateBatch", ref="b", sku="CHAIR", qty=1)
                let_pass(0.6)
                begin = time.monotonic()
                node.send_signal(signal.SIGTERM)
                try:
                    wait_until(lambda: not node.is_running(), "it ends", STOP_SECONDS)
                    times.append((round(time.monotonic() - begin, 2), node.process.returncode))
                except AssertionError:
                    times.append(("never", None))
                    node.process.kill()
                    node.process.wait(DEADLINE)
        print(f"SIGTERM while subscribers subscribe and reset: seconds and status {times}",
              file=sys.stderr, flush=True)
        self.assertEqual([status for _, status in times], [0, 0, 0], times)


if __name__ == "__main__":
    unittest.main()
