#!/usr/bin/python3
"""Section 1 of the contract: the node as a program. Options, configuration, start, end, restart."""

import itertools
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

from allocd import (ANY_PORT, DEADLINE, Client, Node, Subscriber, check_reply, context, plain,
                    program, run_allocd, unpack, wait_until)
from history import History
from model import Model

OPTIONS = ("--config", "--data", "--commands", "--events", "--upstream", "--insecure-bind",
           "--log-level", "--check-config", "--print-config", "--version", "--help")
CONNECTIONS_MIN = 32  # that a node has room for, or it does not start


class ProgramCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="allocd-e2e-")
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def run_allocd(self, *arguments):
        return run_allocd(*arguments, cwd=self.home)

    def run_node(self, *arguments):
        """A node on this directory and on free ports, which is expected not to start."""
        return self.run_allocd("--data", self.home / "data", "--commands", ANY_PORT, "--events",
                               ANY_PORT, *arguments)

    def node(self, *arguments, **options):
        node = Node(*arguments, **options)
        self.addCleanup(node.close)
        return node

    def assert_exit(self, result, status, *naming):
        self.assertEqual(result.returncode, status, result)
        self.assertNotIn("AddressSanitizer", result.stderr)
        self.assertNotIn("ready commands=", result.stderr)
        for name in naming:
            self.assertIn(str(name), result.stderr)
        if status != 0:
            self.assertTrue(result.stderr.strip(), "it says why")
        return result


class Options(ProgramCase):
    def test_help(self):
        result = self.assert_exit(self.run_allocd("--help"), 0)
        for option in OPTIONS:
            self.assertIn(option, result.stdout)

    def test_version(self):
        self.assertRegex(self.assert_exit(self.run_allocd("--version"), 0).stdout, r"\d+\.\d+")

    def test_defaults(self):
        result = self.assert_exit(self.run_allocd("--print-config"), 0)
        for value in ("./allocd-data", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556", "info"):
            self.assertIn(value, result.stdout)
        self.assertFalse((self.home / "allocd-data").exists(), "it only prints")

    def test_bad_arguments(self):
        for arguments in (["--nonsense"], ["nonsense"], ["--data"], ["--commands"],
                          ["--log-level", "loud"], ["--log-level", ""], ["--data", ""],
                          ["--config", "no-such-file"], ["--insecure-bind=yes"], ["-z"]):
            with self.subTest(arguments=arguments):
                self.assert_exit(self.run_node(*arguments), 2)

    def test_bad_endpoints(self):
        for option in ("--commands", "--events"):
            for endpoint in ("", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:",
                             "tcp://127.0.0.1:port", "tcp://127.0.0.1:99999", "inproc://a",
                             "udp://127.0.0.1:5555", "pgm://127.0.0.1:5555", "ipc://",
                             "http://127.0.0.1:1"):
                with self.subTest(option=option, endpoint=endpoint):
                    self.assert_exit(self.run_node(option, endpoint), 2)
        for endpoint in ("", "nonsense", "inproc://a"):
            with self.subTest(option="--upstream", endpoint=endpoint):
                self.assert_exit(self.run_node("--upstream", endpoint), 2)

    def test_check_config_starts_nothing(self):
        result = self.run_node("--check-config")
        self.assert_exit(result, 0)
        self.assertFalse((self.home / "data").exists())
        self.assert_exit(self.run_node("--check-config", "--commands", "nonsense"), 2)

    def test_each_log_level_says_ready_once(self):
        for level in ("error", "warn", "info", "debug"):
            node = self.node("--log-level", level)
            with Client(node.start()) as client:
                client.ask("CreateBatch", ref="b", sku="S", qty=1)
                client.request("Allocate", orderid="o", sku="S", qty=5)
            node.stop()
            lines = [line for line in node.stderr().splitlines() if "ready commands=" in line]
            self.assertEqual(len(lines), 1, node.stderr())
            groups = len(re.findall(r" DEBUG a group of 1 requests is committed up to seq [12]\n",
                                    node.stderr()))
            self.assertEqual(groups, 2 if level == "debug" else 0)
            self.assertRegex(lines[0], r"ready commands=tcp://127\.0\.0\.1:[1-9][0-9]* "
                                       r"events=tcp://127\.0\.0\.1:[1-9][0-9]*$")


class NotLoopback(ProgramCase):
    def test_refused(self):
        for endpoint in ("tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.1:5555", "tcp://[::]:*",
                         "tcp://128.0.0.1:1", "tcp://10.127.0.1:1", "tcp://example.org:1"):
            for option in ("--commands", "--events"):
                with self.subTest(option=option, endpoint=endpoint):
                    result = self.run_node(option, endpoint)
                    self.assert_exit(result, 2, endpoint, "--insecure-bind")

    def test_let_through_when_asked_for(self):
        for endpoint in ("tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555"):
            result = self.run_node("--commands", endpoint, "--insecure-bind", "--check-config")
            self.assert_exit(result, 0)

    def test_loopback_and_ipc_are_fine(self):
        for endpoint in ("tcp://127.0.0.1:5555", "tcp://127.1.2.3:5555", "tcp://localhost:5555",
                         "tcp://[::1]:5555", "ipc:///tmp/x", "ipc://x"):
            with self.subTest(endpoint=endpoint):
                self.assert_exit(self.run_node("--commands", endpoint, "--check-config"), 0)


class Configuration(ProgramCase):
    def print_config(self, *arguments):
        return self.assert_exit(self.run_allocd("--print-config", *arguments), 0).stdout

    def write(self, text):
        path = self.home / "allocd.cfg"
        path.write_text(text)
        return path

    def keys(self, text):
        """Line number and path of each key that has a value."""
        parents = []
        for number, line in enumerate(text.splitlines()):
            found = re.match(r"( *)([\w/$-]+)\s*(=?)", line)
            if not found or line.lstrip().startswith("#"):
                continue
            depth = len(found[1]) // 4
            parents = parents[:depth] + [found[2]]
            if found[3]:
                yield number, parents

    def test_what_is_printed_can_be_read(self):
        flags = ("--data", "/somewhere/else", "--commands", "ipc:///tmp/c", "--events",
                 "tcp://127.0.0.1:7001", "--log-level", "debug", "--upstream",
                 "tcp://127.0.0.1:7002", "--upstream", "ipc:///tmp/up")
        text = self.print_config(*flags)
        for value in flags[1::2]:
            self.assertIn(value, text)
        path = self.write(text)
        self.assert_exit(self.run_allocd("--config", path, "--check-config"), 0)
        self.assertEqual(self.print_config("--config", path), text)

    def test_flags_over_file_over_defaults(self):
        path = self.write(self.print_config("--commands", "tcp://127.0.0.1:7001", "--events",
                                            "tcp://127.0.0.1:7002"))
        text = self.print_config("--config", path, "--events", "tcp://127.0.0.1:7003")
        self.assertIn("tcp://127.0.0.1:7001", text)
        self.assertIn("tcp://127.0.0.1:7003", text)
        self.assertNotIn("7002", text)
        self.assertIn("./allocd-data", text)

    def test_an_unknown_key_names_file_path_and_the_nearest_key(self):
        text = self.print_config()
        found = list(self.keys(text))
        self.assertGreaterEqual(len(found), 4, text)
        for number, parents in found:
            key = parents[-1]
            wrong = key[:-1] + key[-1] * 2 if len(key) > 2 else key + "x"
            lines = text.splitlines()
            lines[number] = re.sub(rf"\b{re.escape(key)}\b", wrong, lines[number], count=1)
            path = self.write("\n".join(lines) + "\n")
            with self.subTest(key="/".join(parents)):
                result = self.run_allocd("--config", path, "--check-config")
                self.assert_exit(result, 2, path.name, "/".join(parents[:-1] + [wrong]), key)
                self.assertIn(key, result.stderr.replace(wrong, ""), "the nearest known key")

    def test_an_unknown_section(self):
        path = self.write(self.print_config() + "\nnonsense\n    deep = 1\n")
        self.assert_exit(self.run_allocd("--config", path, "--check-config"), 2, "nonsense")

    def test_bad_values(self):
        text = self.print_config()
        for value, bad in (("tcp://127.0.0.1:5555", "nonsense"), ("info", "loud"),
                           ("tcp://127.0.0.1:5556", "tcp://192.0.2.1:5556")):
            self.assertIn(value, text)
            path = self.write(text.replace(value, bad))
            self.assert_exit(self.run_allocd("--config", path, "--check-config"), 2)

    def test_files_that_are_no_configuration(self):
        path = self.write("")
        self.assert_exit(self.run_allocd("--config", path, "--check-config"), 0)
        for text in ("= = =\n", "\x00\x01\x02\xff", "name : value\n", "  odd = 1\n"):
            with self.subTest(text=text):
                self.assert_exit(self.run_allocd("--config", self.write(text), "--check-config"),
                                 2)
        self.assert_exit(self.run_allocd("--config", self.home, "--check-config"), 2)

    def test_a_node_with_a_file(self):
        text = self.print_config("--data", self.home / "from-file", "--commands", ANY_PORT,
                                 "--events", ANY_PORT)
        node = self.node("--config", self.write(text))
        with Client(node.start()) as client:
            client.ask("Ping")
        self.assertTrue(node.data.is_dir(), "the flag counts")
        self.assertFalse((self.home / "from-file").exists())


class CannotStart(ProgramCase):
    def test_port_taken(self):
        taken = context.socket(zmq.ROUTER)
        self.addCleanup(taken.close)
        endpoint = f"tcp://127.0.0.1:{taken.bind_to_random_port('tcp://127.0.0.1')}"
        for option in ("--commands", "--events"):
            self.assert_exit(self.run_node(option, endpoint), 1, endpoint)
        self.assertFalse((self.home / "data").exists(), "no store is made for it")

    def test_ipc_path_taken(self):
        """libzmq would take the path from whoever has it, and remove a file that stands there."""
        node = self.node(commands=f"ipc://{self.home}/c", data=self.home / "first").start()
        for option in ("--commands", "--events"):
            self.assert_exit(self.run_node(option, node.commands), 1, node.commands)
        with Client(node) as client:
            client.ask("Ping")
        precious = self.home / "precious"
        precious.write_text("mine")
        self.assert_exit(self.run_node("--events", f"ipc://{precious}"), 1, precious)
        self.assertEqual(precious.read_text(), "mine")

    def test_ipc_path_of_a_socket_that_is_not_accepted_from(self):
        """It is somebody's, be it stopped or of another kind; a start neither waits nor removes it."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            path = self.home / f"kind-{int(kind)}"
            taken = socket.socket(socket.AF_UNIX, kind)
            self.addCleanup(taken.close)
            taken.bind(str(path))
            if kind == socket.SOCK_STREAM:
                taken.listen(0)
                for _ in range(2): # its queue is full then
                    waiting = socket.socket(socket.AF_UNIX)
                    self.addCleanup(waiting.close)
                    waiting.setblocking(False)
                    waiting.connect_ex(str(path))
            self.assert_exit(self.run_node("--commands", f"ipc://{path}"), 1, path)
            self.assertTrue(path.is_socket())

    def test_ipc_path_that_another_node_has_taken_over(self):
        first = self.node(commands=f"ipc://{self.home}/c", data=self.home / "first").start()
        (self.home / "c").unlink()
        second = self.node(commands=f"ipc://{self.home}/c", data=self.home / "second").start()
        first.stop()
        with Client(second) as client:
            client.ask("Ping")

    def test_first_start_that_ended_at_once(self):
        """What it leaves behind is no damage until there was a store: nothing, a directory without
        a whole segment, or a part of the first pages."""
        def nothing(journal):
            pass

        def directory(journal):
            journal.mkdir()

        def part_of_a_segment(journal):
            journal.mkdir()
            (journal / "mark").touch()
            (journal / "next-1.tmp").write_bytes(b"\0" * 5000)

        for make, size in itertools.product((nothing, directory, part_of_a_segment),
                                            (None, 0, 100, 4096, 8192)):
            with self.subTest(make=make.__name__, size=size):
                data = self.home / f"data-{make.__name__}-{size}"
                data.mkdir()
                (data / "node.lock").touch()
                make(data / "journal")
                if size is not None:
                    (data / "data.mdb").write_bytes(b"\0" * size)
                node = self.node(data=data).start()
                with Client(node) as client:
                    client.ask("CreateBatch", ref="b", sku="S", qty=1)
                node.kill9()
                shutil.rmtree(data / "journal")
                make(data / "journal")
                self.assert_exit(self.run_node("--data", data), 1, data)

    def test_data_directory_in_use(self):
        node = self.node(data=self.home / "data").start()
        self.assert_exit(self.run_node(), 1, self.home / "data")
        with Client(node) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=1)
        node.kill9()
        with Client(self.node(data=self.home / "data").start()) as client:
            self.assertEqual(client.head(), 1)

    def test_data_directory_that_cannot_be(self):
        (self.home / "file").write_text("")
        for path in (self.home / "file", self.home / "file" / "below", "/proc/nonsense"):
            with self.subTest(path=path):
                self.assert_exit(self.run_node("--data", path), 1, path)

    def test_damaged_tables(self):
        """They are made anew, with a line that says so, and nothing is lost."""
        def truncate(file):
            os.truncate(file, file.stat().st_size // 2)

        def truncate_oddly(file):
            os.truncate(file, file.stat().st_size // 2 + 1234)

        def cut_within_the_head(file):
            os.truncate(file, 100)

        def garbage(file):
            file.write_bytes(b"this is no store\n" * 1000)

        def zeros(file):
            file.write_bytes(b"\x00" * file.stat().st_size)

        def noise(file):
            file.write_bytes(os.urandom(file.stat().st_size))

        for damage in (truncate, truncate_oddly, cut_within_the_head, garbage, zeros, noise):
            with self.subTest(damage=damage.__name__):
                node = self.node()
                with Client(node.start()) as client:
                    client.pipeline({"type": "CreateBatch", "ref": f"b{number}", "sku": "S",
                                     "qty": 1} for number in range(500))
                node.stop()
                damage(node.data / "data.mdb")
                with Client(node.start()) as client:
                    self.assertEqual(client.ask("GetStock", sku="S")["available"], 500)
                    self.assertEqual(client.head(), 500)
                self.assertRegex(node.stderr(), f" WARN the tables in {node.data}/data.mdb are "
                                 "damaged: .*: they were made anew from the journal\n")
                node.stop()
                self.assertEqual(run_allocd("--verify", "--data", node.data).returncode, 0)
                self.assertEqual(sorted(file.name for file in node.data.iterdir()),
                                 ["data.mdb", "journal", "lock.mdb", "node.lock"])

    def test_damaged_journal(self):
        def cut(file):
            os.truncate(file, file.stat().st_size // 2)

        def cut_within_the_head(file):
            os.truncate(file, 100)

        def zeros(file):
            file.write_bytes(b"\x00" * file.stat().st_size)

        def noise(file):
            file.write_bytes(os.urandom(file.stat().st_size))

        def entries_that_are_zeros(file):
            content = file.read_bytes()
            file.write_bytes(content[:4096].ljust(len(content), b"\x00"))

        for damage in (cut, cut_within_the_head, zeros, noise, entries_that_are_zeros):
            with self.subTest(damage=damage.__name__):
                node = self.node()
                with Client(node.start()) as client:
                    client.pipeline({"type": "CreateBatch", "ref": f"b{number}", "sku": "S",
                                     "qty": 1} for number in range(500))
                node.stop()
                damage(next((node.data / "journal").glob("*.segment")))
                before = (node.data / "data.mdb").read_bytes()
                self.assert_exit(self.run_node("--data", node.data), 1, node.data, "damaged")
                self.assertEqual((node.data / "data.mdb").read_bytes(), before)


class Descriptors(ProgramCase):
    def run_limited(self, limit, *arguments):
        """A node that may have so many descriptors; what it leaves open to it are 0 to 2."""
        endpoints = ["--commands", f"ipc://{self.home}/c", "--events", f"ipc://{self.home}/e"]
        process = subprocess.Popen(
            [program("ALLOCD", "allocd"), "--data", self.home / "data", *endpoints, *arguments],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def needed(self, limit, *arguments):
        """What it says that it needs."""
        process = self.run_limited(limit, *arguments)
        status = process.wait(DEADLINE)
        line = process.stderr.read()
        self.assertEqual((status, len(line.splitlines())), (1, 1), line)
        self.assertFalse((self.home / "data").exists(), "it is refused before anything is made")
        found = re.search(r" ERROR cannot start: too few file descriptors: the limit is (\d+), "
                          r"and (\d+) are needed", line)
        self.assertEqual(int(found[1]), limit)
        return int(found[2])

    def test_too_few_are_refused(self):
        enough = self.needed(30)
        for limit in (10, 14, 50, enough - 1):  # with 14 libzmq aborts
            self.assertEqual(self.needed(limit), enough)
        self.assertLessEqual(enough, 128, "no more than a service always has")
        upstream = ("--upstream", f"ipc://{self.home}/u", "--upstream", f"ipc://{self.home}/v")
        self.assertEqual(self.needed(enough, *upstream), enough + 2)

    def test_none_for_a_moment(self):
        """While nobody is connected it has none for those that come. Then it has, and they are served."""
        node = self.node().start()
        pid = node.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, limits[1]))
        with Client(node) as client:
            client.send({"type": "Ping"})
            self.assertFalse(client.socket.poll(300))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            self.assertTrue(client.recv()["ok"])

    def test_strangers_do_not_keep_an_upstream_out(self):
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            upstream.settimeout(DEADLINE)
            endpoint = "tcp://127.0.0.1:%d" % upstream.getsockname()[1]
            self.run_limited(self.needed(30) + 1, "--upstream", endpoint)
            connection = upstream.accept()[0]
            clients = [Client(f"ipc://{self.home}/c") for _ in range(2 * CONNECTIONS_MIN)]
            for client in clients:
                self.addCleanup(client.close)
            wait_until(lambda: clients[0].ask("GetStats")["peers_refused"] > 0, "there are too many")
            connection.close()
            upstream.accept()[0].close()

    def test_as_many_as_are_needed_suffice(self):
        self.run_limited(self.needed(30))
        clients = [Client(f"ipc://{self.home}/c") for _ in range(CONNECTIONS_MIN)]
        for client in clients:
            self.addCleanup(client.close)
        for client in clients:
            client.ask("Ping")
        self.assertEqual(clients[0].ask("GetStats")["peers_refused"], 0)


class DataDirectory(ProgramCase):
    def test_it_is_made_for_the_owner_alone(self):
        before = os.umask(0)
        try:
            node = self.node().start()
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(node.data.stat().st_mode), 0o700)
        for file in node.data.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file)

    def test_default_is_below_the_working_directory(self):
        node = self.node(data="./allocd-data").start()
        self.assertTrue((node.home / "allocd-data").is_dir())


class Ipc(ProgramCase):
    def test_commands_and_events(self):
        node = self.node(commands=f"ipc://{self.home}/c", events=f"ipc://{self.home}/e").start()
        self.assertEqual((node.commands, node.events),
                         (f"ipc://{self.home}/c", f"ipc://{self.home}/e"))
        with Client(node) as client, Subscriber(node) as subscriber:
            client.ask("CreateBatch", ref="b", sku="S", qty=1)
            topic, body = subscriber.next_event()
            self.assertEqual((topic, unpack(body)["seq"]), (b"BatchCreated/S/", 1))
        node.kill9()
        with Client(node.start()) as client:
            self.assertEqual(client.head(), 1)


class Restart(ProgramCase):
    def snapshot(self, client, model):
        state = {"events": client.event_bodies(),
                 "products": client.pages("ListProducts", "products")[0]}
        for sku in model.products:
            state["stock", sku] = plain(client.ask("GetStock", sku=sku))
            state["batches", sku] = client.pages("ListBatches", "batches", sku=sku)[0]
        for orderid in model.orders:
            state["lines", orderid] = plain(client.ask("GetAllocations", orderid=orderid))
        return state

    def test_it_keeps_everything(self):
        node = self.node().start()
        history, model = History(seed=11, skus=4, orders=40, refs=16), Model()
        snapshot = None
        for end in (node.stop, node.kill9, lambda: node.stop(signal.SIGINT)):
            with Client(node) as client:
                if snapshot:
                    self.assertEqual(self.snapshot(client, model), snapshot)
                for _ in range(150):
                    request = history.next_request(model)
                    expected = model.handle(dict(request))
                    client.send(request)
                    self.assertEqual(plain(client.recv()), expected)
                snapshot = self.snapshot(client, model)
            end()
            node.start()
        with Client(node) as client:
            self.assertEqual(self.snapshot(client, model), snapshot)


class End(ProgramCase):
    """SIGTERM and SIGINT: what was read is finished, stored, answered and broadcast."""

    def test_idle(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.node().start().stop(number)

    def test_with_idle_connections(self):
        node = self.node().start()
        with Client(node) as client, Subscriber(node):
            client.ask("Ping")
            node.stop()

    def test_under_load(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                self.end_under_load(number)

    def end_under_load(self, number):
        node = self.node().start()
        client, subscriber = Client(node), Subscriber(node)
        self.addCleanup(client.close)
        self.addCleanup(subscriber.close)
        client.ask("CreateBatch", ref="b", sku="S", qty=10**9)
        for index in range(6000):
            client.send({"type": "Allocate", "orderid": f"o{index}", "sku": "S", "qty": 1,
                         "id": str(index)})
        replies = [client.recv() for _ in range(300)]
        node.send_signal(number)
        self.assertEqual(node.wait(), 0, node.stderr())
        while client.socket.poll(300):
            replies.append(check_reply(unpack(client.recv_body())))
        live = [body for _, body in self.drained(subscriber)]
        client.close()
        with Client(node.start()) as later:
            stored = later.event_bodies()
        self.assertEqual([reply["id"] for reply in replies], [str(i) for i in range(len(replies))])
        self.assertTrue(all(reply["ok"] for reply in replies))
        causes = [unpack(body).get("cause") for body in stored[1:]]
        self.assertEqual(causes, [reply["id"] for reply in replies])
        self.assertEqual(live, stored)

    def drained(self, subscriber):
        events = []
        while subscriber.socket.poll(300):
            topic, body = subscriber.recv()
            if topic not in (b"Heartbeat/", b"Welcome/"):
                events.append((topic, body))
        return events

    def test_sighup_ends_nothing(self):
        node = self.node().start()
        with Client(node) as client:
            for _ in range(3):
                node.send_signal(signal.SIGHUP)
                client.ask("Ping")
        node.stop()

    def test_twice(self):
        node = self.node().start()
        node.send_signal(signal.SIGTERM)
        node.send_signal(signal.SIGINT)
        self.assertEqual(node.wait(), 0, node.stderr())

    def test_a_subscriber_that_does_not_read_does_not_hold_it_up(self):
        node = self.node().start()
        stuck = context.socket(zmq.SUB)
        self.addCleanup(stuck.close)
        stuck.setsockopt(zmq.LINGER, 0)
        stuck.setsockopt(zmq.RCVHWM, 1)
        stuck.setsockopt(zmq.RCVBUF, 4096)
        stuck.subscribe("")
        stuck.connect(node.events)
        with Client(node) as client:
            wait_until(lambda: stuck.poll(100), "the subscription is there", 5)
            client.pipeline({"type": "CreateBatch", "ref": f"b{index}{'x' * 200}", "sku": "S",
                             "qty": 1} for index in range(3000))
        node.stop()


if __name__ == "__main__":
    unittest.main()
