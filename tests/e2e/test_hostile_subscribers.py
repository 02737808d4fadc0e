#!/usr/bin/python3
"""Peers of the event socket that mean harm, and subscribers that fall behind. The rules are those of
test_hostile_peers.py, and so are the figures that it prints.

HOSTILE_SECONDS (1) says how long each attack lasts."""

import functools
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import attacks
import zmtp
from allocd import DEADLINE, Subscriber, unpack
from hostile import MEMORY_MAX, MIB, HostileCase, Watch, good_node, sanitizer_factor

LINES = 2000


def make_events(client):
    """Some thousand, by two commands: all lines of a batch lose their stock and get it again."""
    if not client.request("GetBatch", ref="many")["ok"]:
        client.ask("CreateBatch", ref="many", sku="MANY", qty=LINES)
        client.pipeline({"type": "Allocate", "orderid": f"{number:0200}", "sku": "MANY", "qty": 1}
                        for number in range(LINES))
    for qty in (0, LINES):
        client.ask("ChangeBatchQuantity", ref="many", qty=qty)


def one_event(client):
    client.ask("CreateBatch", ref=f"one-{client.head()}", sku="ONE", qty=1)


def topics(count, size):
    return functools.partial(attacks.one_random_topic_each, count=count, size=size)


class HostileSubscribers(HostileCase):
    def start(self):
        node, good = good_node(self)
        for _ in range(3): # before its idle memory is looked at
            make_events(good.client)
        return node, good

    def test_subscriptions_without_end(self):
        self.endure("subscriptions without end", attacks.subscriptions_without_end,
                    counters=["subscribers_cut"])

    def test_300_with_a_long_topic_each(self):
        self.endure("300 topics of 3,000 bytes", topics(300, 3000))

    def test_1000_with_a_long_topic_each(self):
        self.endure("1,000 topics of 3,000 bytes", topics(1000, 3000))

    def test_3000_with_a_long_topic_each(self):
        self.endure("3,000 topics of 3,000 bytes", topics(3000, 3000))

    def test_3000_with_a_legal_topic_each(self):
        self.endure("3,000 topics of 214 bytes", topics(3000, 214))

    def test_many_within_what_each_may_subscribe(self):
        self.endure("25 with topics of 200 bytes", attacks.within_what_each_may_subscribe)

    def test_many_with_short_topics(self):
        self.endure("25 with topics of 8 bytes", attacks.short_topics_within_what_each_may)

    def test_subscriptions_of_hundreds(self):
        """Of 300 that have a quarter of what they may have, and that is more than there is."""
        self.endure("300 with topics of 8 bytes",
                    functools.partial(attacks.short_topics_within_what_each_may, count=300))

    def test_a_few_topics_of_thousands(self):
        self.endure("8,000 with 270 topics", attacks.a_few_topics_of_thousands,
                    meanwhile=one_event)

    def test_topics_within_each_other(self):
        self.endure("1,200 with chains of topics", attacks.topics_within_each_other)

    def test_many_topics_and_an_empty_one(self):
        self.endure("30 with 15,000 topics and \"\"", attacks.many_topics_and_an_empty_one)

    def test_welcome_again_and_again(self):
        self.endure("Welcome/ again and again", attacks.welcome_again_and_again)

    def test_subscribe_and_cancel(self):
        self.endure("subscribe and cancel", attacks.subscribe_and_cancel)

    def test_subscribe_and_reset(self):
        self.endure("subscribe, read nothing, reset", attacks.subscribe_and_reset)

    def test_large_properties(self):
        self.endure("READY of 200 KiB from 60", attacks.large_properties)

    def test_half_subscriptions(self):
        self.endure("400 with half a subscription", attacks.half_subscriptions)

    def test_events_never_read(self):
        self.endure("events never read", attacks.events_never_read, meanwhile=make_events)

    def test_events_that_many_never_read(self):
        self.endure("events that 300 never read", attacks.events_that_many_never_read,
                    meanwhile=make_events)

    def test_all_at_once(self):
        self.endure("all of these at once", *ALL, is_bounded=False, meanwhile=make_events)


ALL = [attacks.subscriptions_without_end, topics(1000, 3000), topics(1000, 214),
       attacks.within_what_each_may_subscribe, attacks.short_topics_within_what_each_may,
       attacks.welcome_again_and_again, attacks.subscribe_and_cancel, attacks.subscribe_and_reset,
       attacks.large_properties, attacks.half_subscriptions, attacks.events_never_read,
       attacks.events_that_many_never_read]


class Behind(unittest.TestCase):
    """A subscriber that falls behind loses events, sees it by their seq, and stays."""

    rounds = 40 # of some 6,000 events

    @staticmethod
    def seqs(peer, end_seq):
        """Those of the events that come, up to a Heartbeat or an event that is not older."""
        found = []
        while True:
            topic, body = peer.message()
            seq = unpack(body)["seq"]
            if topic not in (b"Heartbeat/", b"Welcome/"):
                found.append(seq)
            if seq >= end_seq:
                return found

    def test_a_deaf_one_that_reads_again_goes_on(self):
        node, good = good_node(self)
        with zmtp.Peer(node.events, b"SUB", DEADLINE, receive_buffer=4096) as deaf, \
                Subscriber(node) as other, Watch(node) as watch:
            deaf.send(zmtp.frame(b"\x01"))
            first, seen = other.welcome + 1, other.welcome
            for _ in range(self.rounds):
                make_events(good.client)
                head = good.client.head()
                if seen < head:
                    missing = {unpack(body)["seq"] for _, body in other.until(head)}
                    self.assertEqual(missing, set(range(seen + 1, head + 1)), "one that reads")
                    seen = head
            stats = good.client.ask("GetStats")
            self.assertEqual((stats["subscribers"], stats["subscribers_cut"]), (2, 0))
            found = self.seqs(deaf, head)
            for number in range(100): # it has caught up, and gets each one that comes now
                good.client.ask("CreateBatch", ref=f"later-{number}", sku="LATER", qty=1)
            later = self.seqs(deaf, head + 100)
            self.assertEqual(later[-100:], list(range(head + 1, head + 101)))
            found += later
            self.assertEqual(found, sorted(set(found)), "in order, and none of them twice")
            stats = good.client.ask("GetStats")
            self.assertEqual((stats["subscribers"], stats["subscribers_cut"]), (2, 0))
        print(f"| deaf for {head - first} events | {head + 101 - first - len(found)} lost | grown "
              f"{watch.grown() / MIB:.1f} MiB |", file=sys.stderr, flush=True)
        self.assertLessEqual(watch.grown(), MEMORY_MAX * sanitizer_factor())


if __name__ == "__main__":
    unittest.main()
