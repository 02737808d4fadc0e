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
from listener import BAD, CHANGE, TOPIC, Listener, accepted, begun, each_time, pouring

AHEAD = 250_000


class UpstreamCase(HostileCase):
    def start(self):
        self.listener = Listener()
        self.addCleanup(self.listener.close)
        node, good = good_node(self, "--upstream", self.listener.endpoint)
        good.client.ask("CreateBatch", ref="up", sku="CHAIR", qty=10)
        return node, good

    def pour(self, name, data, connect=Listener.subscribed):
        self.endure("upstream: " + name, lambda _: pouring(self.listener, data, connect))

    def repeat(self, name, data, connect=Listener.subscribed, end=socket.socket.close):
        self.endure("upstream: " + name, lambda _: each_time(self.listener, data, connect, end))


class HostileUpstream(UpstreamCase):
    def test_a_message_that_does_not_end(self):
        self.pour("large frames without end", zmtp.frame(b"x" * (1 << 20), more=True))

    def test_a_message_of_empty_frames_that_does_not_end(self):
        self.pour("empty frames without end", b"\x01\x00" * 100_000)

    def test_a_frame_that_does_not_end(self):
        self.pour("a frame of 1 TiB", b"x" * (1 << 20),
                  begun(b"\x02" + (1 << 40).to_bytes(8, "big")))

    def test_a_handshake_that_does_not_end(self):
        self.pour("a READY of 1 GiB", b"x" * (1 << 20),
                  accepted(zmtp.GREETING + b"\x06" + (1 << 30).to_bytes(8, "big")))

    def test_pings_without_end(self):
        self.pour("PINGs without end", zmtp.ping(0, b"x" * 16) * 5000)

    def test_bad_messages_without_end(self):
        self.pour("bad messages without end", BAD * 5000)

    def test_large_messages_without_end(self):
        self.pour("messages of 1 MiB without end", zmtp.message(TOPIC, b"\xa5" * (1 << 20)))

    def test_garbage(self):
        self.pour("garbage", b"GET / HTTP/1.1\r\n" * 1000, Listener.accept)

    def test_closed_at_once(self):
        self.repeat("accepted, closed", b"", Listener.accept)

    def test_messages_and_pings_then_reset(self):
        self.repeat("messages and PINGs, reset", (CHANGE + zmtp.ping()) * 20_000,
                    end=attacks.reset)

    def test_messages_then_closed(self):
        self.repeat("messages, close", CHANGE * 20_000)


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
            try:
                self.listener.subscribed().close() # the node connects again
            except TimeoutError:
                self.fail(f"it does not connect again, status {node.process.poll()}")
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


class Bursts(UpstreamCase):
    """Each burst fills the queue into the node to another degree. All of it comes, though nothing
    follows, and though the connection ends with it."""

    def bursts(self, ends):
        node, good = self.start()
        connection, sent = self.listener.subscribed(), 0
        for count in range(120, 300, 3):
            changes = [zmtp.message(TOPIC, pack({"type": "BatchQuantityChanged", "ref": "up",
                                                 "qty": sent + number}))
                       for number in range(1, count + 1)]
            sent += count
            connection.settimeout(DEADLINE)
            connection.sendall(b"".join(changes))
            if ends:
                connection.close()
                connection = self.listener.subscribed()
            wait_until(lambda: good.client.ask("GetStats")["upstream_received"] == sent,
                       f"a burst of {count} comes whole")
            self.assertEqual(good.client.ask("GetBatch", ref="up")["qty"], sent)
        self.assertEqual(good.client.ask("GetStats")["upstream_bad"], 0)
        connection.close()

    def test_nothing_follows(self):
        self.bursts(ends=False)

    def test_the_connection_ends(self):
        self.bursts(ends=True)


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
