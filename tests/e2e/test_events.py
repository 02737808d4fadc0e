#!/usr/bin/python3
"""Events: topics, bodies, the pulse, and the Welcome procedure."""

import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import (Client, Node, NodeCase, Subscriber, follow, plain_event, topic_of, unique,
                    unpack)
from history import History
from model import EVENT_FIELDS, Model


class EventCase(NodeCase):
    def subscribe(self, *prefixes, **options):
        subscriber = Subscriber(self.node, *prefixes, **options)
        self.addCleanup(subscriber.close)
        return subscriber

    def events_since(self, seq):
        return self.client.all_events(seq)


class Topics(EventCase):
    def test_type_sku_and_a_slash(self):
        subscriber = self.subscribe()
        sku = unique("RED-CHAIR")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5)
        self.client.ask("Allocate", orderid="o", sku=sku, qty=5)
        self.client.request("Allocate", orderid="p", sku=sku, qty=5)
        self.client.ask("ChangeBatchEta", ref=sku, eta="2030-01-01")
        self.client.ask("ChangeBatchQuantity", ref=sku, qty=6)
        seq = self.client.ask("Deallocate", orderid="o", sku=sku)["seq"]
        topics = [topic for topic, _ in subscriber.until(seq)]
        self.assertEqual(topics, [f"{kind}/{sku}/".encode() for kind in (
            "BatchCreated", "Allocated", "OutOfStock", "BatchEtaChanged", "BatchQuantityChanged",
            "Deallocated")])

    def test_escapes(self):
        subscriber = self.subscribe()
        for sku, escaped in (("a/b", "a%2Fb"), ("50%", "50%25"), ("%2F", "%252F"),
                             ("//", "%2F%2F"), ("\u00e9 \u20ac", "\u00e9 \u20ac"),
                             ("a+b&c", "a+b&c"), ("%/" * 32, "%25%2F" * 32)):
            seq = self.client.ask("CreateBatch", ref=f"r{sku}", sku=sku, qty=1)["seq"]
            topic, body = subscriber.until(seq)[-1]
            self.assertEqual(topic, f"BatchCreated/{escaped}/".encode())
            self.assertEqual(unpack(body)["sku"], sku)

    def test_one_type_one_sku(self):
        chair, chairs = unique("CHAIR"), unique("CHAIR")
        mine = self.subscribe(f"Allocated/{chair}/")
        everything = self.subscribe("Allocated/")
        for sku in (chair, chair + "S", chairs):
            self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5)
            self.client.ask("Allocate", orderid="o", sku=sku, qty=1)
        seq = self.client.ask("Allocate", orderid="p", sku=chair, qty=1)["seq"]
        self.assertEqual([topic for topic, _ in mine.until(seq)],
                         [f"Allocated/{chair}/".encode()] * 2)
        self.assertEqual([unpack(body)["sku"] for _, body in everything.until(seq)],
                         [chair, chair + "S", chairs, chair])


class Bodies(EventCase):
    def test_live_equals_stored_byte_for_byte(self):
        subscriber = self.subscribe()
        model, history = Model(), History(seed=3, skus=4, orders=20, refs=10)
        before = self.client.head()
        for number in range(300):
            request = history.next_request(model)
            model.handle(dict(request))
            self.client.send({**request, "id": f"bytes-{request['id']}"})
        for number in range(300):
            self.client.recv()
        seq = self.client.head()
        self.assertGreater(seq, before + 100)
        stored = self.client.event_bodies(before)
        live = subscriber.until(seq)
        self.assertEqual([body for _, body in live], stored)
        self.assertEqual([topic for topic, _ in live],
                         [topic_of(unpack(body)) for body in stored])

    def test_named_fields(self):
        sku = unique("FIELDS")
        seq = self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5, id=sku)["seq"]
        self.client.ask("Allocate", orderid="o", sku=sku, qty=5)
        self.client.ask("ChangeBatchQuantity", ref=sku, qty=0)
        self.client.ask("Deallocate", orderid="o", sku=sku)
        common = {"seq", "prev", "type", "time", "sku", "version"}
        for event in self.events_since(seq - 1):
            named = common | set(EVENT_FIELDS[event["type"]])
            self.assertLessEqual(named, set(event), event)
            self.assertEqual("cause" in event, event["seq"] == seq)
        events = [plain_event(event) for event in self.events_since(seq - 1)]
        self.assertEqual([event["type"] for event in events], [
            "BatchCreated", "Allocated", "BatchQuantityChanged", "Deallocated", "OutOfStock",
            "Deallocated"])
        self.assertEqual(events[0]["eta"], None)
        self.assertEqual(events[-1]["batchref"], None)

    def test_time(self):
        before = int(time.time() * 1000)
        sku = unique("TIME")
        seq = self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5)["seq"]
        event = self.events_since(seq - 1)[0]
        self.assertLessEqual(before - 1000, event["time"])
        self.assertLessEqual(event["time"], int(time.time() * 1000) + 1000)

    def test_prev_chains_and_seq(self):
        sku = unique("PREV")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=50)
        self.client.pipeline({"type": "Allocate", "orderid": f"o{number}", "sku": sku,
                              "qty": 20 if number % 3 else 1} for number in range(60))
        newest = {}
        for seq, event in enumerate(self.client.all_events(), 1):
            self.assertEqual(event["seq"], seq)
            self.assertEqual(event["prev"], newest.get(event["type"], 0))
            newest[event["type"]] = seq


class NoEvents(EventCase):
    def test_refusals_and_duplicates_raise_none(self):
        sku = unique("NONE")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5)
        seq = self.client.ask("Allocate", orderid="o", sku=sku, qty=2, id=sku)["seq"]
        subscriber = self.subscribe()
        for request in (
                {"type": "CreateBatch", "ref": sku, "sku": sku, "qty": 6},
                {"type": "CreateBatch", "ref": sku, "sku": sku, "qty": 5},
                {"type": "CreateBatch", "ref": sku, "sku": sku, "qty": 0},
                {"type": "Allocate", "orderid": "o", "sku": sku, "qty": 2},
                {"type": "Allocate", "orderid": "o", "sku": sku, "qty": 3},
                {"type": "Allocate", "orderid": "o", "sku": sku, "qty": 2, "id": sku},
                {"type": "Allocate", "orderid": "o", "sku": sku, "qty": 9, "id": sku},
                {"type": "Allocate", "orderid": "o", "sku": "NO-SUCH", "qty": 3},
                {"type": "ChangeBatchQuantity", "ref": sku, "qty": 5},
                {"type": "ChangeBatchQuantity", "ref": "no-such", "qty": 5},
                {"type": "ChangeBatchEta", "ref": sku, "eta": None},
                {"type": "Deallocate", "orderid": "none", "sku": sku},
                {"type": "Nonsense"}, {"type": "Ping"}, {"type": "GetStock", "sku": sku}):
            self.client.send(request)
            self.client.recv()
        self.assertEqual(self.client.head(), seq)
        self.client.request("Allocate", orderid="p", sku=sku, qty=9)
        (topic, body), = subscriber.until(seq + 1)
        self.assertEqual((topic, unpack(body)["seq"]), (f"OutOfStock/{sku}/".encode(), seq + 1))


class Pulse(EventCase):
    def test_heartbeat_each_second_with_the_newest_seq(self):
        subscriber = self.subscribe("Heartbeat/", welcome=False)
        sku = unique("BEAT")
        arrivals = []
        for number in range(3):
            topic, body = subscriber.recv()
            arrivals.append(time.monotonic())
            beat = unpack(body)
            self.assertEqual(topic, b"Heartbeat/")
            self.assertEqual(beat["seq"], self.client.head())
            self.assertLess(abs(beat["time"] - time.time() * 1000), 5000)
            self.client.ask("CreateBatch", ref=f"{sku}-{number}", sku=sku, qty=1)
        for earlier, later in zip(arrivals, arrivals[1:]):
            self.assertGreater(later - earlier, 0.5)
            self.assertLess(later - earlier, 2.0)

    def test_heartbeat_under_load(self):
        subscriber = self.subscribe("Heartbeat/", welcome=False)
        sku = unique("LOAD")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=10**9)
        first, count = subscriber.recv(), 0
        end = time.monotonic() + 10
        while not subscriber.socket.poll(0):
            self.assertLess(time.monotonic(), end, "no heartbeat while the node is busy")
            self.client.pipeline({"type": "Allocate", "orderid": f"o{count + number}", "sku": sku,
                                  "qty": 1} for number in range(200))
            count += 200
        second = subscriber.recv()
        self.assertLessEqual(unpack(first[1])["seq"] + 200, unpack(second[1])["seq"])
        self.assertLessEqual(unpack(second[1])["seq"], self.client.head())

    def test_welcome_has_the_newest_seq(self):
        sku = unique("WELCOME")
        for number in range(3):
            seq = self.client.ask("CreateBatch", ref=f"{sku}-{number}", sku=sku, qty=1)["seq"]
            self.assertEqual(self.subscribe().welcome, seq)

    def test_welcome_on_a_connected_socket(self):
        subscriber = self.subscribe("Heartbeat/", welcome=False)
        subscriber.recv()
        for prefix in ("Allocated/", "Welcome/"):
            subscriber.socket.subscribe(prefix)
        subscriber.wait_for_welcome()
        self.assertEqual(subscriber.welcome, self.client.head())

    def test_each_new_subscriber_is_welcomed(self):
        for _ in range(20):
            self.assertEqual(self.subscribe("Allocated/").welcome, self.client.head())

    def test_several_at_once(self):
        subscribers = [self.subscribe(welcome=False) for _ in range(10)]
        for subscriber in subscribers:
            subscriber.socket.subscribe("Welcome/")
        for subscriber in subscribers:
            subscriber.wait_for_welcome()

    def test_pulses_are_not_stored(self):
        self.subscribe()
        for event in self.client.all_events():
            self.assertIn(event["type"], EVENT_FIELDS)


class WithoutGap(unittest.TestCase):
    """Subscribers that arrive while a client works miss nothing and see nothing twice."""

    def test_under_load(self):
        node = Node()
        self.addCleanup(node.close)
        with Client(node.start()) as worker, Client(node) as reader:
            worker.ask("CreateBatch", ref="b", sku="S", qty=10**9)
            subscribers, total, window = [], 4000, 200
            self.addCleanup(lambda: [subscriber.close() for subscriber in subscribers])
            for number in range(total):
                if number % 800 == 400:
                    late = Subscriber(node, welcome=False)
                    late.socket.subscribe("Welcome/")
                    subscribers.append(late)
                worker.send({"type": "Allocate", "orderid": f"o{number}", "sku": "S", "qty": 1})
                if number >= window:
                    self.assertTrue(worker.recv()["ok"])
            for _ in range(window):
                self.assertTrue(worker.recv()["ok"])
            head = reader.head()
            self.assertEqual(head, total + 1)
            stored = reader.event_bodies()
            self.assertEqual([unpack(body)["seq"] for body in stored], list(range(1, head + 1)))
            for subscriber in subscribers:
                subscriber.wait_for_welcome()
                self.assertEqual(follow(reader, subscriber, head), stored)

    def test_over_a_restart(self):
        """A subscriber reconnects by itself, is welcomed again, and fetches what it missed."""
        node = Node()
        self.addCleanup(node.close)
        node.start()
        with Client(node) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=100)
            subscriber = Subscriber(node)
            self.addCleanup(subscriber.close)
            client.ask("Allocate", orderid="o1", sku="S", qty=1)
            self.assertEqual(unpack(subscriber.next_event()[1])["seq"], 2)
        node.kill9()
        node.start(same_ports=True)
        with Client(node) as client:
            client.ask("Allocate", orderid="o2", sku="S", qty=1)
            subscriber.welcome = None
            subscriber.wait_for_welcome()
            client.ask("Allocate", orderid="o3", sku="S", qty=1)
            bodies = follow(client, subscriber, 4)
            self.assertEqual([unpack(body)["seq"] for body in bodies], [1, 2, 3, 4])


if __name__ == "__main__":
    unittest.main()
