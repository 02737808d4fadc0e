#!/usr/bin/python3
"""Upstream nodes that mean harm, or end at a bad moment. The rules are those of
test_hostile_peers.py, and so are the figures that it prints.

HOSTILE_SECONDS (1) says how long each attack lasts."""

import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import attacks
import zmtp
from allocd import DEADLINE, let_pass, pack, wait_until
from hostile import MEMORY_MAX, MIB, HostileCase, Watch, good_node, sanitizer_factor

TOPIC = b"BatchQuantityChanged/CHAIR/"
CHANGE = zmtp.message(TOPIC, pack({"type": "BatchQuantityChanged", "ref": "up", "qty": 5}))
BAD = zmtp.message(TOPIC, b"\xc1")
HELLO = zmtp.GREETING + zmtp.ready(b"PUB")
AHEAD = 250_000


class Listener:
    """A port to which the node connects, as to an upstream."""

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


class UpstreamCase(HostileCase):
    def start(self):
        self.listener = Listener()
        self.addCleanup(self.listener.close)
        node, good = good_node(self, "--upstream", self.listener.endpoint)
        good.client.ask("CreateBatch", ref="up", sku="CHAIR", qty=10)
        return node, good

    def pouring(self, data, connect=Listener.subscribed):
        """An attack that sends this without end, after what `connect` does."""
        def attack(_):
            connection = connect(self.listener)
            while True:
                connection.sendall(data)
                yield
        return attack

    def each_time(self, data, connect=Listener.subscribed, end=socket.socket.close):
        """An attack that sends this once and ends the connection, again and again."""
        def attack(_):
            connection = connect(self.listener)
            attacks.send_some(connection, data)
            time.sleep(0.002)
            end(connection)
            yield
        return attack


class HostileUpstream(UpstreamCase):
    def test_a_message_that_does_not_end(self):
        self.endure("upstream: large frames without end",
                    lambda node: self.pouring(zmtp.frame(b"x" * (1 << 20), more=True))(node))

    def test_a_message_of_empty_frames_that_does_not_end(self):
        self.endure("upstream: empty frames without end",
                    lambda node: self.pouring(b"\x01\x00" * 100_000)(node))

    def test_a_frame_that_does_not_end(self):
        self.endure("upstream: a frame of 1 TiB", lambda node: self.pouring(
            b"x" * (1 << 20), self.begun(b"\x02" + (1 << 40).to_bytes(8, "big")))(node))

    def test_a_greeting_that_does_not_end(self):
        self.endure("upstream: a READY of 1 GiB", lambda node: self.pouring(
            b"x" * (1 << 20), self.accepted(zmtp.GREETING + b"\x06" + (1 << 30).to_bytes(8, "big"))
            )(node))

    def test_pings_without_end(self):
        self.endure("upstream: PINGs without end",
                    lambda node: self.pouring(zmtp.ping(0, b"x" * 16) * 5000)(node))

    def test_bad_messages_without_end(self):
        self.endure("upstream: bad messages without end",
                    lambda node: self.pouring(BAD * 5000)(node))

    def test_large_messages_without_end(self):
        self.endure("upstream: messages of 1 MiB without end", lambda node: self.pouring(
            zmtp.message(TOPIC, b"\xa5" * (1 << 20)))(node))

    def test_garbage(self):
        self.endure("upstream: garbage", lambda node: self.pouring(
            b"GET / HTTP/1.1\r\n" * 1000, Listener.accept)(node))

    def test_closed_at_once(self):
        self.endure("upstream: accepted, closed",
                    lambda node: self.each_time(b"", Listener.accept)(node))

    def test_messages_and_pings_then_reset(self):
        self.endure("upstream: messages and PINGs, reset", lambda node: self.each_time(
            (CHANGE + zmtp.ping()) * 20_000, end=attacks.reset)(node))

    def test_messages_then_closed(self):
        self.endure("upstream: messages, close",
                    lambda node: self.each_time(CHANGE * 20_000)(node))

    @staticmethod
    def begun(data):
        def connect(listener):
            connection = listener.subscribed()
            connection.sendall(data)
            return connection
        return connect

    @staticmethod
    def accepted(data):
        def connect(listener):
            connection = listener.accept()
            connection.sendall(data)
            return connection
        return connect


class FarAhead(UpstreamCase):
    """The disk is full, so that its messages wait; then the upstream ends."""

    def far_ahead(self, name, data, count, end, tail=b""):
        node, good = self.start()
        connection = self.listener.subscribed()
        self.addCleanup(connection.close)
        good.rate(0.1)
        node.limit_file_size(8192)  # its log has room, its store has none
        with Watch(node) as watch:
            connection.settimeout(0.5)
            sent = 0
            try:
                for _ in range(count // 1000):
                    connection.sendall(data * 1000)
                    sent += 1000
                connection.sendall(tail)
            except TimeoutError:
                pass # no more than that is taken in
            let_pass(0.5)
            end(connection)
            self.assertTrue(self.stays(node), f"status {node.process.poll()} after {sent}")
            node.limit_file_size(None)
            wait_until(lambda: good.client.ask("GetBatch", ref="up")["qty"] == 5, "it goes on")
            self.listener.subscribed().close() # the node connects again
            wait_until(lambda: good.client.ask("Ping"), "it is there")
        print(f"| {name} | sent {sent} | grown {watch.grown() / MIB:.1f} MiB |", file=sys.stderr,
              flush=True)
        self.assertLessEqual(watch.grown(), MEMORY_MAX * sanitizer_factor())

    @staticmethod
    def stays(node):
        """Whether it is there a moment later."""
        end = time.monotonic() + 0.5
        while time.monotonic() < end and node.is_running():
            let_pass(0.01)
        return node.is_running()

    def test_closed(self):
        self.far_ahead("250,000 ahead, close", CHANGE, AHEAD, socket.socket.close)

    def test_reset(self):
        self.far_ahead("250,000 ahead, reset", CHANGE, AHEAD, attacks.reset)

    def test_with_pings_closed(self):
        self.far_ahead("250,000 ahead with PINGs, close", CHANGE + zmtp.ping(), AHEAD,
                       socket.socket.close)

    def test_half_a_message_closed(self):
        self.far_ahead("1,000 ahead and half a message, close", CHANGE, 1000, socket.socket.close,
                       tail=CHANGE[:-1])


class PingsInTheStream(UpstreamCase):
    def test_each_way_to_end(self):
        """libzmq 4.3.4 aborts when it has stopped reading such a stream by itself."""
        node, good = self.start()
        for end in (socket.socket.close, attacks.reset) * 5:
            connection = self.listener.subscribed()
            attacks.send_some(connection, (CHANGE + zmtp.ping()) * 50_000)
            end(connection)
            try:
                good.rate(0.05)
            except ConnectionError:
                self.fail(f"the node ended, status {node.process.poll()}")
        self.assertTrue(node.is_running())


if __name__ == "__main__":
    unittest.main()
