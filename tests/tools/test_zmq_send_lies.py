"""zmq-send and a server that lies: it ends in time, with the status that the protocol has for that,
in one line, and with little memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_node import (DEADLINE_S, FakeNode, Running, command, event, free_endpoint, pack,
                       run)
from liar import STALLED_S, Liar, Measured, message, pour, pulse, reply, sanitizer_factor

import zmtp

MIB = 1 << 20
GROWTH_MAX = 64 * MIB
PING = b"\x04\x07\x04PING\x00\x00"


class Ids(unittest.TestCase):
    """The id of a reply is that of its request."""

    def answered(self, request, value):
        with FakeNode(lambda _: pack(value)) as node:
            status, lines, errors = run(node, "--raw", "-", stdin=pack(request))
        self.assertEqual(len(lines), 0 if status == 5 else 1)
        self.assertEqual(errors.count("\n"), 1 if status == 5 else 0, errors)
        return status

    def test_of_one_that_was_sent(self):
        request = {"type": "Allocate", "id": "a"}
        for value, expected in (({"ok": True, "id": "a"}, 0), ({"ok": False, "error": "out_of_stock", "id": "a"}, 1),
                                ({"ok": True, "id": "b"}, 5), ({"ok": True}, 5), ({"ok": True, "id": None}, 5),
                                ({"ok": True, "id": 7}, 5), ({"ok": True, "id": b"a"}, 5),
                                ({"ok": False, "error": "out_of_stock"}, 5),
                                ({"ok": False, "error": "malformed"}, 1),
                                ({"ok": False, "error": "too_large"}, 1),
                                ({"ok": False, "error": "malformed", "id": "b"}, 5)):
            with self.subTest(value=value):
                self.assertEqual(self.answered(request, value), expected)

    def test_where_none_was_sent(self):
        for request in ({"type": "Ping"}, {"type": "Ping", "id": None}, {"type": "Ping", "id": "\x01"},
                        {"type": "Ping", "id": 7}, {"type": "Ping", "id": ""}, [1]):
            for value, expected in (({"ok": True}, 0), ({"ok": True, "id": None}, 0), ({"ok": True, "id": "a"}, 5),
                                    ({"ok": True, "id": 7}, 5), ({"ok": False, "error": "malformed", "id": ""}, 5)):
                with self.subTest(request=request, value=value):
                    self.assertEqual(self.answered(request, value), expected)


def one_after_the_other(handler):
    """Serves requests in their order: `handler(number, request)` makes what is sent for each."""
    def serve(connection):
        for number in range(1000):
            connection.sendall(handler(number, zmtp.receive_message(connection)))
    return serve


class Places(unittest.TestCase):
    """A reply is never shown for another request, though the server lies about the second of six."""

    REQUESTS = 6

    @staticmethod
    def honest(request, **more):
        asked = {key: value for key, value in msgpack.unpackb(request[-1]).items() if key in ("id", "n")}
        return reply(request, dict(asked, ok=True, **more))

    def lie(self, wrong, with_ids):
        """`wrong(request, earlier, hold)` makes what is sent for the second request."""
        def handler(number, request):
            earlier.append(request)
            return wrong(request, earlier) if number == 1 else self.honest(request)
        earlier = []
        text = "".join('{"type":"Ping","n":%d%s}' % (n, ',"id":"i%d"' % n if with_ids else "")
                       for n in range(self.REQUESTS)).encode()

        def serve(connection):
            earlier.clear()
            one_after_the_other(handler)(connection)
        with Liar(serve) as liar:
            return run(None, "-e", liar.commands, "--timeout", "2", "-", stdin=text)

    ROWS = {
        "twice": lambda self, request, earlier: self.honest(request) * 2,
        "of the one before": lambda self, request, earlier: self.honest(earlier[0]),
        "left out": lambda self, request, earlier: b"",
        "body twice": lambda self, request, earlier: message(*request[:-1], *[pack({"ok": True})] * 2),
        "no delimiter": lambda self, request, earlier: message(pack({"ok": True})),
        "delimiter alone": lambda self, request, earlier: message(b""),
        "two delimiters": lambda self, request, earlier: message(b"", *request[:-1], pack({"ok": True})),
        "the envelope of nobody": lambda self, request, earlier: message(b"nobody", b"", pack({"ok": True})),
        "the body before the delimiter": lambda self, request, earlier: message(pack({"ok": True}), b""),
    }

    def test_places(self):
        for name, wrong in self.ROWS.items():
            for with_ids in (False, True):
                with self.subTest(lie=name, with_ids=with_ids):
                    status, lines, errors = self.lie(lambda request, earlier: wrong(self, request, earlier),
                                                     with_ids)
                    self.assertEqual((status, len(lines)), (5, self.REQUESTS), errors)
                    shown = [line.get("n") for line in lines]
                    self.assertEqual([n for n in shown if n not in (None, shown.index(n))], [], lines)
                    self.assertEqual(lines[0], dict({"id": "i0"} if with_ids else {}, n=0, ok=True))

    def test_twice_to_a_lone_request(self):
        def handler(number, request):
            return self.honest(request) + reply(request, {"ok": False, "error": "no"})
        with Liar(one_after_the_other(handler)) as liar:
            status, lines, errors = run(None, "-e", liar.commands, "Ping")
        self.assertEqual((status, lines), (5, [{"ok": True}]), errors)

    def test_a_reply_before_the_request(self):
        def serve(connection):
            connection.sendall(message(b"", pack({"ok": True, "early": 1})))
            one_after_the_other(lambda _, request: self.honest(request))(connection)
        with Liar(serve) as liar:
            status, lines, errors = run(None, "-e", liar.commands, "-", stdin=b'{"type":"Ping","id":"a"}')
        self.assertEqual((status, len(lines)), (5, 1), errors)
        self.assertNotIn("early", lines[0])


class Keys(unittest.TestCase):
    """Keys that are doubled, or no str, at any level, in replies, pages and events."""

    BAD = [b"\x82\xa1a\x01\xa1a\x01", b"\x91\x82\xa1a\x01\xa1a\x02", b"\x81\xa1m\x81\x07\x01", b"\x81\xc4\x01a\x01"]

    def test_replies(self):
        for bad in self.BAD:
            with self.subTest(bad=bad), FakeNode(lambda _: b"\x82\xa2ok\xc3\xa1x" + bad) as node:
                status, lines, errors = run(node, "Ping")
                self.assertEqual((status, lines, errors.count("\n")), (5, [], 1), errors)

    def test_events(self):
        good = pack(event(1))
        for bad in [bytes([good[0] + 1]) + good[1:] + b"\xa1x" + bad for bad in self.BAD] + [
                bytes([good[0] + 1]) + good[1:] + b"\xa3seq\x01", pack([1]), pack("x")]:
            with self.subTest(bad=bad), FakeNode(log=[]) as node, Running(node, "sub", "--count", "1") as program:
                node.wait(lambda: b"\x01Welcome/" in node.subscriptions)
                node.do(lambda: node.xpub.send_multipart([b"Allocated/RED/", bad]))
                status, lines, errors = program.end()
                self.assertEqual((status, lines, errors.count("\n")), (5, [], 1), errors)

    def test_stored_events(self):
        page = (b"\x85\xa2ok\xc3\xa6events\x91" + bytes([0x87]) + pack(event(1))[1:] + b"\xa3seq\x01"
                b"\xa4next\xc0\xa4head\x01\xa5first\x01")
        with FakeNode(lambda _: page, welcome=False) as node, Running(node, "sub", "--from", "1") as program:
            node.wait(lambda: b"\x01Welcome/" in node.subscriptions)
            node.do(lambda: node.pulse_now("Welcome/", 1))
            status, lines, errors = program.end()
            self.assertEqual((status, lines, errors.count("\n")), (5, [], 1), errors)


class Sizes(unittest.TestCase):
    """What the server sends without end takes no memory, over TCP and over ipc."""

    LIES = {  # what is poured, and how much of it at most
        "empty frames without end": (b"\x01\x00" * 32768, 8 * MIB),
        "small frames without end": (b"\x01\x20" + b"x" * 32, 32 * MIB),
        "large frames without end": (zmtp.frame(b"x" * (MIB // 2), more=True), 192 * MIB),
        "one frame over the limit": (b"\x02" + (MIB + 1).to_bytes(8, "big") + b"x" * (MIB + 1), MIB + 10),
        "one frame of 128 MiB": (b"\x02" + (128 * MIB).to_bytes(8, "big") + b"x" * MIB, 128 * MIB),
        "one frame of an exabyte": (b"\x02" + (1 << 60).to_bytes(8, "big") + b"x" * MIB, 192 * MIB),
        "a command of 128 MiB": (b"\x06" + (128 * MIB).to_bytes(8, "big") + b"x" * MIB, 128 * MIB),
    }
    table = []

    @classmethod
    def setUpClass(cls):
        with FakeNode(log=[event(1)]) as node:
            cls.usual = {}
            for kind, arguments in {"request": ["-e", node.commands, "Ping"],
                                    "sub": ["--events", node.events, "-e", node.commands, "sub", "--from", "1",
                                            "--count", "1"]}.items():
                status, _, errors, cls.usual[kind] = Measured(*arguments).end()
                assert status == 0, errors

    @classmethod
    def tearDownClass(cls):
        print("\n| lie | exit | usual MiB | peak MiB |\n|---|---|---|---|", *cls.table, sep="\n", file=sys.stderr,
              flush=True)

    def check(self, name, kind, end, status=5):
        got, _, errors, peak = end
        self.table.append("| %s, %s | %d | %.0f | %.0f |" % (name, kind, got, self.usual[kind] / MIB, peak / MIB))
        self.assertEqual((got, errors.count("\n")), (status, 1 if status else 0), errors)
        self.assertLess(peak - self.usual[kind], GROWTH_MAX * sanitizer_factor(), "bytes more than usual")

    def test_to_a_request(self):
        for name, (data, most) in self.LIES.items():
            def lie(connection):
                zmtp.receive_message(connection)
                pour(connection, data, most)
            with self.subTest(lie=name), tempfile.TemporaryDirectory() as directory:
                for path in (None, directory + "/socket"):
                    with Liar(lie, path=path) as liar:
                        self.check(name, "request", Measured("-e", liar.commands, "--timeout", "5", "Ping").end())

    def test_to_a_subscriber(self):
        for name, (data, most) in self.LIES.items():
            for before in (b"", pulse()):
                def lie(connection):
                    zmtp.receive_message(connection)
                    connection.sendall(before)
                    pour(connection, data, most)
                with self.subTest(lie=name, before=before), Liar(lie, kind=b"XPUB") as liar:
                    self.check(name, "sub", Measured("--events", liar.events, "--timeout", "5", "sub").end())

    def test_replies_that_nobody_asked_for(self):
        def lie(connection):
            zmtp.receive_message(connection)
            pour(connection, message(b"x", pack({"ok": True})), 32 * MIB)
        with Liar(lie) as liar:
            self.check("replies unasked", "request", Measured("-e", liar.commands, "Ping").end())

    def test_values_that_take_much_memory(self):
        body = b"\x82\xa2ok\xc3\xa1x\xdd" + (MIB - 20).to_bytes(4, "big") + b"\xc0" * (MIB - 20)
        with Liar(one_after_the_other(lambda _, request: reply(request, body))) as liar:
            self.check("a MiB of nil", "request", Measured("-e", liar.commands, "Ping").end(), status=0)

    def test_pings_without_end_are_answered_one_by_one(self):
        def lie(connection):
            request = zmtp.receive_message(connection)
            connection.sendall(PING * 10000 + reply(request, {"ok": True}))
        with Liar(lie) as liar:
            self.check("pings", "request", Measured("-e", liar.commands, "Ping").end(), status=0)

    def test_the_largest_frame_is_taken(self):
        body = pack({"ok": True, "pad": "x" * (MIB - 14)})
        self.assertEqual(len(body), MIB)
        with Liar(one_after_the_other(lambda _, request: reply(request, body))) as liar:
            self.assertEqual(run(None, "-e", liar.commands, "Ping")[0], 0)

    def slow_reader(self, lie, kind, *arguments, stdin=b""):
        """zmq-send whose output nobody reads until the server is stuck. Returns what it then
        wrote, and its end."""
        ends = os.pipe()
        with Liar(lie, kind=kind) as liar, os.fdopen(ends[0]) as output:
            program = Measured("-e", liar.commands, "--events", liar.events, *arguments, stdin=stdin, stdout=ends[1])
            os.close(ends[1])
            self.assertTrue(self.is_stuck.wait(DEADLINE_S))
            lines = [json.loads(line) for line in output]
            return lines, program.end()

    def setUp(self):
        self.is_stuck = threading.Event()

    def pour_numbered(self, connection, make, count, stalled_s=STALLED_S):
        """All of them, and tells when nobody has taken any more for so many seconds."""
        data = b""
        for number in range(count):
            data = make(number)
            sent = pour(connection, data, len(data), stalled_s)
            if sent < len(data):
                self.is_stuck.set()
                connection.sendall(data[sent:])
        self.is_stuck.set()

    def test_events_wait_at_the_server(self):
        count, pad = 200, "x" * (MIB - 1000)

        def lie(connection):
            while zmtp.receive_message(connection) != [b"\x01Welcome/"]:
                continue
            connection.sendall(pulse())
            self.pour_numbered(connection, lambda n: message(b"Allocated/RED/", pack(event(n + 1, n, pad=pad))), count)
        lines, end = self.slow_reader(lie, b"XPUB", "sub", "--count", str(count))
        self.check("%d MiB of events, not read" % count, "sub", end, status=0)
        self.assertEqual([line["seq"] for line in lines], list(range(1, count + 1)))

    def test_a_signal_while_the_server_waits(self):
        def lie(connection):
            while zmtp.receive_message(connection) != [b"\x01Welcome/"]:
                continue
            connection.sendall(pulse())
            data = b"".join(message(b"Allocated/RED/", pack(event(n + 1, n, pad="x" * 1000))) for n in range(50000))
            self.assertLess(pour(connection, data, len(data)), len(data))
            self.is_stuck.set()
        with Liar(lie, kind=b"XPUB") as liar:
            process = subprocess.Popen(command(liar, "sub"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with process:
                self.assertTrue(self.is_stuck.wait(DEADLINE_S))
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(DEADLINE_S), 0)
                self.assertEqual(process.stderr.read(), b"")

    def test_a_connection_that_ends_while_events_wait(self):
        """By itself libzmq 4.3.4 aborts where it had stopped reading and finds a PING then."""
        data = b"".join(message(b"Allocated/RED/", pack(event(n + 1, n))) + PING for n in range(150000))

        def lie(connection):
            while zmtp.receive_message(connection) != [b"\x01Welcome/"]:
                continue
            connection.sendall(pulse())
            pour(connection, data, len(data))
            connection.shutdown(socket.SHUT_RDWR)
            self.is_stuck.set()
        lines, (status, _, errors, _) = self.slow_reader(lie, b"XPUB", "sub")
        self.assertEqual([line["seq"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertEqual(status, 6, errors)  # the next Welcome has seq 0 again

    def end_gracefully(self, connection):
        """All that was sent arrives, as it is less than what may wait at zmq-send. Waits until that has
        closed its side."""
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            continue
        self.is_stuck.set()

    def test_events_that_came_before_the_end_count(self):
        """By itself libzmq 4.3.4 throws away what waits, or aborts between two frames."""
        count, pad = 1500, "x" * 1000

        def lie(connection):
            while zmtp.receive_message(connection) != [b"\x01Welcome/"]:
                continue
            connection.sendall(pulse() + b"".join(message(b"Allocated/RED/", pack(event(n + 1, n, pad=pad)))
                                                  for n in range(count)))
            self.end_gracefully(connection)
        lines, (status, _, errors, _) = self.slow_reader(lie, b"XPUB", "sub")
        self.assertEqual([line["seq"] for line in lines], list(range(1, count + 1)))
        self.assertEqual(status, 6, errors)  # the next Welcome has seq 0 again

    def test_replies_that_came_before_the_end_count(self):
        count, pad = 900, "x" * 1000

        def lie(connection):
            requests = [zmtp.receive_message(connection) for _ in range(count)]
            connection.sendall(b"".join(reply(request, {"ok": True, "n": n, "pad": pad})
                                        for n, request in enumerate(requests)))
            self.end_gracefully(connection)
        lines, (status, _, errors, _) = self.slow_reader(lie, b"ROUTER", "-", stdin=b'{"type":"Allocate"}' * count)
        self.assertEqual([line.get("n") for line in lines], list(range(count)))
        self.assertEqual(status, 0, errors)

    def test_replies_wait_at_the_server(self):
        """A reader that is slow for longer than --timeout is no timeout. It is long enough for the first
        reply to come on a busy machine."""
        count, pad, timeout_s = 200, "x" * (MIB - 1000), 5

        def lie(connection):
            requests = [zmtp.receive_message(connection) for _ in range(count)]
            self.pour_numbered(connection, lambda n: reply(requests[n], {"ok": True, "n": n, "pad": pad}), count,
                               stalled_s=timeout_s + 1)
        lines, end = self.slow_reader(lie, b"ROUTER", "--timeout", str(timeout_s), "-", stdin=b'{"type":"Ping"}' * count)
        self.check("%d MiB of replies, not read" % count, "request", end, status=0)
        self.assertEqual([line.get("n") for line in lines], list(range(count)))


class Silence(unittest.TestCase):
    """`sub` waits for its first Welcome as long as --timeout says."""

    def silent(self, lie, kind, status, said):
        with Liar(lie, kind=kind) as liar:
            got, lines, errors = run(None, "--events", liar.events, "--timeout", "0.5", "sub")
        self.assertEqual((got, lines, errors.count("\n")), (status, [], 1), errors)
        self.assertIn(said, errors)

    def test_nobody_there(self):
        endpoint, holder = free_endpoint()
        with holder:
            status, lines, errors = run(None, "--events", endpoint, "--timeout", "0.5", "sub")
        self.assertEqual((status, lines, errors.count("\n")), (3, [], 1), errors)
        self.assertIn("no connection to " + endpoint, errors)

    def test_no_handshake(self):
        self.silent(lambda connection: None, None, 3, "no connection")

    def test_no_welcome(self):
        self.silent(lambda connection: None, b"XPUB", 4, "timed out waiting for a Welcome")

    def test_all_but_a_welcome(self):
        def lie(connection):
            zmtp.receive_message(connection)
            pour(connection, pulse(b"Heartbeat/", 3) + message(b"Allocated/RED/", pack(event(1))), 1 << 30)
        self.silent(lie, b"XPUB", 4, "timed out waiting for a Welcome")

    def test_connections_that_end_at_once(self):
        self.silent(lambda connection: connection.shutdown(2), b"XPUB", 4, "timed out waiting for a Welcome")

    def test_no_zeromq_at_all(self):
        for greeting in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f\x01\x02", b"\xff" + b"\0" * 63):
            self.silent(lambda connection: connection.sendall(greeting), None, 3, "does not speak the protocol")

    def test_afterwards_it_waits_as_long_as_it_takes(self):
        with FakeNode(log=[event(1)]) as node, Running(node, "--timeout", "0.3", "sub", "--count", "1") as program:
            node.wait(lambda: b"\x01Welcome/" in node.subscriptions)
            self.silent(lambda connection: None, b"XPUB", 4, "timed out")  # takes longer
            node.publish(event(2, 1))
            self.assertEqual(program.end()[:2], (0, [event(2, 1)]))

    def test_a_page_that_does_not_come(self):
        with FakeNode(lambda _: None, welcome=False) as node, \
                Running(node, "--timeout", "0.5", "sub", "--from", "1") as program:
            node.wait(lambda: b"\x01Welcome/" in node.subscriptions)
            node.do(lambda: node.pulse_now("Welcome/", 1))
            self.assertEqual(program.end()[0], 4)


if __name__ == "__main__":
    unittest.main()
