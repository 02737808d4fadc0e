#!/usr/bin/python3
"""Honest clients, many of them and with very much in flight: none is cut off and none loses a reply,
over TCP and over ipc, and commands of others wait some milliseconds at most. What was measured is
printed.

HOSTILE_SECONDS (1), 5 at most, says how long the waits of commands are measured."""

import functools
import shutil
import statistics
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

import attacks
import honest
import zmtp
from allocd import DEADLINE, check_reply, context, let_pass, pack, unpack
from hostile import (GONE_SECONDS, MEMORY_MAX, MIB, SECONDS, TRIES, Attack, Watch, good_node,
                     sanitizer_factor)

WAITS_SECONDS = min(SECONDS, 5)
MORE_MAX = 0.010 # seconds that a command waits more for honest queries of others
BUSY_IN_FLIGHT = 10_000
SHORT = {"type": "GetEvents", "limit": 20}
MIDDLE = {"type": "GetEvents", "limit": 100}


def say(line):
    print(line, file=sys.stderr, flush=True)


def ipc_node(case):
    home = tempfile.mkdtemp(prefix="allocd-ipc-")
    case.addCleanup(shutil.rmtree, home, ignore_errors=True)
    return good_node(case, commands=f"ipc://{home}/commands", events=f"ipc://{home}/events")


class AllInFlight(unittest.TestCase):
    """Row by row: how many clients, each with how many queries in flight at once."""

    def read_all(self, start, name, clients, in_flight, fields=attacks.EVENTS):
        node, good = start(self)
        with Watch(node) as watch:
            replies, spent = honest.until_all_read(node.commands, clients, in_flight, fields)
        short = [count for count in replies if count < in_flight]
        cut = {key: value for key, value in good.client.ask("GetStats").items()
               if key in ("peers_cut", "peers_flooding", "replies_dropped", "requests_dropped")}
        say(f"| {name} | {sum(replies)} of {clients * in_flight} replies | {spent:.1f} s "
            f"| {len(short)} cut off or stuck | grown {watch.grown() / MIB:.1f} MiB | {cut} |")
        self.assertEqual(short, [], "replies that clients got which lost some")
        self.assertEqual(set(cut.values()), {0}, cut)
        self.assertLessEqual(watch.grown(), MEMORY_MAX * sanitizer_factor())

    def test_one_with_twenty_thousand(self):
        self.read_all(good_node, "1 with 20,000 GetEvents, tcp", 1, 20_000)

    def test_one_with_twenty_thousand_over_ipc(self):
        self.read_all(ipc_node, "1 with 20,000 GetEvents, ipc", 1, 20_000, SHORT)

    def test_ten_with_ten_thousand(self):
        self.read_all(good_node, "10 with 10,000 GetEvents, tcp", 10, BUSY_IN_FLIGHT, SHORT)

    def test_ten_with_three_thousand_long_ones(self):
        self.read_all(good_node, "10 with 3,000 long GetEvents, tcp", 10, 3000)

    def test_ten_with_ten_thousand_over_ipc(self):
        self.read_all(ipc_node, "10 with 10,000 GetEvents, ipc", 10, BUSY_IN_FLIGHT, SHORT)

    def test_one_that_knows_no_ping(self):
        """All that it asked for is passed on at once, and it has nothing else to say for many times as
        long as silence may last."""
        home = Path(tempfile.mkdtemp(prefix="allocd-e2e-"))
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        (home / "conf").write_text("store\n    events_behind = 50\nclients\n    heartbeat_ms = 100\n"
                                   "    heartbeat_timeout_ms = 100\n")
        self.read_all(lambda case: good_node(case, "--config", home / "conf"),
                      "1 without PONGs, with 8,000 GetEvents", 1, 8000)

    def test_three_hundred_with_a_hundred(self):
        self.read_all(good_node, "300 with 100 GetEvents, tcp", 300, 100)

    def test_twenty_with_large_lists(self):
        self.read_all(good_node, "20 with 200 ListBatches of 115 KiB, tcp", 20, 200, attacks.LIST)

    def test_twenty_with_large_lists_over_ipc(self):
        self.read_all(ipc_node, "20 with 200 ListBatches of 115 KiB, ipc", 20, 200, attacks.LIST)


class Dealers(unittest.TestCase):
    """The same with DEALER sockets of libzmq, which give up on a node that does not answer PINGs."""

    def dealer(self, node, **options):
        socket = context.socket(zmq.DEALER)
        self.addCleanup(socket.close)
        for name, value in {"LINGER": 0, "SNDHWM": 0, **options}.items():
            socket.setsockopt(getattr(zmq, name), value)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.addCleanup(monitor.close)
        self.addCleanup(socket.disable_monitor)
        socket.connect(node.commands)
        return socket, monitor

    def in_flight(self, start, name, clients, count, **options):
        node, _ = start(self)
        dealers = [self.dealer(node, **options) for _ in range(clients)]
        for number in range(count):
            for socket, _ in dealers:
                socket.send_multipart([b"", pack({**MIDDLE, "id": str(number)})])
        got, is_in_order = [0] * len(dealers), True
        poller = zmq.Poller()
        places = {socket: place for place, (socket, _) in enumerate(dealers)}
        for socket in places:
            poller.register(socket, zmq.POLLIN)
        while sum(got) < count * len(dealers) and is_in_order:
            ready = poller.poll(1000 * DEADLINE)
            if not ready:
                break
            for socket, _ in ready:
                for _ in range(50):
                    if not socket.poll(0):
                        break
                    reply = check_reply(unpack(socket.recv_multipart()[1]))
                    is_in_order = is_in_order and reply["id"] == str(got[places[socket]])
                    got[places[socket]] += 1
        ended = sum(bool(monitor.poll(0)) for _, monitor in dealers)
        say(f"| {name} | {sum(got)} of {clients * count} replies | {ended} connections ended |")
        self.assertTrue(is_in_order, "replies are missing")
        self.assertEqual((got, ended), ([count] * clients, 0))

    def test_one_dealer(self):
        self.in_flight(good_node, "1 DEALER with 20,000 GetEvents, tcp", 1, 20_000)

    def test_ten_dealers(self):
        self.in_flight(good_node, "10 DEALERs with 2,000 GetEvents, tcp", 10, 2000)

    def test_ten_dealers_over_ipc(self):
        self.in_flight(ipc_node, "10 DEALERs with 2,000 GetEvents, ipc", 10, 2000)

    def test_ten_dealers_with_heartbeats(self):
        """Their PINGs wait behind thousands of queries, and yet they must not give up on the node. With
        a limit to what they receive libzmq 4.3.4 would abort here, and it is not the node's."""
        self.in_flight(good_node, "the same with heartbeats of 100 ms", 10, 2000, HEARTBEAT_IVL=100,
                       HEARTBEAT_TIMEOUT=500, RCVHWM=0)

    def test_held_up_by_what_it_does_not_read(self):
        """Its replies wait for three seconds, twice as many as it may leave unread; it sends PINGs
        all the time, then it reads on."""
        node, good = good_node(self)
        with zmtp.Peer(node.commands, b"DEALER", DEADLINE, receive_buffer=4096) as peer:
            count = 150 # of 115 KiB
            peer.send(b"".join(attacks.request({**attacks.LIST, "id": str(number)})
                               for number in range(count)))
            for number in range(30):
                peer.send(zmtp.ping(0, str(number).encode()))
                let_pass(0.1)
            for number in range(count):
                reply = unpack(peer.message()[1])
                self.assertEqual((reply["ok"], reply["id"]), (True, str(number)))
            peer.send(attacks.request({"type": "Ping"}))
            self.assertTrue(unpack(peer.message()[1])["ok"])
            pongs = [data for name, data in peer.reader.commands if name == b"PONG"]
            self.assertEqual(pongs, [str(number).encode() for number in range(30)])
            self.assertEqual(good.client.ask("GetStats")["peers_cut"], 0)

    def test_busy_with_what_it_has_read(self):
        """It has read more than it may leave unread, and then nothing for longer than a client may that
        has never read: libzmq takes 1,000 replies, and then none until 500 were worked off."""
        node, good = good_node(self)
        with zmtp.Peer(node.commands, b"DEALER", DEADLINE, receive_buffer=4096) as peer:
            count = 300 # of 115 KiB
            peer.send(b"".join(attacks.request({**attacks.LIST, "id": str(number)})
                               for number in range(count)))
            for number in range(count):
                if number == count // 2:
                    let_pass(15)
                self.assertEqual(unpack(peer.message()[1])["id"], str(number))
            self.assertEqual(good.client.ask("GetStats")["peers_cut"], 0)

    def test_one_whose_ping_waits_behind_its_queries_hears_something(self):
        """It reads all that comes. Its PING stands behind queries that have to wait, and is answered in
        its turn; until then something comes often enough, as libzmq gives up on who is silent."""
        node, _ = good_node(self)
        with Attack(node, [functools.partial(honest.for_ever, count=10, in_flight=2000)]), \
                zmtp.Peer(node.commands, b"DEALER", DEADLINE) as peer:
            silences = []
            peer.send(attacks.request(attacks.EVENTS) * 1000 + zmtp.ping(0, b"there?"))
            is_answered = False
            while not is_answered:
                begin = time.monotonic()
                flags, body = peer.reader.frame()
                silences.append(time.monotonic() - begin)
                is_answered = flags & 4 and body == b"\x04PONGthere?"
        say(f"before a PONG behind 1,000 queries nothing comes for {max(silences):.2f} s at most")
        self.assertLess(max(silences), 0.5 * sanitizer_factor())


class CommandsOfOthers(unittest.TestCase):
    """A command waits some milliseconds more at most, for any number of honest queries."""

    def waits(self, good, seconds):
        """Median, and what a tenth waits longer than, of commands one after the other. What a hundredth
        waits is the scheduler's: two processors have four to serve."""
        waits, end = [], time.monotonic() + seconds
        while time.monotonic() < end or len(waits) < 100:
            kind = ("Allocate", "Deallocate")[len(waits) % 2]
            fields = {"orderid": "waiting", "sku": "GOOD", **({"qty": 1} if kind == "Allocate" else {})}
            begin = time.monotonic()
            good.client.ask(kind, **fields)
            waits.append(time.monotonic() - begin)
        if len(waits) % 2:
            good.client.ask("Deallocate", orderid="waiting", sku="GOOD")
        waits.sort()
        return statistics.median(waits), waits[len(waits) * 9 // 10]

    def compare(self, start, name, clients, in_flight, fields=attacks.EVENTS):
        node, good = start(self)
        best = None
        for _ in range(TRIES):
            alone = self.waits(good, WAITS_SECONDS / 2)
            crowd = functools.partial(honest.for_ever, count=clients, in_flight=in_flight,
                                      fields=fields)
            with Attack(node, [crowd]):
                busy = self.waits(good, WAITS_SECONDS)
            let_pass(GONE_SECONDS)
            found = (busy[1] - alone[1], busy[0] - alone[0])
            best = min(best or (found, alone, busy), (found, alone, busy))
            if max(best[0]) <= MORE_MAX:
                break
        (more, more_at_median), alone, busy = best
        say(f"| {name} | alone {1000 * alone[0]:.2f}, {1000 * alone[1]:.2f} ms "
            f"| with them {1000 * busy[0]:.2f}, {1000 * busy[1]:.2f} ms | more {1000 * more:.2f} ms |")
        self.assertLessEqual(max(more, more_at_median), MORE_MAX * sanitizer_factor() ** 2)

    def test_beside_300_with_one_query_each(self):
        self.compare(good_node, "command beside 300 with one GetEvents: median, p90", 300, 1)

    def test_beside_900_with_one_query_each(self):
        self.compare(good_node, "command beside 900 with one GetEvents: median, p90", 900, 1)

    def test_beside_900_with_one_query_each_over_ipc(self):
        self.compare(ipc_node, "the same over ipc", 900, 1)

    def test_beside_one_with_thousands(self):
        self.compare(good_node, "command beside 1 with 20,000 GetEvents", 1, 20_000)

    def test_beside_ten_with_thousands(self):
        self.compare(good_node, "command beside 10 with 10,000 GetEvents", 10, BUSY_IN_FLIGHT)

    def test_beside_300_with_one_list_each(self):
        self.compare(good_node, "command beside 300 with one ListBatches", 300, 1, attacks.LIST)


class SameIdentity(unittest.TestCase):
    def test_two_dealers_with_one_identity_are_both_served(self):
        node, _ = good_node(self)
        sockets = []
        for _ in range(2):
            socket = context.socket(zmq.DEALER)
            self.addCleanup(socket.close)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.ROUTING_ID, b"the same")
            socket.connect(node.commands)
            sockets.append(socket)
        for turn in range(100):
            for place, socket in enumerate(sockets):
                socket.send_multipart([b"", pack({"type": "Ping", "id": f"{place} {turn}"})])
        for turn in range(100):
            for place, socket in enumerate(sockets):
                self.assertTrue(socket.poll(1000 * DEADLINE))
                self.assertEqual(unpack(socket.recv_multipart()[1])["id"], f"{place} {turn}")


if __name__ == "__main__":
    unittest.main()
