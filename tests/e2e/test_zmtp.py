#!/usr/bin/python3
"""ZeroMQ's wire protocol as the node speaks it, by hand: versions, mechanisms and socket types,
frames and commands split at every byte, subscriptions in both forms, and what ends a connection."""

import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import attacks
import zmtp
from allocd import DEADLINE, Node, NodeCase, Subscriber, let_pass, pack, unique, unpack

HANDSHAKE_SECONDS = 1
REQUEST = zmtp.message(b"", pack({"type": "Ping", "id": "by hand"}))
FRAME_MAX = 1 << 20
FRAMES_MAX = 17 # an envelope and a body


class WireCase(NodeCase):
    def peer(self, endpoint=None, kind=b"DEALER", **options):
        peer = zmtp.Peer(endpoint or self.node.commands, kind, DEADLINE, **options)
        self.addCleanup(peer.close)
        return peer

    def raw(self, endpoint=None):
        connection = zmtp.connect(endpoint or self.node.commands, DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def assert_served(self, peer, ident="by hand"):
        frames = peer.message()
        self.assertEqual((frames[0], unpack(frames[1])["id"]), (b"", ident))

    def assert_closed(self, connection, within=DEADLINE):
        """The node ends it: whatever it says before that is passed over."""
        connection.settimeout(within)
        try:
            while connection.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            self.fail(f"not closed within {within} s")


class HandshakeCase(WireCase):
    """With less time for a handshake, after which the node closes whom it does not understand."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.close)
        with open(cls.node.home / "node.conf", "a", encoding="ascii") as configuration:
            configuration.write(f"clients\n    handshake_ms = {1000 * HANDSHAKE_SECONDS}\n")
        cls.node.start()


class Handshakes(HandshakeCase):
    def test_versions_3(self):
        for minor in (0, 1, 2, 9):
            with self.subTest(minor=minor):
                peer = self.peer(minor=minor)
                self.assertEqual(peer.greeting[:1] + peer.greeting[9:11], b"\xff\x7f\x03")
                self.assertEqual(peer.greeting[12:32], b"NULL".ljust(20, b"\x00"))
                peer.send(REQUEST)
                self.assert_served(peer)

    def test_version_4_is_answered_as_3(self):
        connection = self.raw()
        connection.sendall(zmtp.GREETING[:10] + b"\x04" + zmtp.GREETING[11:] + zmtp.ready(b"DEALER"))
        attacks.let_in(connection)

    def test_socket_types(self):
        for endpoint, sort, kinds in ((self.node.commands, b"ROUTER", (b"DEALER", b"REQ", b"ROUTER")),
                                      (self.node.events, b"XPUB", (b"SUB", b"XSUB"))):
            for kind in kinds:
                with self.subTest(kind=kind):
                    peer = self.peer(endpoint, kind)
                    self.assertIn(zmtp.property_of(b"Socket-Type", sort), peer.ready)

    def test_the_name_of_a_property_in_any_case(self):
        connection = self.raw()
        connection.sendall(zmtp.GREETING + zmtp.command(b"READY", zmtp.property_of(
            b"socket-TYPE", b"DEALER")))
        attacks.let_in(connection).sendall(REQUEST)

    def assert_all_closed(self, greetings):
        """`greetings`: endpoint and what is sent there. They are closed at once or in time."""
        connections = [(self.raw(endpoint), data) for endpoint, data in greetings]
        for connection, data in connections:
            connection.sendall(data)
        for connection, data in connections:
            with self.subTest(data):
                self.assert_closed(connection)

    def both(self, *data):
        return [(endpoint, each) for endpoint in (self.node.commands, self.node.events)
                for each in data]

    def test_wrong_socket_types_are_closed(self):
        wrong = {self.node.commands: (b"SUB", b"PUB", b"PAIR", b"REP", b"PUSH", b"", b"DEALERS",
                                      b"X" * 200),
                 self.node.events: (b"DEALER", b"PUB", b"XPUB", b"REQ", b"")}
        self.assert_all_closed([(endpoint, zmtp.GREETING + zmtp.ready(kind))
                                for endpoint, kinds in wrong.items() for kind in kinds])

    def test_older_versions_are_closed(self):
        self.assert_all_closed(self.both(
            b"\x01\x00", b"\x05\x00good", # 1.0, and with an id
            b"\xff" + b"\x00" * 7 + b"\x01\x7f\x01\x05\x00\x00",
            b"\xff" + b"\x00" * 7 + b"\x01\x7f\x02\x05\x00\x00"))

    def test_other_mechanisms_are_closed(self):
        self.assert_all_closed(self.both(*(
            zmtp.greeting(1, mechanism) + zmtp.command(b"HELLO", b"x" * 100)
            for mechanism in (b"CURVE", b"PLAIN", b"GSSAPI", b"NULLS", b"null", b""))))

    def test_something_else_instead_of_ready_is_closed(self):
        self.assert_all_closed(self.both(*(zmtp.GREETING + data for data in (
            zmtp.frame(b"x"), zmtp.command(b"ERROR", b"\x02no"), zmtp.ping(),
            zmtp.command(b"INITIATE"), b"\x04\x00", b"\x04\x06\x05READ",
            zmtp.command(b"READY", b"\x0bSocket-Type\x00\x00\x00\xffDEALER"),
            zmtp.command(b"READY", b"\xffSocket-Type"), b"\x05\x01x"))))

    def test_many_properties_are_passed_over(self):
        peer = self.peer(more=[(b"X-%d" % number, b"x" * number) for number in range(20)]
                         + [(b"Identity", b"mine")])
        peer.send(REQUEST)
        self.assert_served(peer)


class SlowHandshakes(HandshakeCase):
    def test_a_slow_one_is_closed(self):
        """A byte each tenth of a second is no handshake, and neither is silence."""
        hello = zmtp.GREETING + zmtp.ready(b"DEALER")
        silent, half = self.raw(), self.raw(self.node.events)
        half.sendall(hello[:-1])
        slow, begin = self.raw(), time.monotonic()
        try:
            for byte in hello:
                slow.sendall(bytes([byte]))
                let_pass(0.1)
        except OSError:
            pass
        took = time.monotonic() - begin
        self.assertLess(took, HANDSHAKE_SECONDS + 2)
        self.assertGreater(took, HANDSHAKE_SECONDS * 0.9)
        for connection in (silent, half, slow):
            self.assert_closed(connection, 1)


class Frames(WireCase):
    def test_split_at_every_byte(self):
        peer = self.peer()
        data = zmtp.message(b"envelope", b"", pack({"type": "Ping", "id": "by hand"})) + zmtp.ping(
            0, b"between") + zmtp.message(b"", b"\xa5" * 300) + REQUEST
        for place in range(1, len(data)):
            peer.send(data[:place])
            let_pass(0.0005)
            peer.send(data[place:])
            self.assertEqual(peer.message()[0], b"envelope")
            self.assertEqual(unpack(peer.message()[1])["error"], "malformed")
            self.assert_served(peer)
        self.assertEqual(peer.reader.commands, [(b"PONG", b"between")] * (len(data) - 1))

    def test_byte_by_byte_from_the_start(self):
        for endpoint, kind, more in ((self.node.commands, b"DEALER", REQUEST),
                                     (self.node.events, b"SUB", zmtp.frame(b"\x01Welcome/"))):
            connection = self.raw(endpoint)
            for byte in zmtp.GREETING + zmtp.ready(kind):
                connection.sendall(bytes([byte]))
            reader = zmtp.Reader(connection)
            reader.take(64)
            reader.until_command(b"READY")
            for byte in more:
                connection.sendall(bytes([byte]))
            self.assertEqual(len(reader.message()), 2)

    def test_short_bodies_in_long_frames(self):
        peer = self.peer()
        body = pack({"type": "Ping", "id": "by hand"})
        peer.send(b"\x03" + bytes(8) + b"\x02" + len(body).to_bytes(8, "big") + body)
        self.assert_served(peer)

    def test_a_frame_of_1_mib_is_taken(self):
        peer = self.peer()
        peer.send(zmtp.message(b"", b"\xa5" * FRAME_MAX))
        self.assertEqual(unpack(peer.message()[1])["error"], "too_large")

    def test_a_frame_over_1_mib_closes(self):
        for data in (b"\x02" + (FRAME_MAX + 1).to_bytes(8, "big") + b"x" * 1000,
                     b"\x03" + (1 << 40).to_bytes(8, "big"), b"\x02" + b"\xff" * 8,
                     b"\x02\x7f" + b"\xff" * 7):
            for endpoint, kind in ((self.node.commands, b"DEALER"), (self.node.events, b"SUB")):
                peer = self.peer(endpoint, kind)
                peer.send(data)
                self.assert_closed(peer.socket)

    def test_seventeen_frames_are_taken_and_more_are_dropped(self):
        peer = self.peer()
        before = self.client.ask("GetStats")["requests_dropped"]
        body = pack({"type": "Ping", "id": "by hand"})
        peer.send(zmtp.message(*[b"e"] * (FRAMES_MAX - 2), b"", body))
        self.assertEqual(len(peer.message()), FRAMES_MAX)
        peer.send(zmtp.message(*[b"e"] * (FRAMES_MAX - 1), b"", body))
        peer.send(zmtp.message(*[b"e"] * 10_000, b"", body))
        peer.send(REQUEST)
        self.assert_served(peer)
        self.assertEqual(self.client.ask("GetStats")["requests_dropped"] - before, 2)

    def test_pings_are_answered_in_their_order(self):
        for endpoint, kind in ((self.node.commands, b"DEALER"), (self.node.events, b"SUB")):
            peer = self.peer(endpoint, kind)
            contexts = [b"", b"x", b"x" * 16] + [b"%d" % number for number in range(100)]
            peer.send(b"".join(zmtp.ping(10, each) for each in contexts))
            self.assertEqual([peer.reader.until_command(b"PONG") for _ in contexts], contexts)

    def test_replies_of_one_connection_between_pings(self):
        peer = self.peer()
        peer.send(b"".join(zmtp.message(b"", pack({"type": "Ping", "id": str(number)}))
                           + zmtp.ping(0, b"%d" % number) for number in range(1000)))
        for number in range(1000):
            self.assert_served(peer, str(number))


class Subscriptions(WireCase):
    """SUBSCRIBE and CANCEL as messages of ZMTP 3.0 and as commands of 3.1."""

    forms = {"message": (lambda topic: zmtp.frame(b"\x01" + topic),
                         lambda topic: zmtp.frame(b"\x00" + topic)),
             "command": (lambda topic: zmtp.command(b"SUBSCRIBE", topic),
                         lambda topic: zmtp.command(b"CANCEL", topic))}

    def heard(self, peer, prefix):
        """Topics of what a batch of a new product, and after it the end of a round, brings."""
        sku = unique(prefix)
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=1)
        peer.send(zmtp.frame(b"\x01Welcome/"))
        topics = []
        while b"Welcome/" not in topics:
            topics.append(peer.message()[0])
        peer.send(zmtp.frame(b"\x00Welcome/"))
        return [topic.split(b"/")[0] for topic in topics if topic.startswith(b"BatchCreated/")]

    def test_both_forms(self):
        for minor in (0, 1):
            for name, (subscribe, cancel) in self.forms.items():
                with self.subTest(form=name, minor=minor):
                    peer = self.peer(self.node.events, b"SUB", minor=minor)
                    peer.send(subscribe(b"BatchCreated/"))
                    self.settle(peer)
                    self.assertEqual(self.heard(peer, "SUB"), [b"BatchCreated"])
                    peer.send(cancel(b"BatchCreated/"))
                    self.settle(peer)
                    self.assertEqual(self.heard(peer, "SUB"), [])

    @staticmethod
    def settle(peer):
        """A PONG says that all before its PING was taken in."""
        peer.send(zmtp.ping(0, b"settled"))
        peer.reader.until_command(b"PONG")
        let_pass(0.05) # and another thread may have to hear of it

    def test_a_topic_twice_and_as_many_cancels(self):
        peer = self.peer(self.node.events, b"SUB")
        subscribe, cancel = self.forms["message"]
        peer.send(subscribe(b"BatchCreated/") * 2)
        self.settle(peer)
        self.assertEqual(self.heard(peer, "TWICE"), [b"BatchCreated"])
        peer.send(cancel(b"BatchCreated/") * 2)
        self.settle(peer)
        self.assertEqual(self.heard(peer, "TWICE"), [])

    def test_an_event_comes_once_for_many_topics_that_fit(self):
        peer = self.peer(self.node.events, b"SUB")
        peer.send(b"".join(self.forms["message"][0](topic) for topic in
                           (b"", b"B", b"Batch", b"BatchCreated/")))
        self.settle(peer)
        self.assertEqual(self.heard(peer, "ONCE"), [b"BatchCreated"])

    def test_split_at_every_byte(self):
        for name, (subscribe, cancel) in self.forms.items():
            data = subscribe(b"Welcome/")
            for place in range(1, len(data)):
                with self.subTest(form=name, place=place):
                    peer = self.peer(self.node.events, b"SUB")
                    peer.send(data[:place])
                    let_pass(0.001)
                    peer.send(data[place:])
                    self.assertEqual(peer.message()[0], b"Welcome/")
                    peer.send(cancel(b"Welcome/"))
                    peer.close()

    def test_other_subscribers_hear_what_they_asked_for(self):
        with Subscriber(self.node, "BatchCreated/") as subscriber:
            peer = self.peer(self.node.events, b"SUB")
            peer.send(zmtp.frame(b"\x00BatchCreated/") * 100 + zmtp.command(b"CANCEL", b"BatchCreated/"))
            self.settle(peer)
            seq = self.client.ask("CreateBatch", ref=unique("b"), sku="OTHERS", qty=1)["seq"]
            self.assertEqual(unpack(subscriber.until(seq)[-1][1])["seq"], seq)


if __name__ == "__main__":
    unittest.main()
