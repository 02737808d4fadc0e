"""zmq-send: requests, batches, connections, exit statuses."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_node import (DEADLINE_S, PROGRAM, FakeNode, Running, command, echo, environment, event,
                       free_endpoint, pack, run)


class Typing(unittest.TestCase):
    ROWS = [
        (["CreateBatch", "ref=b1", "sku=RED", "qty=10"],
         {"type": "CreateBatch", "ref": "b1", "sku": "RED", "qty": 10}),
        (["CreateBatch", "qty=-3", "sku=1", "eta=2030-01-02"],
         {"type": "CreateBatch", "qty": -3, "sku": "1", "eta": "2030-01-02"}),
        (["ChangeBatchEta", "ref=b", "eta:=null"], {"type": "ChangeBatchEta", "ref": "b", "eta": None}),
        (["ChangeBatchQuantity", "ref=a:=b", "qty=0"], {"type": "ChangeBatchQuantity", "ref": "a:=b", "qty": 0}),
        (["Allocate", "--id", "i1", "orderid=ö", "sku=", "qty:=1.5"],
         {"type": "Allocate", "id": "i1", "orderid": "ö", "sku": "", "qty": 1.5}),
        (["GetEvents", "after=18446744073709551615", "limit=2", "types=Allocated,OutOfStock", "sku=S"],
         {"type": "GetEvents", "after": 2**64 - 1, "limit": 2, "types": ["Allocated", "OutOfStock"], "sku": "S"}),
        (["GetEvents", "types="], {"type": "GetEvents", "types": []}),
        (["GetEvents", "types=A,"], {"type": "GetEvents", "types": ["A", ""]}),
        (["Ping", "nosuch=1", "id=x"], {"type": "Ping", "nosuch": "1", "id": "x"}),
        (["NoSuch", "qty=1"], {"type": "NoSuch", "qty": "1"}),
        (["Allocated", "qty=1"], {"type": "Allocated", "qty": "1"}),
        (["Ping", 'a:={"z":[1,-1,true,"\\u0000é"],"b":1e2}'],
         {"type": "Ping", "a": {"z": [1, -1, True, "\0é"], "b": 100.0}}),
    ]

    def test_arguments_become_what_the_field_wants(self):
        with FakeNode() as node:
            for arguments, expected in self.ROWS:
                with self.subTest(arguments=arguments):
                    status, lines, errors = run(node, *arguments)
                    self.assertEqual((status, errors), (0, ""))
                    got = node.requests[-1]
                    self.assertEqual(got, expected)
                    self.assertEqual(list(got), list(expected))
                    self.assertEqual([type(v) for v in got.values()], [type(v) for v in expected.values()])

    def test_bad_input(self):
        rows = [[], [""], ["Ping", "x"], ["Ping", "=1"], ["Ping", ":=1"], ["CreateBatch", "qty=ten"],
                ["CreateBatch", "qty="], ["CreateBatch", "qty=1.5"], ["CreateBatch", "qty= 1"],
                ["CreateBatch", "qty=18446744073709551616"], ["Ping", "a=1", "a:=2"], ["Ping", "type=x"],
                ["Ping", "--id", "1", "id=2"], ["Ping", "a:={"], ["Ping", 'a:={"x":1,"x":2}'], ["a=b"],
                ["--nosuch"], ["Ping", "--timeout", "0"], ["Ping", "--timeout", "-1"], ["Ping", "--timeout", "1x"],
                ["Ping", "--timeout", "nan"], ["Ping", "--timeout", "inf"], ["Ping", "--from", "1"],
                ["Ping", "--count", "1"], ["sub", "--from", "-1"], ["sub", "--count", "0"], ["sub", "--count", "x"],
                ["sub", "--id", "x"], ["-", "x=1"], ["-", "--id", "x"], ["--raw", "/dev/null", "Ping"],
                ["--raw", "/no/such/file"], ["--raw", "/"], ["Ping", "-e", "nonsense"], ["Ping", "-e", "tcp://"],
                ["Ping", "-e", "tcp://127.0.0.1"], ["Ping", "-e", "tcp://127.0.0.1:0"],
                ["Ping", "-e", "tcp://127.0.0.1:65536"], ["Ping", "-e", "tcp://127.0.0.1:*"],
                ["Ping", "-e", "udp://127.0.0.1:1"], ["Ping", "-e", "ipc://"], ["Ping", "-e", "ipc:///" + "x" * 200],
                ["sub", "--events", "tcp://x"], ["sub", "x" * 250]]
        for arguments in rows:
            with self.subTest(arguments=arguments):
                status, lines, errors = run(None, *arguments)
                self.assertEqual((status, lines), (2, []))
                self.assertRegex(errors, r"\Azmq-send: |%s: " % re.escape(PROGRAM))
                self.assertNotIn("Sanitizer", errors)

    def test_help_and_version(self):
        for flag, word in (("--help", "Usage:"), ("--version", "zmq-send ")):
            done = subprocess.run([PROGRAM, flag], capture_output=True, timeout=DEADLINE_S)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(word, done.stdout.decode())


class Endpoints(unittest.TestCase):
    def test_environment_and_flag(self):
        with FakeNode(log=[event(1)]) as node:
            env = environment(ALLOCD_COMMANDS=node.commands, ALLOCD_EVENTS=node.events)
            self.assertEqual(run(None, "Ping", env=env)[0], 0)
            status, lines, _ = run(None, "sub", "--from", "1", "--count", "1", env=env)
            self.assertEqual((status, lines), (0, [event(1)]))
            wrong = environment(ALLOCD_COMMANDS="tcp://127.0.0.1:1", ALLOCD_EVENTS="tcp://127.0.0.1:1")
            self.assertEqual(run(node, "Ping", env=wrong)[0], 0)
            self.assertEqual(run(node, "sub", "--from", "1", "--count", "1", env=wrong)[0], 0)

    def test_ipc(self):
        with tempfile.TemporaryDirectory() as folder:
            with FakeNode(commands="ipc://%s/c" % folder) as node:
                self.assertEqual(run(node, "Ping")[0], 0)


class Replies(unittest.TestCase):
    def reply(self, reply, *arguments):
        with FakeNode(lambda request: reply) as node:
            return run(node, *(arguments or ["Ping", "--timeout", "5"]))

    def test_done_and_refused(self):
        self.assertEqual(self.reply({"ok": True, "b": 1, "a": None})[:2], (0, [{"ok": True, "b": 1, "a": None}]))
        self.assertEqual(self.reply({"ok": False, "error": "x"})[:2], (1, [{"ok": False, "error": "x"}]))

    def test_shown_as_it_came(self):
        body = (b"\x88\xa2ok\xc3\xa1z\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1b\xc4\x02\x00\xff\xa1s\xa3a\xff\x1b"
                b"\xa1e\xd4\x05\x07\xa1f\xcb\x7f\xf0\0\0\0\0\0\0\xa2zz\xcb\x40\0\0\0\0\0\0\0\xa1u\xa2\xc3\xa9")
        with FakeNode(lambda request: body) as node:
            done = subprocess.run(command(node, "Ping"), capture_output=True, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.decode(),
                         '{"ok":true,"z":18446744073709551615,"b":{"bin":"00ff"},"s":"a\ufffd\\u001b",'
                         '"e":{"ext":5,"bin":"07"},"f":null,"zz":2.0,"u":"é"}\n')

    def test_broken_protocol(self):
        good = pack({"ok": True})
        deep = b"\x82\xa2ok\xc3\xa1d" + b"\x91" * 200 + b"\xc0"
        for reply in (b"", b"\xc1", good + b"\0", pack([1]), pack({"ok": 1}), pack({}), b"\xdd\x7f\xff\xff\xff",
                      b"\x82\xa2ok\xc3\xa1a\xdf\x08\0\0\0", good[:-1], deep, [good], [b"", good, good],
                      [b"x", good], [b"", b"", good], [b"", good] * 8, b"\x82\xa2ok\xc3\xa2ok\xc3",
                      b"\x82\xa2ok\xc3\xa1l\x91\x82\xa1a\x01\xa1a\x01", b"\x82\xa2ok\xc3\x01\x02",
                      b"\x82\xa2ok\xc3\xa1m\x81\xc4\x01a\x02"):
            with self.subTest(reply=reply):
                status, lines, errors = self.reply(reply)
                self.assertEqual((status, lines), (5, []), errors)
                self.assertTrue(errors.startswith("zmq-send: ") and errors.count("\n") == 1, errors)

    def test_output_that_cannot_be_written(self):
        with FakeNode() as node, open("/dev/full", "w") as full:
            for arguments, stdin in (["Ping"], b""), (["-"], b'{"type":"Ping"}'), (["--help"], b""):
                done = subprocess.run(command(node, *arguments), input=stdin, stdout=full,
                                      stderr=subprocess.PIPE, timeout=DEADLINE_S)
                self.assertEqual(done.returncode, 2)
                self.assertIn(b"cannot write", done.stderr)

    def test_closed_descriptors(self):
        with FakeNode() as node:
            line = " ".join(command(node, "Ping"))
            self.assertEqual(subprocess.run(["sh", "-c", line + " <&- >&- 2>&-"], timeout=DEADLINE_S).returncode, 2)
            line = " ".join(command(node, "-"))
            self.assertEqual(subprocess.run(["sh", "-c", line + " <&- >&- 2>&-"], timeout=DEADLINE_S).returncode, 2)


class Raw(unittest.TestCase):
    def test_bytes_go_as_they_are(self):
        with FakeNode() as node, tempfile.NamedTemporaryFile() as file:
            file.write(b"\xc1\0junk")
            file.flush()
            status, lines, _ = run(node, "--raw", file.name)
            self.assertEqual(status, 0)
            self.assertEqual(run(node, "--raw", "-", stdin=b"\xc1" * 100000)[0], 0)
            self.assertEqual(run(node, "--raw", "-", stdin=pack({"type": "Ping"}))[1],
                             [{"ok": True, "got": {"type": "Ping"}}])
            self.assertEqual(run(node, "--raw", "/dev/null")[0], 0)
            self.assertEqual(node.requests[0], b"\xc1\0junk")
            self.assertEqual(node.requests[1], b"\xc1" * 100000)
            self.assertEqual(node.requests[3], b"")

    def test_too_much(self):
        with FakeNode() as node, tempfile.NamedTemporaryFile() as file:
            file.truncate((64 << 20) + 1)
            status, lines, errors = run(node, "--raw", file.name)
            self.assertEqual((status, lines, node.requests), (2, [], []))
            self.assertIn("File too large", errors)


class Verbose(unittest.TestCase):
    def test_frames_both_ways(self):
        with FakeNode(lambda request: {"ok": True, "pad": "x" * 2000}) as node:
            status, lines, errors = run(node, "-v", "Ping")
        self.assertEqual((status, len(lines)), (0, 1))
        for part in ("-> frame 0, 0 bytes\n", '-> frame 1, 11 bytes {"type":"Ping"}\n', "<- frame 0, 0 bytes\n",
                     "81 a4 74 79 70 65 a4 50 69 6e 67", "|..type.Ping|", '<- frame 1, 2012 bytes {"ok":true',
                     "... 1500 more bytes", "connected"):
            self.assertIn(part, errors)

    def test_the_number_in_an_envelope(self):
        with FakeNode() as node:
            status, lines, errors = run(node, "-v", "-", stdin=b'{"type":"Ping"}{"type":"Ping"}')
        self.assertEqual((status, len(lines)), (0, 2))
        for way in ("->", "<-"):
            self.assertEqual(errors.count(way + " frame 0, 0 bytes\n"), 1)
            self.assertIn(way + " frame 0, 4 bytes\n", errors)
            self.assertIn(way + " frame 1, 0 bytes\n", errors)
            self.assertIn(way + " frame 2, ", errors)

    def test_what_is_no_msgpack(self):
        with FakeNode() as node:
            self.assertIn("not decoded", run(node, "-v", "--raw", "-", stdin=b"\x81")[2])

    def test_sub(self):
        with FakeNode(log=[event(1)]) as node:
            status, _, errors = run(node, "-v", "sub", "Allocated/", "--from", "1", "--count", "1")
        self.assertEqual(status, 0)
        self.assertIn("|Welcome/|", errors)
        self.assertIn('"GetEvents"', errors)


class Connections(unittest.TestCase):
    def test_nobody_there(self):
        endpoint, holder = free_endpoint()
        with holder:
            begin = time.monotonic()
            status, lines, errors = run(None, "Ping", "-e", endpoint, "--timeout", "0.3")
            self.assertEqual((status, lines), (3, []))
            self.assertIn("no connection to " + endpoint, errors)
            self.assertGreaterEqual(time.monotonic() - begin, 0.3)

    def test_silent_peer(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            endpoint = "tcp://127.0.0.1:%d" % silent.getsockname()[1]
            self.assertEqual(run(None, "Ping", "-e", endpoint, "--timeout", "0.3")[0], 3)

    def test_not_let_in(self):
        with FakeNode(curve=True) as node:
            status, lines, errors = run(node, "Ping", "--timeout", "20")
            self.assertEqual((status, lines), (3, []))
            self.assertIn("does not let", errors)
            self.assertEqual(run(node, "-", stdin=b"{}{}")[0], 3)

    def test_denied(self):
        with FakeNode(denies=True) as node:
            for arguments in (["Ping"], ["sub"]):
                status, lines, errors = run(node, *arguments, "--timeout", "20")
                self.assertEqual((status, lines), (3, []))
                self.assertIn("does not let this client in", errors)

    def test_node_that_starts_later(self):
        endpoint, holder = free_endpoint()
        with Running(None, "Ping", "-e", endpoint, "--timeout", "20") as program:
            holder.close()
            with FakeNode(commands=endpoint):
                self.assertEqual(program.end()[0], 0)

    def test_no_reply(self):
        with FakeNode(lambda request: None) as node:
            status, lines, errors = run(node, "Allocate", "--id", "a", "--timeout", "1")
            self.assertEqual((status, lines), (4, []))
            self.assertIn("repeat with the same --id", errors)
            self.assertEqual(len(node.requests), 1)
            self.assertEqual(run(node, "Allocate", "--timeout", "1")[0], 4)

    def lost(self, *arguments):
        """Status of a request whose first node dies after it came, and what the second one saw."""
        endpoint = None
        first = FakeNode(lambda request: None)
        try:
            program = Running(first, *arguments, "--timeout", "20")
            endpoint = first.commands
            first.wait(lambda: first.requests)
        finally:
            first.close()
        with program, FakeNode(commands=endpoint) as second:
            status, lines, errors = program.end()
            return status, len(lines), len(second.requests), errors

    def test_lost_after_sending(self):
        self.assertEqual(self.lost("Allocate", "--id", "x")[:3], (0, 1, 1))
        self.assertEqual(self.lost("Ping")[:3], (0, 1, 1))
        status, lines, seen, errors = self.lost("Allocate", "qty=1")
        self.assertEqual((status, lines, seen), (4, 0, 0))
        self.assertIn("outcome is unknown", errors)


class Batch(unittest.TestCase):
    def test_any_layout(self):
        text = b'{"type":"Ping"}{"type" :\n "A\\"}{",\n"x":[{},{"y":"]"}]}\n\n  {"a":1}\t{"b":2.5,"c":null}'
        with FakeNode() as node:
            status, lines, errors = run(node, "-", stdin=text)
            self.assertEqual((status, errors), (0, ""))
            self.assertEqual([line["got"] for line in lines],
                             [{"type": "Ping"}, {"type": 'A"}{', "x": [{}, {"y": "]"}]}, {"a": 1}, {"b": 2.5, "c": None}])
            self.assertEqual(run(node, "-", stdin=b"")[:2], (0, []))
            self.assertEqual(run(node, "-", stdin=b" \n\t ")[:2], (0, []))

    def test_highest_status(self):
        replies = {"a": {"ok": True}, "b": {"ok": False}, "c": b"\xc1"}
        with FakeNode(lambda request: replies[request["type"]]) as node:
            self.assertEqual(run(node, "-", stdin=b'{"type":"a"}{"type":"b"}{"type":"a"}')[0], 1)
            status, lines, _ = run(node, "-", stdin=b'{"type":"c"}{"type":"a"}{"type":"b"}')
            self.assertEqual((status, [line["ok"] for line in lines]), (5, [False, True, False]))
            self.assertEqual(lines[0]["error"], "bad_reply")

    def test_bad_json(self):
        rows = [(b'{"a":1}\n{"a":1}\n  {"b" 2}{"c":3}', 2, "line 3"), (b'{"a":1} }', 1, "line 1, column 9"),
                (b'{"a":1}{"b":', 1, "line 1"), (b'{"a":1}\nnope {"b":1}', 1, "line 2"), (b'{"a":1}"x', 1, "line 1"),
                (b'{"a":[}', 0, "line 1"), (b'{"a":"\xff"}', 0, "line 1"), (b"\xef\xbb\xbf{}", 0, "line 1")]
        with FakeNode() as node:
            for text, good, where in rows:
                with self.subTest(text=text):
                    status, lines, errors = run(node, "-", stdin=text)
                    self.assertEqual((status, len(lines)), (2, good), errors)
                    self.assertTrue(all(line["ok"] for line in lines))
                    self.assertIn(where, errors)

    def test_wrong_values_have_their_line(self):
        text = b'{"a":1} 12 "x" [{}] null{"a":1,"a":2}{"n":99999999999999999999}{"b":2}'
        with FakeNode() as node:
            status, lines, _ = run(node, "-", stdin=text)
        self.assertEqual((status, [line["ok"] for line in lines]), (2, [True] + [False] * 6 + [True]))
        self.assertEqual({line["error"] for line in lines if not line["ok"]}, {"bad_input"})

    def test_value_without_end(self):
        with FakeNode() as node:
            status, lines, errors = run(node, "-", stdin=b'{}{"a":"' + b"x" * (17 << 20))
            self.assertEqual((status, len(lines)), (2, 1), errors)

    def test_answers_while_input_is_open(self):
        with FakeNode() as node, Running(node, "-") as program:
            for number in range(3):
                program.write(b'{"n":%d}' % number)
                self.assertEqual(program.line()["got"], {"n": number})
            program.write(b'{"n"')
            program.write(b":9}7 ")
            self.assertEqual(program.line()["got"], {"n": 9})
            self.assertEqual(program.line()["error"], "bad_input")
            program.process.stdin.close()
            self.assertEqual(program.end()[:2], (2, []))

    def test_many(self):
        count = 20000
        text = b"".join(b'{"type":"Ping","n":%d}\n' % i for i in range(count))
        with FakeNode() as node:
            status, lines, _ = run(node, "-", stdin=text)
        self.assertEqual(status, 0)
        self.assertEqual([line["got"]["n"] for line in lines], list(range(count)))

    def test_no_connection(self):
        endpoint, holder = free_endpoint()
        with holder:
            begin = time.monotonic()
            status, lines, _ = run(None, "-", "-e", endpoint, "--timeout", "0.3", stdin=b"{}" * 5000)
            self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual((status, len(lines)), (3, 5000))
        self.assertEqual({line["error"] for line in lines}, {"no_connection"})

    def test_timeout_goes_on(self):
        late = []  # envelopes that the node owes a reply

        node = FakeNode()
        answer = node.answer

        def hang(frames):
            request = msgpack.unpackb(frames[-1])
            if request.get("hang") or (late and request.get("n") != 4):
                late.append(frames[:-1])
                return
            for envelope in late:
                node.router.send_multipart(envelope + [pack({"ok": True, "got": "late"})])
            answer(frames)
        node.answer = hang
        with node, Running(node, "-", "--timeout", "1") as program:
            program.write(b'{"n":1}{"hang":1}{"n":2,"id":"a"}{"n":3}')
            self.assertEqual(program.line()["got"]["n"], 1)
            for retryable in (False, True, False):
                line = program.line()
                self.assertEqual((line["error"], line["retryable"]), ("timeout", retryable))
            program.write(b'{"n":4}')
            self.assertEqual(program.line()["got"]["n"], 4)
            program.process.stdin.close()
            self.assertEqual(program.end()[:2], (4, []))

    def test_lost_connection(self):
        text = b'{"type":"Allocate","id":"a"}{"type":"Allocate"}{"type":"Ping"}{"type":"Allocate","id":null}'
        first = FakeNode(lambda request: None)
        program = Running(first, "-", "--timeout", "20")
        program.write(text)
        try:
            first.wait(lambda: len(first.requests) == 4)
        finally:
            first.close()
        with program, FakeNode(commands=first.commands) as second:
            lines = [program.line() for _ in range(4)]
            program.process.stdin.close()
            self.assertEqual(program.end()[0], 4)
            self.assertEqual([line["ok"] for line in lines], [True, False, True, False])
            self.assertEqual(second.requests, [{"type": "Allocate", "id": "a"}, {"type": "Ping"}])

    def test_stray_reply(self):
        def handler(request):
            node.router.send_multipart(node.last + [pack({"ok": True, "n": 0})])
            return {"ok": True, "n": 1}
        node = FakeNode(handler)
        answer = node.answer
        def remember(frames):
            node.last = frames[:-1]
            answer(frames)
        node.answer = remember
        with node, Running(node, "-") as program:
            program.write(b"{}")
            self.assertEqual(program.line()["n"], 0)
            self.assertIn(b"nothing was asked", program.process.stderr.readline())
            program.process.stdin.close()
            self.assertEqual(program.end()[0], 5)

if __name__ == "__main__":
    unittest.main()
