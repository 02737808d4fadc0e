#!/usr/bin/python3
"""The envelope, the order of replies and the limits of a connection."""

import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq
from zmq.utils.monitor import recv_monitor_message

import zmtp
from allocd import (DEADLINE, Client, NodeCase, check_reply, context, let_pass, pack, unique, unpack,
                    wait_until)

PING = pack({"type": "Ping"})
ENVELOPE_MAX = 16
UNREAD_MAX = 8 * 1024 * 1024


class SocketCase(NodeCase):
    def new_socket(self, kind, endpoint=None, **options):
        socket = context.socket(kind)
        self.addCleanup(socket.close)
        socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        socket.connect(endpoint or self.node.commands)
        return socket

    def receive(self, socket, deadline=DEADLINE):
        self.assertTrue(socket.poll(int(deadline * 1000)), "no reply before the deadline")
        return socket.recv_multipart()

    def assert_reply(self, frames, envelope, error=None):
        self.assertEqual(frames[:-1], envelope)
        reply = check_reply(unpack(frames[-1]))
        self.assertEqual(reply.get("error"), error, reply)


class Envelopes(SocketCase):
    def test_req(self):
        socket = self.new_socket(zmq.REQ)
        for _ in range(3):
            socket.send(PING)
            self.assert_reply(self.receive(socket), [])

    def test_req_correlate(self):
        socket = self.new_socket(zmq.REQ, REQ_CORRELATE=1)
        for _ in range(3):
            socket.send(PING)
            self.assert_reply(self.receive(socket), [])

    def test_req_correlate_and_relaxed_may_give_up_and_ask_again(self):
        socket = self.new_socket(zmq.REQ, REQ_CORRELATE=1, REQ_RELAXED=1)
        for number in range(10):
            socket.send(pack({"type": "Ping", "id": f"given-up-{number}"}))
            socket.send(pack({"type": "Ping", "id": f"asked-{number}"}))
            self.assertEqual(unpack(self.receive(socket)[0])["id"], f"asked-{number}")

    def test_dealer_with_the_empty_frame(self):
        socket = self.new_socket(zmq.DEALER)
        socket.send_multipart([b"", PING])
        self.assert_reply(self.receive(socket), [b""])

    def test_dealer_without_the_empty_frame(self):
        socket = self.new_socket(zmq.DEALER)
        socket.send(PING)
        self.assert_reply(self.receive(socket), [])

    def test_frames_before_the_empty_one_come_back(self):
        socket = self.new_socket(zmq.DEALER)
        for head in ([b"a"], [b"a", b"b"], [b"\x00" * 255, b"x" * 10_000]):
            socket.send_multipart(head + [b"", PING])
            self.assert_reply(self.receive(socket), head + [b""])

    def test_without_an_empty_frame_all_but_the_last(self):
        socket = self.new_socket(zmq.DEALER)
        for head in ([b"a"], [b"a", b"b"], [PING, PING]):
            socket.send_multipart(head + [PING])
            self.assert_reply(self.receive(socket), head)

    def test_only_the_first_empty_frame_ends_the_envelope(self):
        socket = self.new_socket(zmq.DEALER)
        for frames in ([b"", b"", PING], [b"a", b"", b"", PING], [b"", PING, b""]):
            socket.send_multipart(frames)
            envelope = frames[:frames.index(b"") + 1]
            self.assert_reply(self.receive(socket), envelope, "malformed")

    def test_no_body(self):
        socket = self.new_socket(zmq.DEALER)
        for frames in ([b""], [b"a", b""], [b"a", b"b", b""]):
            socket.send_multipart(frames)
            self.assert_reply(self.receive(socket), frames, "malformed")

    def test_several_bodies(self):
        socket = self.new_socket(zmq.DEALER)
        for bodies in ([PING, PING], [b"x", PING], [PING] * 20):
            socket.send_multipart([b"", *bodies])
            self.assert_reply(self.receive(socket), [b""], "malformed")
        socket.send_multipart([b"", PING])
        self.assert_reply(self.receive(socket), [b""])

    def test_several_bodies_with_a_large_one(self):
        socket = self.new_socket(zmq.DEALER)
        for bodies in ([PING, b"\x00" * 70_000], [b"\x00" * 70_000, PING]):
            socket.send_multipart([b"", *bodies])
            self.assert_reply(self.receive(socket), [b""], "too_large")

    def test_an_empty_body(self):
        socket = self.new_socket(zmq.DEALER)
        socket.send_multipart([b"", b""])
        self.assert_reply(self.receive(socket), [b""], "malformed")
        socket = self.new_socket(zmq.REQ)
        socket.send(b"")
        self.assert_reply(self.receive(socket), [], "malformed")

    def test_sixteen_frames(self):
        socket = self.new_socket(zmq.DEALER)
        full = [b"f%d" % number for number in range(ENVELOPE_MAX - 1)] + [b""]
        socket.send_multipart(full + [PING])
        self.assert_reply(self.receive(socket), full)
        full[-1] = b"f15"
        socket.send_multipart(full + [PING])
        self.assert_reply(self.receive(socket), full)

    def test_thousands_that_are_dropped_hold_nobody_up(self):
        before = self.client.ask("GetStats")["requests_dropped"]
        socket = self.new_socket(zmq.DEALER)
        for _ in range(3000):
            socket.send_multipart([b"f"] * (ENVELOPE_MAX + 2))
        socket.send_multipart([b"", PING])
        self.assert_reply(self.receive(socket), [b""])
        self.assertEqual(self.client.ask("GetStats")["requests_dropped"] - before, 3000)

    def test_seventeen_frames_are_dropped_and_counted(self):
        before = self.client.ask("GetStats")
        socket = self.new_socket(zmq.DEALER)
        frames = [b"f%d" % number for number in range(ENVELOPE_MAX)]
        socket.send_multipart(frames + [b"", PING])
        socket.send_multipart(frames + [b"f16", PING])
        socket.send_multipart([b"f"] * 500 + [b"", PING])
        socket.send_multipart([b"f"] * 5000)
        socket.send_multipart([b"last", b"", PING])
        self.assert_reply(self.receive(socket), [b"last", b""])
        after = self.client.ask("GetStats")
        grown = {key: after[key] - before[key] for key in after if type(before.get(key)) is int}
        self.assertIn(4, [value for key, value in grown.items() if "drop" in key], grown)

    def test_a_body_that_is_too_large_for_a_request(self):
        socket = self.new_socket(zmq.DEALER)
        for size in (64 * 1024 + 1, 1024 * 1024):
            socket.send_multipart([b"mine", b"", b"\xa5" * size])
            self.assert_reply(self.receive(socket), [b"mine", b""], "too_large")

    def test_a_routing_id_of_its_own(self):
        socket = self.new_socket(zmq.DEALER, ROUTING_ID=unique("me").encode())
        socket.send_multipart([b"", PING])
        self.assert_reply(self.receive(socket), [b""])

    def test_many_clients_get_their_own_replies(self):
        clients = [self.new_client() for _ in range(100)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send({"type": "Ping", "id": f"{number}-{turn}"})
        for turn in range(3):
            for number, client in enumerate(clients):
                self.assertEqual(client.recv()["id"], f"{number}-{turn}")


class Proxied(SocketCase):
    """Clients behind one proxy, and behind a row of them."""

    def proxy(self, backend_endpoint):
        """Starts a ROUTER/DEALER proxy; gives the endpoint that clients connect to."""
        front, back, control = (context.socket(kind) for kind in
                                (zmq.ROUTER, zmq.DEALER, zmq.PAIR))
        for socket in (front, back, control):
            socket.setsockopt(zmq.LINGER, 0)
        port = front.bind_to_random_port("tcp://127.0.0.1")
        back.connect(backend_endpoint)
        name = f"inproc://{unique('proxy')}"
        control.bind(name)
        master = context.socket(zmq.PAIR)
        master.setsockopt(zmq.LINGER, 0)
        master.connect(name)

        def run():
            zmq.proxy_steerable(front, back, None, control)
            for socket in (front, back, control):
                socket.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def stop():
            master.send(b"TERMINATE")
            thread.join(DEADLINE)
            master.close()
        self.addCleanup(stop)
        return f"tcp://127.0.0.1:{port}"

    def check_all_kinds(self, endpoint):
        for kind, options, envelope in (
                (zmq.REQ, {}, []),
                (zmq.REQ, {"REQ_CORRELATE": 1, "REQ_RELAXED": 1}, []),
                (zmq.DEALER, {}, [b""]),
                (zmq.DEALER, {}, []),
                (zmq.DEALER, {}, [b"a", b"b"])):
            socket = self.new_socket(kind, endpoint, **options)
            for number in range(3):
                ident = f"{kind}-{number}"
                socket.send_multipart(envelope + [pack({"type": "Ping", "id": ident})])
                frames = self.receive(socket)
                self.assert_reply(frames, envelope)
                self.assertEqual(unpack(frames[-1])["id"], ident)

    def test_one_proxy(self):
        self.check_all_kinds(self.proxy(self.node.commands))

    def test_a_row_of_proxies(self):
        endpoint = self.node.commands
        for _ in range(3):
            endpoint = self.proxy(endpoint)
        self.check_all_kinds(endpoint)

    def test_many_clients_in_flight(self):
        endpoint = self.proxy(self.node.commands)
        clients = [Client(endpoint) for _ in range(10)]
        for client in clients:
            self.addCleanup(client.close)
        for number in range(100):
            for index, client in enumerate(clients):
                client.send({"type": "Ping", "id": f"{index}-{number}"})
        for number in range(100):
            for index, client in enumerate(clients):
                self.assertEqual(client.recv()["id"], f"{index}-{number}")


class Order(SocketCase):
    def test_twenty_thousand_in_flight(self):
        count = 20_000
        for number in range(count):
            self.client.send({"type": "Ping", "id": str(number)})
        for number in range(count):
            self.assertEqual(self.client.recv()["id"], str(number))

    def test_commands_queries_and_refusals_in_their_order(self):
        sku = unique("ORDER")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=1000)
        wanted = []
        for number in range(500):
            order = f"{sku}-{number}"
            for kind, fields in (("Allocate", {"orderid": order, "sku": sku, "qty": 1}),
                                 ("GetStock", {"sku": sku}), ("Allocate", {"sku": sku}),
                                 ("GetAllocations", {"orderid": order}),
                                 ("Nonsense", {})):
                wanted.append(f"{number}-{kind}-{len(fields)}")
                self.client.send({"type": kind, "id": wanted[-1], **fields})
        replies = [self.client.recv() for _ in wanted]
        self.assertEqual([reply["id"] for reply in replies], wanted)
        for number in range(500):
            done, stock, bad, lines, nonsense = replies[5 * number:5 * number + 5]
            self.assertEqual(done.get("batchref"), sku, done)
            self.assertEqual(stock["available"], 999 - number, "it reads its own writes")
            self.assertEqual((bad["error"], bad["seq"]), ("missing_field", done["seq"]))
            self.assertEqual(lines["lines"], [{"sku": sku, "qty": 1, "batchref": sku}])
            self.assertEqual(nonsense["error"], "unknown_type")

    def test_bodies_without_id_keep_their_place(self):
        for number in range(200):
            self.client.send({"type": "Ping", "id": str(number)})
            self.client.send_body(b"\xc1")
            self.client.send_body(b"\x00" * (64 * 1024 + 1))
        for number in range(200):
            self.assertEqual(self.client.recv()["id"], str(number))
            self.assertEqual(self.client.recv()["error"], "malformed")
            self.assertEqual(self.client.recv()["error"], "too_large")

    def test_commands_in_flight_reach_one_result(self):
        sku = unique("FLIGHT")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=3000)
        replies = self.client.pipeline({"type": "Allocate", "orderid": f"o{number}", "sku": sku,
                                        "qty": 1} for number in range(3001))
        self.assertEqual([reply.get("batchref") for reply in replies], [sku] * 3000 + [None])
        first = replies[0]["seq"]
        self.assertEqual([reply["seq"] for reply in replies], list(range(first, first + 3001)))


class Limits(SocketCase):
    """What a connection may not do; the others do not notice."""

    def watched(self, **options):
        """A DEALER, and a function that says whether its connection was closed."""
        socket = context.socket(zmq.DEALER)
        self.addCleanup(socket.close)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.addCleanup(monitor.close)
        self.addCleanup(socket.disable_monitor)
        socket.connect(self.node.commands)

        def was_closed():
            return monitor.poll(0) and recv_monitor_message(monitor)["event"]
        return socket, was_closed

    def assert_others_are_served(self):
        self.assertTrue(self.client.ask("Ping")["ok"])
        self.assertTrue(self.new_client().ask("Ping")["ok"])

    def test_a_frame_of_1_mib_is_answered(self):
        socket, was_closed = self.watched()
        socket.send_multipart([b"", b"\x00" * (1024 * 1024)])
        self.assert_reply(self.receive(socket), [b""], "too_large")
        self.assertFalse(was_closed())

    def test_a_frame_over_1_mib_closes_the_connection(self):
        self.client.ask("Ping")
        for frames in ([b"", b"\x00" * (1024 * 1024 + 1)], [b"\x00" * (8 * 1024 * 1024)],
                       [b"x" * (1024 * 1024 + 1), b"", PING]):
            socket, was_closed = self.watched(RECONNECT_IVL=-1)
            socket.send_multipart(frames)
            wait_until(was_closed, "the connection is closed")
            self.assertFalse(socket.poll(0))
            self.assert_others_are_served()

    def test_replies_left_unread_cut_the_client_off(self):
        sku, count = unique("UNREAD"), 400
        self.client.pipeline({"type": "CreateBatch", "ref": f"{sku}-{number:04}{'x' * 200}",
                              "sku": sku, "qty": 1} for number in range(700))
        query = {"type": "GetStock", "sku": sku}
        self.client.send(query)
        size = len(self.client.recv_body())
        self.assertGreater(size * count, 3 * UNREAD_MAX)
        cut = self.client.ask("GetStats")["peers_cut"]
        connection = zmtp.connect(self.node.commands, DEADLINE, receive_buffer=8192)
        self.addCleanup(connection.close)
        zmtp.shake_hands(connection, b"DEALER")
        connection.sendall((zmtp.frame(b"", more=True) + zmtp.frame(pack(query))) * count)
        wait_until(lambda: self.client.ask("GetStats")["peers_cut"] == cut + 1,
                   "the client that does not read is cut off")
        self.assert_others_are_served()
        received = 0
        while part := connection.recv(1 << 20):
            received += len(part)
        self.assertLess(received, UNREAD_MAX + 2 * size, "what the kernel held, and no more")

    def test_a_client_that_reads_is_not_cut_off(self):
        sku = unique("READ")
        self.client.pipeline({"type": "CreateBatch", "ref": f"{sku}-{number:04}{'x' * 200}",
                              "sku": sku, "qty": 1} for number in range(300))
        page = {"type": "GetStock", "sku": sku}
        received = sum(len(reply["batches"]) for reply in self.client.pipeline([page] * 100))
        self.assertEqual(received, 100 * 300)

    def test_a_client_that_reads_slowly_gets_all_in_order(self):
        """It has several times what it may leave unread in flight, so it is held up and goes on
        again and again. Some of its requests are large, and none of them is lost."""
        sku, count = unique("SLOW"), 300
        self.client.pipeline({"type": "CreateBatch", "ref": f"{sku}-{number:04}{'x' * 200}",
                              "sku": sku, "qty": 1} for number in range(700))
        cut = self.client.ask("GetStats")["peers_cut"]
        slow = self.new_socket(zmq.DEALER, SNDHWM=0, RCVHWM=1, RCVBUF=65536)
        expected = []
        for number in range(count):
            slow.send_multipart([b"", pack({"type": "GetStock", "sku": sku,
                                            "id": f"page {number}"})])
            slow.send_multipart([b"", pack({"type": "Ping", "id": f"ping {number}"})])
            slow.send_multipart([b"x" * 3000, b"", pack({"type": "Ping", "id": f"far {number}"})])
            expected += [f"page {number}", f"ping {number}", f"far {number}"]
        size = 0
        for ident in expected:
            self.assertTrue(slow.poll(1000 * DEADLINE), f"{ident} is missing")
            *envelope, _, body = slow.recv_multipart()
            self.assertEqual(unpack(body)["id"], ident)
            self.assertEqual(envelope, [b"x" * 3000] * ident.startswith("far"))
            size += len(body)
            if len(body) > 1000:
                let_pass(0.004)  # so that it is slower than the node
                self.assertTrue(self.client.ask("Ping")["ok"])
        self.assertGreater(size, 4 * UNREAD_MAX)
        self.assertEqual(self.client.ask("GetStats")["peers_cut"], cut)


if __name__ == "__main__":
    unittest.main()
