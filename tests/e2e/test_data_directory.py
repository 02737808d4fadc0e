#!/usr/bin/python3
"""What others do to the data directory: two nodes never write one store, whatever files are removed,
and a node whose store is no longer where it was ends before it says ok again."""

import itertools
import os
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import ANY_PORT, Client, Node, run_allocd, unpack

FILES = ("data.mdb", "lock.mdb", "node.lock")
BATCHES = 15
IN_FLIGHT = 400


def subsets(names):
    return [subset for count in range(1, len(names) + 1)
            for subset in itertools.combinations(names, count)]


class DirectoryCase(unittest.TestCase):
    def new_node(self, **options):
        node = Node(**options)
        self.addCleanup(node.close)
        return node

    def node_with_batches(self, **options):
        node = self.new_node(**options)
        with Client(node.start()) as client:
            for number in range(BATCHES):
                client.ask("CreateBatch", ref=f"b{number}", sku="S", qty=1)
        return node

    def assert_refused(self, directory, *naming):
        """By a start, with one line, and by --verify."""
        result = run_allocd("--data", directory, "--commands", ANY_PORT, "--events", ANY_PORT)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        verified = run_allocd("--verify", "--data", directory)
        self.assertEqual(verified.returncode, 1, verified.stdout)
        for name in naming:
            self.assertIn(name, result.stderr)
            self.assertIn(name, verified.stdout)


class OneNode(DirectoryCase):
    def assert_alone(self, node, directory):
        self.assert_refused(directory, "in use by a")
        with Client(node) as client:
            self.assertEqual(client.head(), BATCHES, "it goes on")

    def test_whatever_locks_are_removed(self):
        for names in subsets(FILES[1:]):
            with self.subTest(removed=names):
                node = self.node_with_batches()
                for name in names:
                    (node.data / name).unlink()
                self.assert_alone(node, node.data)
                node.kill9()
                with Client(node.start()) as client:
                    self.assertEqual(client.head(), BATCHES)
                node.stop()
                self.assertEqual(run_allocd("--verify", "--data", node.data).returncode, 0)
                self.assertEqual((node.data / "node.lock").stat().st_size, 1, "it is marked again")

    def test_under_another_name(self):
        node = self.node_with_batches()
        link, renamed = node.home / "link", node.home / "renamed"
        link.symlink_to(node.data)
        self.assert_alone(node, link)
        node.data.rename(renamed)
        self.assert_refused(renamed, "in use by a")

    def test_the_file_in_another_directory(self):
        """By a name of its own there, or moved there."""
        node = self.node_with_batches()
        other = node.home / "other"
        other.mkdir()
        os.link(node.data / "data.mdb", other / "data.mdb")
        self.assert_alone(node, other)
        (node.data / "data.mdb").unlink()
        self.assert_refused(other, "in use by a")


class Marked(DirectoryCase):
    """An empty directory has a first start. One from which somebody removed what was stored has
    not."""

    def test_no_first_start_where_something_was_removed(self):
        for names in subsets(FILES):
            if "data.mdb" not in names or len(names) == len(FILES):
                continue  # the whole store, or nothing of it
            for size in (None, 0, 100):
                with self.subTest(removed=names, data_mdb=size):
                    node = self.node_with_batches()
                    node.stop()
                    for name in names:
                        (node.data / name).unlink()
                    if size is not None:
                        (node.data / "data.mdb").write_bytes(b"\0" * size)
                    before = sorted(node.data.iterdir())
                    for _ in range(2):
                        self.assert_refused(node.data, str(node.data))
                    self.assertEqual(sorted(node.data.iterdir()), before)

    def test_the_file_alone_is_the_store(self):
        node = self.node_with_batches()
        node.stop()
        for name in FILES[1:]:
            (node.data / name).unlink()
        with Client(node.start()) as client:
            self.assertEqual(client.head(), BATCHES)
        node.stop()
        self.assertEqual((node.data / "node.lock").stat().st_size, 1)


def rename(node):
    node.data.rename(node.home / "elsewhere")


def remove(node):
    shutil.rmtree(node.data)


def replace_by_an_empty_one(node):
    rename(node)
    node.data.mkdir()


def replace_by_a_copy(node):
    rename(node)
    shutil.copytree(node.home / "elsewhere", node.data)


def replace_by_a_link_to_the_file(node):
    rename(node)
    node.data.mkdir()
    os.link(node.home / "elsewhere" / "data.mdb", node.data / "data.mdb")


def rename_what_is_above(node):
    node.data.parent.rename(node.home / "elsewhere")


def remove_the_file(node):
    (node.data / "data.mdb").unlink()


def replace_the_file(node):
    copy = node.data / "copy"
    shutil.copy(node.data / "data.mdb", copy)
    copy.rename(node.data / "data.mdb")


MOVES = (rename, remove, replace_by_an_empty_one, replace_by_a_copy, replace_by_a_link_to_the_file,
         rename_what_is_above, remove_the_file, replace_the_file)


class InPlace(DirectoryCase):
    def started(self):
        node = self.new_node()
        node.data = node.home / "above" / "data"
        node.data.parent.mkdir()
        return node.start()

    def assert_ended(self, node):
        self.assertEqual(node.wait(), 1, node.stderr())
        errors = [line for line in node.stderr().splitlines() if " ERROR " in line]
        self.assertEqual(len(errors), 1, node.stderr())
        self.assertIn(str(node.data), errors[0])
        self.assertNotIn("disk failed", errors[0])
        node.check_log()

    def replies(self, client):
        """All that come until the node has gone: none to what was sent after the move."""
        ids = set()
        while True:
            try:
                ident = unpack(client.recv_body())["id"]
            except ConnectionError:
                return ids
            self.assertFalse(ident.startswith("after"), f"{ident} is answered")
            ids.add(ident)

    def test_idle(self):
        for move in MOVES:
            for kind in ("Ping", "GetStats"):
                with self.subTest(move=move.__name__, kind=kind):
                    node = self.started()
                    with Client(node) as client:
                        client.ask("CreateBatch", ref="b", sku="S", qty=1)
                        move(node)
                        client.send({"type": kind, "id": "after"})
                        self.assertEqual(self.replies(client), set())
                    self.assert_ended(node)

    def test_under_load(self):
        for move in MOVES:
            with self.subTest(move=move.__name__):
                node = self.started()
                with Client(node) as client:
                    client.ask("CreateBatch", ref="b", sku="S", qty=10**6)
                    for number in range(IN_FLIGHT):
                        client.send(self.allocate(f"before-{number}"))
                    first = client.recv()["id"]
                    move(node)
                    for number in range(IN_FLIGHT):
                        client.send(self.allocate(f"after-{number}"))
                    answered = self.replies(client) | {first}
                self.assert_ended(node)
                if (node.home / "elsewhere" / "data.mdb").exists():
                    self.assert_kept(node.home / "elsewhere", answered)

    def allocate(self, ident):
        return {"type": "Allocate", "orderid": ident, "sku": "S", "qty": 1, "id": ident}

    def assert_kept(self, directory, answered):
        """What was answered is where the directory is now."""
        node = self.new_node(data=directory)
        with Client(node.start()) as client:
            causes = {event.get("cause") for event in client.all_events()}
            self.assertLessEqual(answered, causes)
        node.stop()


if __name__ == "__main__":
    unittest.main()
