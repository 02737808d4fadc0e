#!/usr/bin/python3
"""Rule 11: events of other nodes and services that change quantities."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import msgpack
import zmq

from allocd import DEADLINE, Client, Node, context, pack, plain_event, wait_until

TOPIC = b"BatchQuantityChanged/CHAIR/"


class Feed:
    """A service that publishes; it knows when the node has subscribed."""

    def __init__(self):
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.set_hwm(0)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"

    def wait_for_subscription(self):
        if not self.socket.poll(int(DEADLINE * 1000)):
            raise TimeoutError("the node did not subscribe")
        return self.socket.recv()

    def publish(self, event, topic=TOPIC):
        self.socket.send_multipart([topic, event if type(event) is bytes else pack(event)])


class UpstreamCase(unittest.TestCase):
    feeds = 1

    def setUp(self):
        self.feed, *self.others = [Feed() for _ in range(self.feeds)]
        arguments = []
        for feed in (self.feed, *self.others):
            self.addCleanup(feed.socket.close)
            arguments += ["--upstream", feed.endpoint]
        self.node = Node(*arguments)
        self.addCleanup(self.node.close)
        self.node.start()
        self.client = Client(self.node)
        self.addCleanup(self.client.close)
        for feed in (self.feed, *self.others):
            self.assertEqual(feed.wait_for_subscription(), b"\x01BatchQuantityChanged/")
        self.client.ask("CreateBatch", ref="b", sku="CHAIR", qty=10)

    def counts(self):
        stats = self.client.ask("GetStats")
        return stats["upstream_received"], stats["upstream_bad"]

    def wait_for_counts(self, *wanted):
        try:
            wait_until(lambda: self.counts() == wanted, "upstream_received and upstream_bad")
        except AssertionError:
            self.assertEqual(self.counts(), wanted)

    def quantity(self, ref="b"):
        return self.client.ask("GetBatch", ref=ref)["qty"]


class Told(unittest.TestCase):
    def test_whether_it_is_there(self):
        """Once for each change, however often the node tries."""
        feed = Feed()
        endpoint = feed.endpoint
        feed.socket.close()
        node = Node("--upstream", endpoint)
        self.addCleanup(node.close)
        node.start()
        wait_until(lambda: f" WARN upstream {endpoint} cannot be reached\n" in node.stderr(), "told")
        with context.socket(zmq.XPUB) as socket:
            wait_until(lambda: self.bound(socket, endpoint), "its port is free")
            wait_until(lambda: f" INFO upstream {endpoint} is connected\n" in node.stderr(), "told")
        wait_until(lambda: f" WARN upstream {endpoint} has ended the connection\n" in node.stderr(),
                   "told")
        self.assertEqual(node.stderr().count(f"upstream {endpoint}"), 3)

    @staticmethod
    def bound(socket, endpoint):
        try:
            socket.bind(endpoint)
            return True
        except zmq.ZMQError:
            return False


class Upstream(UpstreamCase):
    def test_it_is_change_batch_quantity(self):
        self.client.ask("Allocate", orderid="o", sku="CHAIR", qty=8)
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 5})
        self.wait_for_counts(1, 0)
        self.assertEqual([plain_event(event) for event in self.client.all_events(2)], [
            {"seq": 3, "prev": 0, "type": "BatchQuantityChanged", "sku": "CHAIR", "version": 3,
             "ref": "b", "qty": 5},
            {"seq": 4, "prev": 0, "type": "Deallocated", "sku": "CHAIR", "version": 4,
             "orderid": "o", "qty": 8, "batchref": "b"},
            {"seq": 5, "prev": 0, "type": "OutOfStock", "sku": "CHAIR", "version": 5,
             "orderid": "o", "qty": 8}])
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 9})
        self.wait_for_counts(2, 0)
        self.assertEqual([event["type"] for event in self.client.all_events(5)],
                         ["BatchQuantityChanged", "Allocated"])

    def test_batchref_and_other_keys(self):
        self.feed.publish({"type": "BatchQuantityChanged", "batchref": "b", "qty": 7})
        self.wait_for_counts(1, 0)
        self.assertEqual(self.quantity(), 7)
        self.feed.publish({"seq": 77, "prev": 70, "type": "BatchQuantityChanged", "time": 5,
                           "sku": "ANOTHER", "version": 9, "cause": "c", "id": "i", "ref": "b",
                           "qty": 0, "more": None, "list": [1], "map": {"a": 1}})
        self.wait_for_counts(2, 0)
        self.assertEqual(self.quantity(), 0)
        self.assertNotIn("cause", self.client.all_events()[-1])

    def test_what_is_so_already_is_not_bad(self):
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 10})
        self.wait_for_counts(1, 0)
        self.assertEqual(self.client.head(), 1)

    def test_bad_ones_are_counted_and_harmless(self):
        good = {"type": "BatchQuantityChanged", "ref": "b", "qty": 5}
        bad = [b"", b"\xc1", b"hello", b"\xdd\x08\x00\x00\x00", b"\x91" * 5000, b"\xff" * 100_000,
               pack(good)[:-1], pack(good) + b"\x00", pack(None), pack([good]), pack({}),
               pack({"ref": "b", "qty": 5}), pack({**good, "type": "Allocated"}),
               pack({**good, "type": 5}), pack({**good, "ref": "no-such-batch"}),
               pack({**good, "ref": 5}), pack({**good, "ref": ""}),
               pack({**good, "ref": "x" * 256}),
               pack({**good, "qty": -1}), pack({**good, "qty": "5"}), pack({**good, "qty": 5.0}),
               pack({**good, "qty": True}), pack({**good, "qty": 10**9 + 1}),
               pack({**good, "qty": None}), pack({"type": good["type"], "ref": "b"}),
               pack({"type": good["type"], "qty": 5}),
               msgpack.Packer().pack_map_header(4) + pack(good)[1:] + b"\xa3qty\x06"]
        for body in bad:
            self.feed.publish(body)
        self.wait_for_counts(len(bad), len(bad))
        self.assertEqual((self.quantity(), self.client.head()), (10, 1))
        self.feed.publish(good)
        self.wait_for_counts(len(bad) + 1, len(bad))
        self.assertEqual(self.quantity(), 5)

    def test_bad_frames(self):
        good = pack({"type": "BatchQuantityChanged", "ref": "b", "qty": 5})
        self.feed.socket.send(TOPIC)
        self.feed.socket.send_multipart([TOPIC, good, good])
        self.feed.socket.send_multipart([TOPIC] + [b"x"] * 50)
        self.wait_for_counts(3, 3)
        self.assertEqual(self.quantity(), 10)
        self.feed.publish(good)
        self.wait_for_counts(4, 3)
        self.assertEqual(self.quantity(), 5)

    def test_other_topics_are_not_asked_for(self):
        change = {"type": "BatchQuantityChanged", "ref": "b", "qty": 6}
        self.feed.publish({**change, "qty": 5}, b"Allocated/CHAIR/")
        self.feed.publish(change)
        self.wait_for_counts(1, 0)
        self.assertEqual(self.quantity(), 6)

    def test_a_full_disk_puts_it_off(self):
        self.node.limit_file_size(4096)  # its log has room, its journal has none
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 5})
        wait_until(lambda: "no space left" in self.node.stderr(), "the commit failed")
        self.assertEqual((self.quantity(), self.counts()), (10, (1, 0)))
        self.node.limit_file_size(None)
        wait_until(lambda: self.quantity() == 5, "it is carried out")
        self.assertEqual(self.counts(), (1, 0))

    def test_many_bad_ones_between_commands(self):
        for number in range(3000):
            self.feed.publish(b"\xc1")
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 5})
        self.wait_for_counts(3001, 3000)
        self.assertEqual(self.quantity(), 5)

    def test_many_between_commands(self):
        for number in range(1000):
            self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": number + 100})
            self.client.send({"type": "Ping"})
        for _ in range(1000):
            self.client.recv()
        self.wait_for_counts(1000, 0)
        self.assertEqual(self.quantity(), 1099)
        self.assertEqual(self.client.head(), 1001)


class TwoFeeds(UpstreamCase):
    feeds = 2

    def test_each_is_heard(self):
        self.feed.publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 11})
        self.wait_for_counts(1, 0)
        self.others[0].publish({"type": "BatchQuantityChanged", "ref": "b", "qty": 12})
        self.wait_for_counts(2, 0)
        self.assertEqual(self.quantity(), 12)


class Chain(unittest.TestCase):
    """One node follows another."""

    def test_a_node_follows_a_node(self):
        source = Node()
        self.addCleanup(source.close)
        source.start()
        follower = Node("--upstream", source.events)
        self.addCleanup(follower.close)
        follower.start()
        with Client(source) as above, Client(follower) as below:
            for client in (above, below):
                client.ask("CreateBatch", ref="b", sku="CHAIR", qty=10)
            below.ask("Allocate", orderid="o", sku="CHAIR", qty=10)
            quantities = iter(range(1000, 100_000))

            def was_heard():
                above.ask("ChangeBatchQuantity", ref="b", qty=next(quantities))
                return below.ask("GetStats")["upstream_received"] > 0
            wait_until(was_heard, "the node hears its upstream")
            above.ask("ChangeBatchQuantity", ref="b", qty=4)
            wait_until(lambda: below.ask("GetBatch", ref="b")["qty"] == 4, "the change arrives")
            lines = below.ask("GetAllocations", orderid="o")["lines"]
            self.assertEqual(lines, [{"sku": "CHAIR", "qty": 10, "batchref": None}])
            self.assertEqual(below.ask("GetStats")["upstream_bad"], 0)

    def test_an_upstream_that_is_not_there_does_no_harm(self):
        node = Node("--upstream", "tcp://127.0.0.1:1", "--upstream", "ipc:///nonexistent/socket")
        self.addCleanup(node.close)
        with Client(node.start()) as client:
            self.assertTrue(client.ask("Ping")["ok"])


if __name__ == "__main__":
    unittest.main()
