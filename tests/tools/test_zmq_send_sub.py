"""zmq-send sub: replay, live events, gaps, reconnecting."""

import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_node import (DEADLINE_S, FakeNode, Running, command, event, free_endpoint, get_events,
                       pack, run)


class Sub(unittest.TestCase):
    def start(self, node, *arguments):
        program = Running(node, "sub", *arguments, stdin=subprocess.DEVNULL)
        self.addCleanup(program.__exit__)
        return program

    def wait_subscribed(self, node, times=1):
        node.wait(lambda: node.subscriptions.count(b"\x01Welcome/") >= times)

    def asked(self, node):
        return [r for r in node.requests if r["type"] == "GetEvents"]

    def test_live_only(self):
        with FakeNode(log=[event(1), event(2, 1)]) as node:
            program = self.start(node, "--count", "2")
            self.wait_subscribed(node)
            node.heartbeat()
            node.publish(event(3, 2), event(4, 3, kind="OutOfStock"))
            self.assertEqual(program.end()[:2], (0, [event(3, 2), event(4, 3, kind="OutOfStock")]))
            self.assertEqual(self.asked(node), [])
            self.assertEqual(node.subscriptions[:3], [b"\x01", b"\x01Heartbeat/", b"\x01Welcome/"])

    def test_replay_then_live(self):
        log = [event(n, n - 1) for n in range(1, 2501)]
        with FakeNode(log=log) as node:
            program = self.start(node, "--from", "2", "--count", "2501")
            self.assertEqual(program.seqs(2499), list(range(2, 2501)))
            node.publish(event(2501, 2500), event(2502, 2501))
            self.assertEqual([e["seq"] for e in program.end()[1]], [2501, 2502])

    def test_count_within_replay(self):
        with FakeNode(log=[event(n, n - 1) for n in range(1, 10)]) as node:
            status, lines, _ = run(node, "sub", "--from", "3", "--count", "2")
            self.assertEqual((status, [e["seq"] for e in lines]), (0, [3, 4]))

    def test_from_the_future(self):
        with FakeNode(log=[event(1)]) as node:
            program = self.start(node, "--from", "3", "--count", "2")
            self.wait_subscribed(node)
            node.publish(event(2, 1), event(3, 2))
            node.heartbeat()
            node.publish(event(4, 3))
            self.assertEqual([e["seq"] for e in program.end()[1]], [3, 4])

    def test_hole_and_repeat(self):
        with FakeNode(log=[event(1)]) as node:
            program = self.start(node, "--count", "5")
            self.wait_subscribed(node)
            lost = event(3, 2)
            node.publish(event(2, 1))
            node.do(lambda: node.log.append(lost))
            node.publish(event(4, 3))
            node.publish(event(4, 3), event(2, 1), store=False)
            node.publish(event(5, 4), event(6, 5))
            self.assertEqual(program.end()[:2], (0, [event(2, 1), lost, event(4, 3), event(5, 4), event(6, 5)]))

    def test_lost_tail_is_seen_by_the_heartbeat(self):
        for prefixes in ([], ["Allocated/"], ["Allocated/RED/", "Out"]):
            with self.subTest(prefixes=prefixes), FakeNode(log=[event(1)]) as node:
                program = self.start(node, *prefixes, "--count", "1")
                self.wait_subscribed(node)
                node.do(lambda: node.log.append(event(2, 1)))
                node.heartbeat()
                self.assertEqual(program.end()[:2], (0, [event(2, 1)]))

    def test_one_type_is_printed_without_asking(self):
        with FakeNode(log=[event(1), event(2, 0, kind="OutOfStock")]) as node:
            program = self.start(node, "Allocated/", "--count", "3")
            self.wait_subscribed(node)
            node.publish(event(3, 2, kind="OutOfStock"), event(4, 1), event(5, 3, kind="OutOfStock"), event(6, 4, sku="B"))
            self.assertEqual(program.seqs(2), [4, 6])
            self.assertEqual(self.asked(node), [])
            node.do(lambda: node.log.append(event(7, 6)))  # lost, and told by prev
            node.publish(event(8, 5, kind="OutOfStock"), event(9, 7), event(10, 9))
            self.assertEqual([e["seq"] for e in program.end()[1]], [7])
            self.assertEqual({tuple(r["types"]) for r in self.asked(node)}, {("Allocated",)})

    def test_several_prefixes(self):
        log = [event(1), event(2, 1, sku="A/B%"), event(3, kind="OutOfStock"), event(4, 2, sku="REDDER")]
        with FakeNode(log=log) as node:
            program = self.start(node, "Allocated/RED/", "Allocated/A%2FB%25/", "Batch", "--from", "1", "--count", "5")
            self.assertEqual(program.seqs(2), [1, 2])
            node.publish(event(5, 4, sku="REDDER"), event(6, 0, kind="BatchCreated"), event(7, 5), event(8, 7, sku="X"),
                         event(9, 8, sku="A/B%"))
            self.assertEqual(program.seqs(3), [6, 7, 9])
            self.assertEqual(program.end()[0], 0)
            self.assertEqual(set(self.asked(node)[0]["types"]),
                             {"Allocated", "BatchCreated", "BatchQuantityChanged", "BatchEtaChanged"})

    def test_lost_among_several_types_keeps_the_order(self):
        with FakeNode(log=[event(1)]) as node:
            program = self.start(node, "Allocated/", "OutOfStock/", "--count", "3")
            self.wait_subscribed(node)
            node.do(lambda: node.log.append(event(2, 0, kind="OutOfStock")))
            node.publish(event(3, 1), event(4, 3))
            self.assertEqual(program.seqs(3), [2, 3, 4])

    def test_events_before_the_welcome_are_not_printed_twice(self):
        with FakeNode(log=[event(1)], welcome=False) as node:
            program = self.start(node, "--from", "1", "--count", "4")
            self.wait_subscribed(node)
            node.publish(event(2, 1))
            node.heartbeat()
            node.do(lambda: node.pulse_now("Welcome/"))
            node.publish(event(3, 2))
            node.do(lambda: node.pulse_now("Welcome/"))
            node.publish(event(4, 3))
            self.assertEqual([e["seq"] for e in program.end()[1]], [1, 2, 3, 4])

    def test_reconnect_fills_the_gap(self):
        log = [event(1), event(2, 1)]
        first = FakeNode(log=log)
        try:
            program = self.start(first, "--from", "1", "--count", "5")
            self.assertEqual(program.seqs(2), [1, 2])
            self.wait_subscribed(first)
        finally:
            first.close()
        log += [event(3, 2), event(4, 3)]
        with FakeNode(log=log, commands=first.commands, events=first.events) as second:
            self.assertEqual(program.seqs(2), [3, 4])
            second.publish(event(5, 4))
            status, lines, _ = program.end()
            self.assertEqual((status, lines), (0, [event(5, 4)]))

    def test_node_with_other_data(self):
        first = FakeNode(log=[event(n, n - 1) for n in range(1, 6)])
        try:
            program = self.start(first, "--from", "1")
            self.assertEqual(program.seqs(5), [1, 2, 3, 4, 5])
        finally:
            first.close()
        with FakeNode(log=[event(1)], commands=first.commands, events=first.events):
            status, lines, errors = program.end()
            self.assertEqual((status, lines), (6, []))
            self.assertIn("data is not the same", errors)

    def test_gap_that_cannot_be_filled(self):
        with FakeNode(log=[event(n, n - 1) for n in range(5, 8)]) as node:
            status, lines, errors = run(node, "sub", "--from", "3")
            self.assertEqual((status, lines), (6, []))
            self.assertIn("does not keep", errors)
            self.assertEqual(run(node, "sub", "--from", "5", "--count", "3")[0], 0)
            status, lines, _ = run(node, "sub", "--from", "0", "--count", "3")
            self.assertEqual((status, [e["seq"] for e in lines]), (0, [5, 6, 7]))

    def test_hole_in_the_log(self):
        with FakeNode(log=[event(1), event(2, 1), event(4, 3)]) as node:
            status, lines, errors = run(node, "sub", "--from", "1")
            self.assertEqual((status, [e["seq"] for e in lines]), (6, [1, 2]))

    def test_log_that_ends_before(self):
        for prefixes in ([], ["Allocated/"]):
            with FakeNode(log=[event(1)]) as node:
                program = self.start(node, *prefixes)
                self.wait_subscribed(node)
                node.heartbeat(9)
                self.assertEqual(program.end()[0], 6)

    def test_refused_and_broken_pages(self):
        rows = [({"ok": False, "error": "storage_failed"}, 1), ({"ok": True}, 5), (b"\xc1", 5), (None, 4),
                ({"ok": True, "events": [event(2)], "next": 1, "head": 2, "first": 1}, 6),
                ({"ok": True, "events": [], "next": 0, "head": 2, "first": 1}, 5),
                ({"ok": True, "events": [event(2), event(1)], "next": None, "head": 2, "first": 1}, 6),
                ({"ok": True, "events": [event(1), event(1)], "next": None, "head": 2, "first": 1}, 5),
                ({"ok": True, "events": ["x"], "next": None, "head": 2, "first": 1}, 5),
                ({"ok": True, "events": [event(1)], "next": None, "head": 2, "first": 1}, 6)]
        for reply, expected in rows:
            with self.subTest(reply=reply), FakeNode(lambda request: reply) as node:
                node.welcome = False
                program = self.start(node, "--from", "1", "--timeout", "1")
                self.wait_subscribed(node)
                node.do(lambda: node.pulse_now("Welcome/", 2))
                self.assertEqual(program.end()[0], expected)

    def test_pages_cut_short(self):
        log = [event(n, n - 1, sku="RED" if n % 10 else "X") for n in range(1, 100)]

        def handler(request):
            page = get_events(log, request, page=7)
            if request["after"] % 2 == 0 and page["next"]:  # an empty page
                page.update(events=[], next=request["after"] + 1)
            return page
        with FakeNode(handler) as node:
            node.welcome = False
            program = self.start(node, "Allocated/X/", "--from", "1", "--count", "9")
            self.wait_subscribed(node)
            node.do(lambda: node.pulse_now("Welcome/", 99))
            self.assertEqual([e["seq"] for e in program.end()[1]], list(range(10, 100, 10)))

    def test_pages_with_more_than_was_asked_for(self):
        log = [event(1), event(2, 1), event(3, 2)]
        with FakeNode(lambda request: get_events(log, request), log=None) as node:
            node.welcome = False
            program = self.start(node, "--from", "1", "--count", "4")
            self.wait_subscribed(node)
            node.do(lambda: node.pulse_now("Welcome/", 2))
            self.assertEqual(program.seqs(2), [1, 2])
            node.publish(event(3, 2), event(4, 3), store=False)
            self.assertEqual(program.end()[:2], (0, [event(3, 2), event(4, 3)]))

    def test_the_oldest_kept_may_be_newer_than_the_welcome(self):
        with FakeNode(lambda request: get_events([event(4, 3)], request), log=None) as node:
            node.welcome = False
            program = self.start(node, "--from", "0", "--count", "1")
            self.wait_subscribed(node)
            node.do(lambda: node.pulse_now("Welcome/", 2))
            node.wait(lambda: node.requests)
            node.publish(event(4, 3), store=False)
            self.assertEqual(program.end()[:2], (0, [event(4, 3)]))

    def test_output_that_cannot_be_written(self):
        with FakeNode(log=[event(1)]) as node, open("/dev/full", "w") as full:
            done = subprocess.run(command(node, "sub", "--from", "1"), stdout=full,
                                  stderr=subprocess.PIPE, timeout=DEADLINE_S)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"cannot write", done.stderr)

    def test_no_command_endpoint(self):
        endpoint, holder = free_endpoint()
        with holder, FakeNode(log=[event(1)]) as node:
            self.assertEqual(run(None, "sub", "--events", node.events, "-e", endpoint, "--from", "1",
                                 "--timeout", "0.3")[0], 3)
            program = self.start(None, "--events", node.events, "-e", endpoint, "--timeout", "0.3")
            self.wait_subscribed(node, 2)
            node.heartbeat(2)
            self.assertEqual(program.end()[0], 6)

    def test_broken_feed(self):
        for frames in ([b"Allocated/RED/"], [b"Allocated/RED/", b"\xc1"], [b"Allocated/RED/", pack({"seq": 1})],
                       [b"Heartbeat/", pack({})], [b"Heartbeat/", pack([])]):
            with self.subTest(frames=frames), FakeNode(log=[]) as node:
                program = self.start(node)
                self.wait_subscribed(node)
                node.do(lambda: node.xpub.send_multipart(frames))
                self.assertEqual(program.end()[0], 5)

    def test_waits_for_the_node(self):
        endpoint, holder = free_endpoint()
        program = self.start(None, "--events", endpoint, "--count", "1", "-e", endpoint)
        holder.close()
        with FakeNode(log=[], events=endpoint) as node:
            self.wait_subscribed(node)
            node.publish(event(1))
            self.assertEqual(program.end()[:2], (0, [event(1)]))

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with FakeNode(log=[event(1)]) as node:
                program = self.start(node, "--from", "1")
                program.line()
                program.process.send_signal(number)
                self.assertEqual(program.end(), (0, [], ""))

    def test_signal_while_the_log_is_read(self):
        with FakeNode(lambda request: None, log=None) as node:
            node.welcome = False
            program = self.start(node, "--from", "1", "--timeout", "60")
            self.wait_subscribed(node)
            node.do(lambda: node.pulse_now("Welcome/", 5))
            node.wait(lambda: node.requests)
            program.process.send_signal(signal.SIGTERM)
            self.assertEqual(program.end()[0], 0)

    def test_reader_that_leaves(self):
        with FakeNode(log=[event(1)]) as node:
            process = subprocess.Popen(command(node, "sub", "--from", "1"), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            with process:
                process.stdout.readline()
                process.stdout.close()
                self.assertEqual(process.wait(DEADLINE_S), 0)
                self.assertEqual(process.stderr.read(), b"")

    def test_flood(self):
        count = 20000
        with FakeNode(log=[]) as node:
            program = self.start(node, "--count", str(count))
            self.wait_subscribed(node)
            node.publish(*[event(n, n - 1) for n in range(1, count + 1)])
            self.assertEqual(program.seqs(count), list(range(1, count + 1)))

if __name__ == "__main__":
    unittest.main()
