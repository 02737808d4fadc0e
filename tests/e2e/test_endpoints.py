#!/usr/bin/python3
"""All ways to name an endpoint: addresses, interfaces, hosts, paths and names without a path."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import zmq

from allocd import DEADLINE, Client, Node, context, pack, unpack, wait_until
from test_upstream import Feed


class Bound(unittest.TestCase):
    def start(self, endpoint, *arguments):
        node = Node(*arguments, commands=endpoint, events=endpoint.replace("commands", "events"))
        self.addCleanup(node.close)
        return node.start()

    def expect_service(self, endpoint, bound):
        """By an interface, or by a host's name, it may be any address that is bound."""
        node = self.start(endpoint, "--insecure-bind")
        self.assertRegex(node.commands, bound)
        with Client(node) as client:
            self.assertEqual(client.ask("Ping"), {"ok": True})
        return node

    def test_by_interface(self):
        self.expect_service("tcp://lo:*", r"^tcp://127\.0\.0\.1:\d+$")

    def test_by_host(self):
        self.expect_service("tcp://localhost:*", r"^tcp://127\.0\.0\.1:\d+$")

    def test_all_addresses(self):
        self.expect_service("tcp://*:*", r"^tcp://0\.0\.0\.0:\d+$")

    def test_an_interface_that_is_not_there(self):
        node = Node("--insecure-bind", commands="tcp://none0:*")
        self.addCleanup(node.close)
        with self.assertRaisesRegex(RuntimeError, "exit 1: .*tcp://none0:.*: No such device"):
            node.start()

    def test_a_name_without_a_path(self):
        name = f"ipc://@allocd-commands-{os.getpid()}"
        self.assertEqual(self.expect_service(name, "^ipc://@").commands, name)

    def test_any_path(self):
        node = self.expect_service("ipc://*", "^ipc:///")
        place = Path(node.commands.removeprefix("ipc://")).parent
        self.assertTrue(place.is_dir())
        node.stop()
        self.assertFalse(place.exists())

    def test_ipv6(self):
        if not Path("/proc/net/if_inet6").exists() or not Path("/proc/net/if_inet6").read_text():
            return  # this machine speaks IPv4 alone
        node = self.start("tcp://[::1]:*")
        self.assertRegex(node.commands, r"^tcp://\[::1\]:\d+$")
        with context.socket(zmq.REQ) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.IPV6, 1)
            socket.setsockopt(zmq.RCVTIMEO, int(DEADLINE * 1000))
            socket.connect(node.commands)
            socket.send(pack({"type": "Ping"}))
            self.assertEqual(unpack(socket.recv()), {"ok": True})


class Upstream(unittest.TestCase):
    """A name is looked up beside all else; each try takes another of its addresses."""

    def test_by_host(self):
        feed = Feed()
        self.addCleanup(feed.socket.close)
        node = Node("--upstream", feed.endpoint.replace("127.0.0.1", "localhost"))
        self.addCleanup(node.close)
        node.start()
        self.assertEqual(feed.wait_for_subscription(), b"\x01BatchQuantityChanged/")

    def test_a_host_that_is_not_there(self):
        node = Node("--insecure-bind", "--upstream", "tcp://none.invalid:5556")
        self.addCleanup(node.close)
        node.start()
        with Client(node) as client:
            self.assertEqual(client.ask("Ping"), {"ok": True})
        wait_until(lambda: "upstream tcp://none.invalid:5556 cannot be reached" in node.stderr(),
                   "the lookup fails")


if __name__ == "__main__":
    unittest.main()
