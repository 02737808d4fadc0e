#!/usr/bin/python3
"""All attacks on one node at once, for as long as one likes, with good clients of all four envelopes
and two subscribers. Each reply must be right and in its order, each event must come, and memory,
descriptors and the log must stay where they are. A line each ten seconds, and a verdict:

    HOSTILE_SECONDS=7200 ALLOCD=build/release/allocd PYTHONPATH=tests/support \\
        tests/e2e/campaign_hostile.py

Status 0: all held. CAMPAIGN_RATE (50) is how many requests a second each good client sends at most:
one that sends as fast as it can would leave the attacks no processor."""

import functools
import os
import signal
import statistics
import sys
import time
import unittest
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

import attacks
import honest
import zmtp
from allocd import DEADLINE, Subscriber, check_reply, context, pack, unpack
from hostile import (KEPT_MAX, MEMORY_MAX, MIB, SECONDS, STOP_SECONDS, Attack, Watch, cpu_seconds,
                     descriptors, good_node, sanitizer_factor)
from listener import CHANGE, Listener, each_time, pouring

RATE = float(os.environ.get("CAMPAIGN_RATE", "50"))
LINE_SECONDS = 10
REPLY_SECONDS = 60 # without a reply it counts as lost: all of this shares two processors
DRIFT_MAX = 16 * MIB # of the memory, from the second quarter to the last one
ORDERS = 200
WARM_UP = 150_000 # commands
ON_COMMANDS = [
    attacks.empty_frames_without_end, attacks.large_frames_without_end,
    attacks.many_with_a_little_each, attacks.half_messages, attacks.half_handshakes,
    attacks.a_thousand_that_say_nothing, attacks.two_hundred_with_garbage,
    attacks.replies_never_read, attacks.replies_that_many_never_read,
    attacks.whole_requests_of_many, attacks.large_requests_of_many, attacks.envelopes_of_many,
    attacks.pings_never_answered, attacks.claimed_routing_ids, attacks.connect_and_reset,
    attacks.more_queries_than_are_taken_in_then_close, attacks.a_hundred_queries_then_close,
    attacks.pings_between_requests_then_reset,
    functools.partial(honest.for_ever, count=100, in_flight=10)]
ON_EVENTS = [
    attacks.subscriptions_without_end, attacks.within_what_each_may_subscribe,
    functools.partial(attacks.one_random_topic_each, count=1000, size=3000),
    functools.partial(attacks.one_random_topic_each, count=1000, size=214),
    attacks.short_topics_within_what_each_may, attacks.welcome_again_and_again,
    attacks.subscribe_and_cancel, attacks.subscribe_and_reset, attacks.large_properties,
    attacks.events_never_read, attacks.events_that_many_never_read, attacks.half_subscriptions]


class Wrong(Exception):
    """What does not hold, in words."""


class Good:
    """One good client; it knows what each reply must be."""

    def __init__(self, node, name, kind, envelope, window, options=()):
        self.name, self.envelope, self.window = name, envelope, window
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        for option in options:
            self.socket.setsockopt(option, 1)
        self.socket.connect(node.commands)
        self.in_flight = deque()
        self.turn = self.replies = 0
        self.next_at = time.monotonic()
        self.longest = 0

    def next_request(self):
        self.turn += 1
        order = f"{self.name} {self.turn // 3 % ORDERS}"
        return ({"type": "Allocate", "orderid": order, "sku": "GOOD", "qty": 1},
                {"type": "GetAllocations", "orderid": order, "id": str(self.turn)},
                {"type": "Deallocate", "orderid": order, "sku": "GOOD"})[self.turn % 3]

    def send(self, now):
        while len(self.in_flight) < self.window and now >= self.next_at:
            request = self.next_request()
            self.next_at = max(self.next_at + 1 / RATE, now - 1)
            if self.turn < 3: # its first order begins with the next turn of three
                continue
            self.in_flight.append((request, now))
            self.socket.send_multipart([*self.envelope, pack(request)])

    def receive(self, now):
        while self.socket.poll(0):
            *envelope, body = self.socket.recv_multipart()
            reply = check_reply(unpack(body))
            request, sent = self.in_flight.popleft()
            is_right = envelope == self.envelope and reply["ok"] \
                and reply.get("id") == request.get("id") \
                and (request["type"] != "Allocate" or reply["batchref"] == "good") \
                and (request["type"] != "GetAllocations" or len(reply["lines"]) == 1)
            if not is_right:
                raise Wrong(f"{self.name}: {request} got {envelope} {reply}")
            self.replies += 1
            self.longest = max(self.longest, now - sent)
        if self.in_flight and now - self.in_flight[0][1] > REPLY_SECONDS:
            raise Wrong(f"{self.name}: no reply in {REPLY_SECONDS} s to {self.in_flight[0][0]}")


class Heard:
    """A good subscriber to all events; it misses none."""

    def __init__(self, node):
        self.subscriber = Subscriber(node)
        self.newest = self.subscriber.welcome
        self.events = 0

    def receive(self):
        for topic, body in self.subscriber.drain():
            seq = unpack(body)["seq"]
            if topic in (b"Welcome/", b"Heartbeat/") or seq <= self.newest:
                continue
            if seq != self.newest + 1:
                raise Wrong(f"events {self.newest + 1} to {seq - 1} did not come")
            self.newest, self.events = seq, self.events + 1


class Campaign:
    def __init__(self, node, good, watch):
        self.node, self.control, self.watch = node, good.client, watch
        self.clients = [
            Good(node, "REQ", zmq.REQ, [], 1),
            Good(node, "REQ with CORRELATE", zmq.REQ, [], 1, [zmq.REQ_CORRELATE, zmq.REQ_RELAXED]),
            Good(node, "DEALER with the empty frame", zmq.DEALER, [b""], 10),
            Good(node, "DEALER without it", zmq.DEALER, [], 10)]
        self.heard = [Heard(node), Heard(node)]
        self.poller = zmq.Poller()
        for socket in [client.socket for client in self.clients] + \
                [heard.subscriber.socket for heard in self.heard]:
            self.poller.register(socket, zmq.POLLIN)
        self.begin = time.monotonic()
        self.memory = []

    def step(self, is_sending=True):
        self.poller.poll(5)
        now = time.monotonic()
        for client in self.clients:
            client.receive(now)
            if is_sending:
                client.send(now)
        for heard in self.heard:
            heard.receive()
        if not self.node.is_running():
            raise Wrong(f"the node ended, status {self.node.process.returncode}")

    def line(self, cpu, attack):
        now = self.watch.kept()
        self.memory.append(now)
        alive = sum(process.is_alive() for process in attack.processes)
        print(f"{time.monotonic() - self.begin:7.0f} s | grown {now / MIB:6.1f}, at most "
              f"{self.watch.grown() / MIB:6.1f} MiB | cpu {100 * cpu:4.0f} % "
              f"| descriptors {descriptors(self.watch.pid):5} "
              f"| replies {sum(client.replies for client in self.clients):8} "
              f"| longest {1000 * max(client.longest for client in self.clients):6.0f} ms "
              f"| events {' '.join(str(heard.events) for heard in self.heard)} "
              f"| attacks {alive}", flush=True)
        for client in self.clients:
            client.longest = 0

    def run(self, attack, seconds):
        end, next_line = self.begin + seconds, self.begin + LINE_SECONDS
        used, looked = cpu_seconds(self.watch.pid), self.begin
        while time.monotonic() < end:
            self.step()
            now = time.monotonic()
            if now >= min(next_line, end):
                cpu = cpu_seconds(self.watch.pid)
                self.line((cpu - used) / (now - looked), attack)
                used, looked, next_line = cpu, now, now + LINE_SECONDS

    def finish(self):
        """The attacks are over: what is in flight is answered, and each event comes."""
        end = time.monotonic() + DEADLINE
        while any(client.in_flight for client in self.clients):
            self.step(is_sending=False)
            if time.monotonic() > end:
                raise Wrong("replies are missing at the end")
        head = self.control.head()
        while any(heard.newest < head for heard in self.heard):
            self.step(is_sending=False)
            if time.monotonic() > end:
                raise Wrong("events are missing at the end")
        while descriptors(self.watch.pid) > self.watch.descriptors + len(self.clients) + len(
                self.heard) + 1 or self.watch.kept() > KEPT_MAX:
            self.step(is_sending=False)
            if time.monotonic() > end:
                raise Wrong(f"{descriptors(self.watch.pid)} descriptors and "
                            f"{self.watch.kept() / MIB:.1f} MiB are left at the end")

    def look_at_memory(self):
        if self.watch.grown() > MEMORY_MAX * sanitizer_factor():
            raise Wrong(f"grown by {self.watch.grown() / MIB:.1f} MiB")
        quarter = len(self.memory) // 4
        if quarter > 2:
            drift = statistics.median(self.memory[-quarter:]) - statistics.median(
                self.memory[quarter:2 * quarter])
            if drift > DRIFT_MAX:
                raise Wrong(f"memory rises: by {drift / MIB:.1f} MiB")

    def close(self):
        for client in self.clients:
            client.socket.close()
        for heard in self.heard:
            heard.subscriber.close()

    def stop(self):
        begin = time.monotonic()
        self.node.stop()
        if time.monotonic() - begin > STOP_SECONDS * sanitizer_factor():
            raise Wrong(f"SIGTERM took {time.monotonic() - begin:.1f} s")


def on_upstream(listeners):
    """An attack for each of them."""
    return [lambda _: pouring(listeners[0], zmtp.frame(b"x" * (1 << 20), more=True)),
            lambda _: each_time(listeners[1], (CHANGE + zmtp.ping()) * 20_000, end=attacks.reset),
            lambda _: pouring(listeners[2], zmtp.ping() * 5000)]


def warm_up(client):
    """What the store keeps in memory of commands and their ids, some 50 MiB in the end, is not what
    peers cost."""
    for number in range(WARM_UP // 1000):
        client.pipeline({"type": "Allocate" if at % 2 == 0 else "Deallocate", "orderid": f"warm-{at // 2}",
                         "sku": "GOOD", "id": f"warm-{number}-{at}", **({"qty": 1} if at % 2 == 0 else {})}
                        for at in range(1000))


class AllAttacks(unittest.TestCase):
    def test_all(self):
        listeners = [Listener() for _ in range(3)]
        arguments = []
        for listener in listeners:
            self.addCleanup(listener.close)
            arguments += ["--upstream", listener.endpoint]
        node, good = good_node(self, *arguments)
        good.client.ask("CreateBatch", ref="up", sku="CHAIR", qty=10)
        warm_up(good.client)
        with Watch(node) as watch:
            campaign = Campaign(node, good, watch)
            self.addCleanup(campaign.close)
            try:
                with Attack(node, ON_COMMANDS + ON_EVENTS + on_upstream(listeners),
                            SECONDS + 600) as attack:
                    campaign.run(attack, SECONDS)
                campaign.finish()
                campaign.look_at_memory()
                campaign.stop()
            except (Wrong, TimeoutError, AssertionError) as wrong:
                if node.is_running():
                    node.send_signal(signal.SIGKILL)
                    node.wait()
                print(f"verdict: {wrong}", flush=True)
                self.fail(str(wrong))
        print(f"verdict: all held, {sum(client.replies for client in campaign.clients)} replies, "
              f"grown by {watch.grown() / MIB:.1f} MiB at most", flush=True)


if __name__ == "__main__":
    unittest.main()
