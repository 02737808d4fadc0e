#!/usr/bin/python3
"""What strangers send: raw bytes on both ports, half handshakes, mutated requests.

MUTATIONS (20,000) says how many requests, E2E_SEED which ones."""

import os
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import DEADLINE, Client, Node, NodeCase, Subscriber, check_reply, pack, plain, unpack
from zmtp import GREETING, connect, frame, ready, shake_hands

MUTATIONS = int(os.environ.get("MUTATIONS", "20000"))
SEED = int(os.environ.get("E2E_SEED", "0")) or random.randrange(1, 2**31)
WINDOW = 1000


class RawBytes(NodeCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.client.request("CreateBatch", ref="canary", sku="CANARY", qty=5)

    def tearDown(self):
        self.assert_alive()

    def assert_alive(self):
        self.assertTrue(self.node.is_running(), self.node.stderr())
        for client in (self.client, self.new_client()):
            self.assertEqual(client.ask("GetBatch", ref="canary")["qty"], 5)
        with Subscriber(self.node) as subscriber:
            self.assertEqual(subscriber.welcome, self.client.head())

    def endpoints(self):
        return self.node.commands, self.node.events

    def connect(self, endpoint):
        connection = connect(endpoint, DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def throw(self, where, *parts):
        """Sends the parts to an endpoint or on a connection, as far as the node takes them, and
        leaves the connection open."""
        connection = self.connect(where) if type(where) is str else where
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return connection

    def shake_hands(self, endpoint, kind):
        connection = self.connect(endpoint)
        shake_hands(connection, kind)
        return connection

    def test_noise(self):
        for endpoint in self.endpoints():
            for size in (0, 1, 9, 10, 11, 12, 63, 64, 65, 1000, 100_000):
                for _ in range(3):
                    self.throw(endpoint, self.random.randbytes(size))
            self.throw(endpoint, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.throw(endpoint, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500)
            self.throw(endpoint, b"\x00" * 10_000)
            self.throw(endpoint, b"\xff" * 10_000)

    def test_half_handshakes(self):
        for endpoint in self.endpoints():
            whole = GREETING + ready(b"DEALER")
            for length in range(0, len(whole), 5):
                self.throw(endpoint, whole[:length])
                self.throw(endpoint, whole[:length]).close()

    def test_other_versions_and_mechanisms(self):
        for endpoint in self.endpoints():
            self.throw(endpoint, b"\x01\x00")                                # ZMTP 1.0
            self.throw(endpoint, b"\xff" + b"\x00" * 8 + b"\x7f\x01\x05")    # ZMTP 2.0
            for mechanism in (b"PLAIN", b"CURVE", b"GSSAPI", b"nonsense", b""):
                self.throw(endpoint, GREETING[:12] + mechanism.ljust(20, b"\x00") + b"\x00" * 32,
                           b"\x04\x06\x05HELLO")
            for kind in (b"PUB", b"SUB", b"REP", b"PAIR", b"nonsense", b"", b"X" * 200):
                self.throw(endpoint, GREETING, ready(kind), frame(b"x"))

    def test_bad_commands_and_frames_after_a_handshake(self):
        tails = [b"\x04\x00", b"\x04\x05\x04PING", b"\x04\x07\x04PING\x00\x00",
                 b"\x04\xff" + b"x" * 255, b"\x06" + b"\xff" * 8, b"\x02" + b"\xff" * 8,
                 b"\x02\x7f" + b"\xff" * 7, b"\x02\x00\x00\x00\x00\x00\x10\x00\x01",
                 b"\xff\xff", b"\x08\x01x", b"\x01\x00" * 1000, frame(b"x" * 70_000),
                 frame(b"", True), frame(b"a", True) + frame(b"b"),
                 b"\x04\x0e\x09SUBSCRIBEabcd", b"\x04\x0b\x06CANCELabcd", b"\x04\x06\x05ERROR"]
        for endpoint, kind in zip(self.endpoints(), (b"DEALER", b"SUB")):
            for tail in tails:
                self.throw(endpoint, GREETING, ready(kind), tail)
                self.throw(self.shake_hands(endpoint, kind), tail)
                self.throw(self.shake_hands(endpoint, kind), tail, self.random.randbytes(1000))

    def test_odd_subscriptions(self):
        endpoint = self.node.events
        for body in (b"", b"\x00", b"\x01", b"\x02", b"\x00never", b"\x01" + b"x" * 5000,
                     b"\x01Welcome/" * 3, b"\x01Welcome", b"\x01Welcome/more", b"\x00Welcome/",
                     b"\x01" + b"\x00" * 300, b"user message"):
            for kind in (b"SUB", b"XSUB"):
                self.throw(self.shake_hands(endpoint, kind), frame(body) * 3)
                self.throw(self.shake_hands(endpoint, kind), frame(body, True), frame(body))

    def test_an_answer_to_a_hand_made_request(self):
        connection = self.shake_hands(self.node.commands, b"DEALER")
        self.throw(connection, frame(b"", True), frame(pack({"type": "Ping", "id": "by-hand"})))
        received = b""
        while b"by-hand" not in received:
            part = connection.recv(4096)
            self.assertTrue(part, "the connection was closed")
            received += part


class Mutations(unittest.TestCase):
    """Valid requests, damaged: each is answered by a valid reply, and does no other harm."""

    REQUESTS = [
        {"type": "CreateBatch", "ref": "m-batch", "sku": "M", "qty": 70_000, "eta": "2030-01-01"},
        {"type": "CreateBatch", "ref": "m-other", "sku": "M", "qty": 5, "eta": None, "id": "m-id"},
        {"type": "Allocate", "orderid": "m-order", "sku": "M", "qty": 3},
        {"type": "Allocate", "orderid": "m-order", "sku": "M", "qty": 3, "id": "m-id-2"},
        {"type": "ChangeBatchQuantity", "ref": "m-batch", "qty": 0},
        {"type": "ChangeBatchQuantity", "ref": "m-batch", "qty": 300, "id": "m-id-3"},
        {"type": "ChangeBatchEta", "ref": "m-batch", "eta": None},
        {"type": "Deallocate", "orderid": "m-order", "sku": "M", "id": "m-id-4"},
        {"type": "GetAllocations", "orderid": "m-order", "after": "A", "limit": 3},
        {"type": "GetStock", "sku": "Q"},
        {"type": "ListBatches", "sku": "Q", "after": "q", "limit": 2},
        {"type": "GetBatch", "ref": "q-batch", "id": "q"},
        {"type": "ListProducts", "after": "L", "limit": 3},
        {"type": "GetEvents", "after": 1, "limit": 2, "types": ["Allocated", "OutOfStock"],
         "sku": "Q"},
        {"type": "Ping", "id": "\u00e9\u20ac"}]
    BODIES = [pack(request) for request in REQUESTS]
    VALUES = [value for request in REQUESTS for value in request.values()] + [
        0, 1, -1, 2**31, 2**32, 2**63, 2**64 - 1, 1.5, True, b"m", "", "x" * 255, "x" * 256, [], {}]
    TELLING = [bytes([byte]) for byte in (
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, *range(0xc0, 0xe1), 0xff)]

    def mutation(self):
        chance = self.random.random()
        if chance < 0.8:
            return self.mutate(self.random.choice(self.BODIES))
        request = dict(self.random.choice(self.REQUESTS))
        field = self.random.choice(list(request))
        if chance < 0.9:
            request[field] = self.random.choice(self.VALUES)
        elif chance < 0.95:
            del request[field]
        return pack(request)

    def mutate(self, body):
        pick, chance = self.random.randrange, self.random.random()
        if not body:
            return body
        place = pick(len(body))
        if chance < 0.2:
            return body[:place] + bytes([body[place] ^ (1 << pick(8))]) + body[place + 1:]
        if chance < 0.4:
            return body[:place] + self.random.choice(self.TELLING) + body[place + 1:]
        if chance < 0.5:
            return body[:place] + self.random.choice(self.TELLING) + body[place:]
        if chance < 0.6:
            return body[:place] + body[place + 1 + pick(4):]
        if chance < 0.65:
            return body[:place]
        if chance < 0.75:
            return body[:place] + body[pick(len(body)):]
        if chance < 0.9:
            other = self.random.choice(self.BODIES)
            return body[:place] + other[pick(len(other)):]
        return self.mutate(self.mutate(body))

    def canary(self, client):
        return (plain(client.ask("GetStock", sku="CANARY")),
                plain(client.ask("ListBatches", sku="CANARY")),
                plain(client.ask("GetAllocations", orderid="canary")),
                client.all_events(sku="CANARY"))

    def test_mutations(self):
        print(f"\nE2E_SEED={SEED} MUTATIONS={MUTATIONS}", file=sys.stderr, flush=True)
        self.random = random.Random(SEED)
        node = Node()
        self.addCleanup(node.close)
        with Client(node.start()) as client:
            client.ask("CreateBatch", ref="canary-1", sku="CANARY", qty=7, eta="2030-01-01")
            client.ask("CreateBatch", ref="canary-2", sku="CANARY", qty=8)
            client.ask("Allocate", orderid="canary", sku="CANARY", qty=3)
            client.ask("CreateBatch", ref="q-batch", sku="Q", qty=3)
            before, done, left = self.canary(client), 0, MUTATIONS
            while left > 0:
                window = [self.mutation() for _ in range(min(left, WINDOW))]
                done += self.play(client, window)
                left -= len(window)
            self.assertEqual(self.canary(client), before)
            self.assertGreater(done, MUTATIONS // 50, "some mutations are still valid requests")
            self.assertEqual([event["seq"] for event in client.all_events(limit=10_000)],
                             list(range(1, client.head() + 1)))

    def play(self, client, window):
        done = 0
        for body in window:
            client.send_body(body)
        for body in window:
            try:
                reply = check_reply(unpack(client.recv_body()))
            except Exception as error:
                raise AssertionError(f"no valid reply to {body.hex()} or one nearby") from error
            done += reply["ok"]
        return done


if __name__ == "__main__":
    unittest.main()
