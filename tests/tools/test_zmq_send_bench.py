"""zmq-send bench: that it measures what it says. No figure is held against a clock."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import fake_node
from allocd import Client, Node

ZMQ_SEND = os.environ["ZMQ_SEND"]


class Bench(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.close)
        self.node.start()

    def run_bench(self, *arguments, status=0):
        done = subprocess.run(
            [ZMQ_SEND, "-e", self.node.commands, "--events", self.node.events, "bench",
             "--skus", "20", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def figures(self, *arguments):
        return json.loads(self.run_bench("--json", "--seconds", "0.3", *arguments))

    def stored(self, event_type):
        with Client(self.node) as client:
            return sum(event["type"] == event_type for event in client.all_events())

    def test_allocations_are_made(self):
        figures = self.figures("--inflight", "64")
        allocd = figures["allocd"]
        self.assertGreater(allocd["replies"], 0)
        self.assertEqual((allocd["refused"], allocd["refusals"]), (0, {}))
        # Those in flight at the end are waited for, and not counted.
        made = self.stored("Allocated")
        self.assertLessEqual(allocd["replies"], made)
        self.assertGreaterEqual(allocd["replies"] + 64, made)
        self.assertGreaterEqual(allocd["seconds"], 0.3)
        self.assertAlmostEqual(allocd["rate"], allocd["replies"] / allocd["seconds"],
                               delta=allocd["rate"] / 1000)
        self.assertTrue(0 < allocd["p50_us"] <= allocd["p99_us"] <= allocd["max_us"])
        self.assertTrue(1 <= figures["group_size"] <= figures["group_max"] <= 64)
        self.assertGreater(figures["cpu_us"], 0)
        self.assertGreater(figures["store_bytes"], 0)
        self.assertEqual(self.stored("BatchCreated"), 20)

    def test_a_second_run_meets_no_order_of_the_first(self):
        for arguments in [], ["--ids"], ["--random-orders"]:
            with self.subTest(arguments=arguments):
                self.assertEqual(self.figures("--inflight", "8", *arguments)["allocd"]["refused"],
                                 0)

    def test_ids(self):
        self.figures("--ids", "--inflight", "8")
        with Client(self.node) as client:
            events = [e for e in client.all_events() if e["type"] == "Allocated"]
        self.assertEqual(len({event["cause"] for event in events}), len(events))

    def test_mix(self):
        figures = self.figures("--mix", "allocate=50,deallocate=10,change=10,get=20,lines=10",
                               "--inflight", "32", "--clients", "3", "--zipf", "1.1")
        self.assertLessEqual(set(figures["allocd"]["refusals"]),
                             {"unknown_line", "unknown_order"})
        for kind in "Allocated", "Deallocated", "BatchQuantityChanged":
            self.assertGreater(self.stored(kind), 0, kind)
        with Client(self.node) as client:
            self.assertGreater(client.ask("GetStats")["queries"], 0)

    def test_lines_are_there_before_it_is_measured(self):
        figures = self.figures("--lines", "300", "--mix", "lines=1", "--inflight", "8")
        self.assertEqual(figures["allocd"]["refusals"], {})
        self.assertEqual(self.stored("Allocated"), 300)
        self.figures("--lines", "300", "--mix", "deallocate=1", "--inflight", "8")
        self.assertTrue(0 < self.stored("Deallocated") <= 300)

    def test_swap_leaves_the_number_of_lines_alone(self):
        figures = self.figures("--lines", "4", "--mix", "swap=1", "--inflight", "8")
        self.assertEqual(figures["allocd"]["refusals"], {})
        allocated, deallocated = self.stored("Allocated"), self.stored("Deallocated")
        self.assertGreater(deallocated, 0)
        self.assertIn(allocated - deallocated, (4, 5))

    def test_refusals_are_counted_by_their_code(self):
        with Client(self.node) as client:
            for number in range(20):
                client.ask("CreateBatch", ref=f"bench-batch-{number:08}", sku="other", qty=1)
        figures = self.figures("--inflight", "8")["allocd"]
        self.assertEqual(figures["refusals"], {"invalid_sku": figures["refused"]})
        self.assertEqual(figures["refused"], figures["replies"])

    def test_ceiling(self):
        with tempfile.TemporaryDirectory() as directory:
            figures = self.figures("--inflight", "64", f"--ceiling={directory}")
            self.assertEqual(os.listdir(directory), [])
        self.assertGreater(figures["echo"]["replies"], 0)
        self.assertGreater(figures["commit_us"], 0)
        self.assertAlmostEqual(figures["rate_ratio"],
                               figures["allocd"]["rate"] / figures["echo"]["rate"], places=3)
        self.assertAlmostEqual(
            figures["latency_ratio"],
            figures["allocd"]["p50_us"] / (figures["echo"]["p50_us"] + figures["commit_us"]),
            delta=figures["latency_ratio"] / 1000)

    def test_a_rate(self):
        figures = self.figures("--rate", "100", "--inflight", "64", "--clients", "3")["allocd"]
        self.assertTrue(0 < figures["replies"] <= 1 + 100 * figures["seconds"], figures)
        self.assertLessEqual(self.stored("Allocated"), 1 + 100 * figures["seconds"])

    def test_less_than_one_request_within_the_timeout_is_no_silence(self):
        self.figures("--rate", "0.4", "--timeout", "2", "--seconds", "2.6")

    def test_queries_beside_it(self):
        self.figures("--inflight", "500")  # more events than a page looks at
        before = self.stored("Allocated")
        figures = self.figures("--inflight", "1", "--queries", "4")
        pages = figures["pages"]
        self.assertEqual((figures["allocd"]["refused"], pages["refused"]), (0, 0))
        self.assertGreater(self.stored("Allocated"), before)
        self.assertGreater(pages["replies"], 12)  # all of them have read each list
        self.assertTrue(0 < pages["p50_us"] <= pages["p99_us"] <= pages["max_us"])
        with Client(self.node) as client:
            self.assertGreaterEqual(client.ask("GetStats")["queries"], pages["replies"])

    def test_subscribers_hear_all(self):
        figures = self.figures("--rate", "500", "--subscribers", "7", "--deaf", "2")
        heard = figures["heard"]
        self.assertEqual((heard["lost"], heard["gaps"]), (0, 0))
        self.assertEqual(heard["events"], 7 * self.stored("Allocated"))
        self.assertTrue(0 < heard["lag_p50_us"] <= heard["lag_p99_us"] <= heard["lag_max_us"])
        self.assertGreater(heard["rate"], 0)

    def test_deaf_ones_alone(self):
        self.assertNotIn("heard", self.figures("--deaf", "2", "--inflight", "8"))

    def test_text_of_what_is_beside_it(self):
        text = self.run_bench("--seconds", "0.1", "--queries", "1", "--subscribers", "1")
        for word in "pages ", "events ", " 0 lost", " 0 gaps", "lag p50":
            self.assertIn(word, text)

    def test_text(self):
        text = self.run_bench("--seconds", "0.1", "--inflight", "4")
        for word in "allocd", "p50", "p99", "max", "groups of", "CPU", "refused":
            self.assertIn(word, text)

    def test_text_with_refusals_and_a_ceiling(self):
        with Client(self.node) as client:
            for number in range(20):
                client.ask("CreateBatch", ref=f"bench-batch-{number:08}", sku="other", qty=1)
        with tempfile.TemporaryDirectory() as directory:
            text = self.run_bench("--seconds", "0.1", f"--ceiling={directory}")
        for word in "refused: invalid_sku ", "echo ", "commits ", "allocd / echo ":
            self.assertIn(word, text)

    def test_bad_arguments(self):
        for arguments in (["--clients", "0"], ["--clients", "x"], ["--inflight", "0"],
                          ["--seconds", "0"], ["--seconds", "x"], ["--skus", "0"],
                          ["--lines", "-1"], ["--zipf", "-1"], ["--mix", ""], ["--mix", "allocate"],
                          ["--mix", "allocate=0"], ["--mix", "allocate=1,"],
                          ["--mix", "nosuch=1"], ["--mix", "get="],
                          ["--mix", "get=x"], ["--mix", "get=1x"], ["--mix", "get=1000001"], ["--mix", "get=0,lines=0"], ["--mix", "get=-1"], ["field=1"],
                          ["--rate", "-1"], ["--rate", "x"], ["--queries", "x"],
                          ["--queries", "10001"], ["--subscribers", "-1"], ["--deaf", "x"],
                          ["--events", "nowhere", "--deaf", "1"],
                          ["--ceiling=/no/such/directory", "--seconds", "0.1"]):
            with self.subTest(arguments=arguments):
                self.run_bench(*arguments, status=2)
        done = subprocess.run([ZMQ_SEND, "Ping", "--json"], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)

    def test_no_node(self):
        self.node.stop()
        done = subprocess.run([ZMQ_SEND, "-e", self.node.commands, "--timeout", "0.2", "bench"],
                              capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (3, b""))


class BenchOfAnything(unittest.TestCase):
    """A node that answers what the test tells it to, but to GetStats."""

    STATS = {"ok": True, "commands": 1, "queries": "many", "commits": -1}

    def run_bench(self, reply, *arguments, stats=None, welcome=True, tell=None, timeout="10"):
        """`tell` makes the body of an event from the number of the Allocate that it is sent for."""
        asked = []

        def handler(request):
            if request["type"] == "GetStats":
                return (stats or self.STATS.copy)()
            if tell is not None and request["type"] == "Allocate":
                asked.append(request)
                node.xpub.send_multipart([b"Allocated/X/", tell(len(asked))])
            return reply(request)

        with fake_node.FakeNode(handler, welcome=welcome) as node:
            done = subprocess.run(
                [ZMQ_SEND, "-e", node.commands, "--events", node.events, "--timeout", timeout,
                 "bench", "--skus", "1",
                 "--seconds", "0.2", "--inflight", "40", *arguments],
                capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_what_is_no_reply_ends_it(self):
        for reply in ([1], {"error": "no_ok"}, {"ok": 1}, {"ok": False}, b"\xc1", b"",
                      {"fail": 1, "ok": None}, [b"two", b"frames"]):
            with self.subTest(reply=reply):
                packed = fake_node.pack(reply) if reply == [1] else reply
                status, out, error = self.run_bench(lambda _: packed)
                self.assertEqual((status, out), (5, ""))
                self.assertIn("a reply broke the protocol", error)

    def test_a_node_that_falls_silent(self):
        status, out, error = self.run_bench(lambda _: None, timeout="0.5")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("no reply within 500 ms", error)

    def test_a_node_that_tells_nothing_of_itself_at_the_end(self):
        told = []

        def stats():
            told.append(1)
            return {"ok": True} if len(told) < 3 else b"\xc1"

        status, out, _ = self.run_bench(lambda _: {"ok": True}, stats=stats)
        self.assertEqual((status, out, len(told)), (5, "", 3))

    def test_more_codes_than_are_counted_go_with_the_last(self):
        asked = []

        def refuse(_):
            asked.append(1)
            return {"error": f"{'long_' * 10}" if len(asked) % 20 == 0 else f"e{len(asked) % 20}",
                    "ok": False, "message": "no"}

        status, out, error = self.run_bench(refuse, "--json")
        self.assertEqual(status, 0, error)
        allocd = json.loads(out)["allocd"]
        self.assertEqual(len(allocd["refusals"]), 16)
        self.assertEqual(sum(allocd["refusals"].values()), allocd["refused"])

    def test_gaps_in_what_subscribers_hear(self):
        def with_gaps(number):  # at each fourth, and all sizes of integers
            seq = number * 97
            return fake_node.pack(fake_node.event(seq, seq - 97 - (number % 4 == 0)))

        status, out, error = self.run_bench(lambda _: {"ok": True}, "--json", "--inflight", "8",
                                            "--subscribers", "1", tell=with_gaps)
        self.assertEqual(status, 0, error)
        heard = json.loads(out)["heard"]
        self.assertGreater(heard["events"], 4)
        self.assertEqual((heard["gaps"], heard["lost"]), (heard["events"] // 4, 0))

    def test_what_is_no_event_ends_it(self):
        good = fake_node.pack(fake_node.event(1))
        for body in (b"", b"\x81", b"\x81\xa3seq", good[:20], good[:6], b"\x81\xa3seq\xcf\0\0",
                     b"\x81\xa3seq\xc0\xa4prev\0", fake_node.pack(fake_node.event(-1)),
                     fake_node.pack(fake_node.event(1, kind="BatchEtaC"))):
            with self.subTest(body=body):
                status, out, error = self.run_bench(lambda _: {"ok": True}, "--subscribers", "1",
                                                    tell=lambda _, body=body: body)
                self.assertEqual((status, out), (5, ""))
                self.assertIn("an event broke the protocol", error)

    def test_subscribers_that_nobody_welcomes(self):
        status, out, error = self.run_bench(lambda _: {"ok": True}, "--subscribers", "2",
                                            welcome=False, timeout="0.5")
        self.assertEqual((status, out), (3, ""))
        self.assertIn("no welcome for 2 subscribers from tcp://", error)

    def test_what_is_no_page_ends_it(self):
        for page in ({"ok": True}, {"ok": False, "error": "storage_failed"}, {"ok": 1, "next": None},
                     b"\xc1", [1]):
            with self.subTest(page=page):
                packed = fake_node.pack(page) if page == [1] else page
                status, out, error = self.run_bench(
                    lambda request, packed=packed: {"ok": True} if "limit" not in request else packed,
                    "--queries", "1")
                self.assertEqual((status, out), (5, ""))
                self.assertIn("a page broke the protocol, or was refused", error)

    def run_limited(self, which, limit, *arguments):
        def prepare():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(which, (limit, limit))

        with fake_node.FakeNode(lambda _: {"ok": True}) as node:
            done = subprocess.run(
                [ZMQ_SEND, "-e", node.commands, "bench", "--skus", "1", "--seconds", "0.1",
                 *arguments],
                capture_output=True, timeout=60, check=False, preexec_fn=prepare)
        self.assertEqual((done.returncode, done.stdout), (2, b""), done.stderr)
        return done.stderr.decode()

    def test_more_sockets_than_there_may_be(self):
        self.assertIn("cannot open 200 sockets to tcp://",
                      self.run_limited(resource.RLIMIT_NOFILE, 64, "--clients", "200"))

    def test_more_queries_and_subscribers_than_there_may_be(self):
        self.assertIn("cannot open 200 sockets for queries to tcp://",
                      self.run_limited(resource.RLIMIT_NOFILE, 64, "--queries", "200"))
        self.assertIn("cannot open 200 subscribers to tcp://",
                      self.run_limited(resource.RLIMIT_NOFILE, 64, "--deaf", "200"))

    def test_no_descriptors_for_an_echo(self):
        self.assertIn("cannot start an echo to compare with: ",
                      self.run_limited(resource.RLIMIT_NOFILE, 5, "--ceiling=/nowhere"))

    def test_a_disk_where_nothing_can_be_committed(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertIn(f"cannot commit in {directory}/",
                          self.run_limited(resource.RLIMIT_FSIZE, 9000, f"--ceiling={directory}"))
            self.assertEqual(os.listdir(directory), [])


if __name__ == "__main__":
    unittest.main()
