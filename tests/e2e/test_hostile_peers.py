#!/usr/bin/python3
"""Peers of the command socket that mean harm, one kind after the other, then all kinds at once.
While one attacking process is at it, a good client gets a tenth of its quiet rate and never waits
half a second; all peers together take no more memory than clients/max_memory_mib; when it is over
all comes back; and SIGTERM is obeyed meanwhile. What was measured is printed as a table.

HOSTILE_SECONDS (1) says how long each attack lasts."""

import functools
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import attacks
import zmtp
from allocd import DEADLINE, Client, Subscriber, program
from hostile import HostileCase, good_node


class HostilePeers(HostileCase):
    def test_a_message_of_empty_frames_without_end(self):
        self.endure("empty frames without end", attacks.empty_frames_without_end)

    def test_a_message_of_large_frames_without_end(self):
        self.endure("large frames without end", attacks.large_frames_without_end)

    def test_many_messages_that_do_not_end(self):
        self.endure("100 with a little each", attacks.many_with_a_little_each)

    def test_half_messages(self):
        self.endure("400 with half a message", attacks.half_messages)

    def test_half_handshakes(self):
        self.endure("300 with half a READY", attacks.half_handshakes)

    def test_a_thousand_that_say_nothing(self):
        self.endure("1,000 silent ones", attacks.a_thousand_that_say_nothing)

    def test_two_hundred_with_garbage(self):
        self.endure("200 with garbage", attacks.two_hundred_with_garbage)

    def test_replies_never_read(self):
        self.endure("replies never read", attacks.replies_never_read)

    def test_replies_that_many_never_read(self):
        self.endure("replies that 300 never read", attacks.replies_that_many_never_read)

    def test_whole_requests_of_many(self):
        """They may: 900 clients share what the node can do. The good one has far more than its part."""
        self.endure("requests of 900 without end", attacks.whole_requests_of_many, is_bounded=False)

    def test_requests_of_thousands(self):
        """Again they may."""
        self.endure("65 KB of requests from 2,500", attacks.requests_of_thousands, is_bounded=False)

    def test_bodies_of_many_keys(self):
        self.endure("bodies of 32,000 keys", attacks.bodies_of_many_keys)

    def test_bodies_of_many_keys_then_close(self):
        self.endure("bodies of 32,000 keys, close", attacks.bodies_of_many_keys_then_close)

    def test_large_requests_of_many(self):
        self.endure("1 MiB requests of 300", attacks.large_requests_of_many)

    def test_large_envelopes_of_many(self):
        self.endure("1 MiB envelopes of 100", attacks.envelopes_of_many)

    def test_pings_never_answered(self):
        self.endure("PONGs never read", attacks.pings_never_answered)

    def test_halves_of_messages_of_thousands(self):
        self.endure("14,000 bytes of a message from 6,000",
                    functools.partial(attacks.half_messages, count=6000, size=14_000), is_bounded=False)

    def test_claimed_routing_ids(self):
        self.endure("claimed routing ids", attacks.claimed_routing_ids)

    def test_more_queries_than_are_taken_in_then_close(self):
        self.endure("20,000 queries of 10, close", attacks.more_queries_than_are_taken_in_then_close)

    def test_a_hundred_queries_then_close(self):
        self.endure("100 queries, close", attacks.a_hundred_queries_then_close)

    def test_connections_that_end_while_their_requests_wait(self):
        self.endure("requests and PINGs, reset", attacks.pings_between_requests_then_reset)

    def test_connect_and_reset(self):
        self.endure("connect, reset", attacks.connect_and_reset)

    def test_all_at_once(self):
        self.endure("all of these at once", *ALL, is_bounded=False)


class Crowded(unittest.TestCase):
    """Strangers keep just so much that nobody has to go, and would keep it for ever."""

    def test_large_requests_are_carried_out(self):
        _, good = good_node(self)
        connections = attacks.hand_shaken_ones(600, good.client.node.commands, b"DEALER")
        half = zmtp.frame(b"x" * 1_000_000, more=True)[:70_000]
        for connection in connections:
            connection.settimeout(DEADLINE)
            connection.sendall(half)
        begin = time.monotonic()
        with Client(good.client.node) as client:
            for _ in range(20):
                client.send_body(b"\xa5" * 60_000)
            for _ in range(20):
                self.assertEqual(client.recv()["error"], "malformed")
        topics = [f"Allocated/{number:0100}/" for number in range(3000)]
        with Subscriber(good.client.node, *topics, "BatchCreated/") as subscriber:
            subscriber.until(good.client.ask("CreateBatch", ref="heard", sku="HEARD", qty=1)["seq"])
        print(f"large requests and subscriptions in a crowd: after {time.monotonic() - begin:.1f} s",
              file=sys.stderr, flush=True)
        for connection in connections:
            connection.close()


class FewDescriptors(HostileCase):
    def start(self):
        with tempfile.TemporaryDirectory() as home:
            limited = Path(home) / "allocd"
            limited.write_text(f'#!/bin/sh\nulimit -n 150\nexec {program("ALLOCD", "allocd")} "$@"\n')
            limited.chmod(0o700)
            before = os.environ.get("ALLOCD")
            os.environ["ALLOCD"] = str(limited)
            try:
                return good_node(self)
            finally:
                if before is None:
                    del os.environ["ALLOCD"]
                else:
                    os.environ["ALLOCD"] = before

    def test_descriptors_run_short(self):
        self.endure("descriptors run short", attacks.descriptors_run_short,
                    counters=["peers_refused"])


class Honest(unittest.TestCase):
    def test_who_sends_much_but_honestly_is_not_cut_off(self):
        _, good = good_node(self)
        for _ in range(3):
            for _ in range(40):
                good.client.send_body(b"\xa5" * (1 << 20))
            for _ in range(40):
                self.assertEqual(good.client.recv()["error"], "too_large")
        topics = [f"Allocated/{number:020}/" for number in range(10_000)]
        with Subscriber(good.client.node, *topics, "BatchCreated/") as subscriber:
            seq = good.client.ask("CreateBatch", ref="heard", sku="HEARD", qty=1)["seq"]
            subscriber.until(seq)
        self.assertEqual([good.client.ask("GetStats")[key] for key in
                          ("peers_cut", "peers_flooding", "subscribers_cut")], [0, 0, 0])


ALL = [attacks.empty_frames_without_end, attacks.large_frames_without_end,
       attacks.many_with_a_little_each, attacks.half_messages, attacks.half_handshakes,
       attacks.a_thousand_that_say_nothing, attacks.two_hundred_with_garbage,
       attacks.replies_never_read, attacks.replies_that_many_never_read,
       attacks.whole_requests_of_many, attacks.large_requests_of_many, attacks.envelopes_of_many,
       attacks.pings_never_answered, attacks.claimed_routing_ids,
       attacks.more_queries_than_are_taken_in_then_close, attacks.a_hundred_queries_then_close]


if __name__ == "__main__":
    unittest.main()
