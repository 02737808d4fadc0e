#!/usr/bin/python3
"""What others do to the data directory: two nodes never write one store, whatever files are removed,
and a node whose store is no longer where it was ends before it says ok again."""

import itertools
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import ANY_PORT, Client, Node, run_allocd, unpack

FILES = ("data.mdb", "journal", "lock.mdb", "node.lock")
BATCHES = 15
IN_FLIGHT = 400
COMMANDS_MAX = 20_000


def take_away(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def newest_segment(node):
    return max((node.data / "journal").glob("*.segment"))


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
        try:
            result = run_allocd("--data", directory, "--commands", ANY_PORT, "--events", ANY_PORT)
        except subprocess.TimeoutExpired:
            self.fail(f"a node serves {directory}")
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
        for names in subsets(("lock.mdb", "node.lock")):
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

    def test_the_tables_in_another_directory(self):
        """By a name of their own there, or moved there."""
        node = self.node_with_batches()
        other = node.home / "other"
        shutil.copytree(node.data, other)
        (other / "data.mdb").unlink()
        os.link(node.data / "data.mdb", other / "data.mdb")
        self.assert_alone(node, other)
        (node.data / "data.mdb").unlink()
        self.assert_refused(other, "in use by a")

    def test_the_journal_in_another_directory(self):
        """By a link, or moved there."""
        node = self.node_with_batches()
        other = node.home / "other"
        other.mkdir()
        (other / "journal").symlink_to(node.data / "journal")
        self.assert_alone(node, other)
        (other / "journal").unlink()
        (node.data / "journal").rename(other / "journal")
        self.assert_refused(other, "in use by a")

    def test_its_segments_in_another_directory(self):
        """As a copy has them that is made of links."""
        node = self.node_with_batches()
        other = node.home / "other"
        shutil.copytree(node.data, other, copy_function=os.link)
        (other / "data.mdb").unlink()  # which is locked too
        before = newest_segment(node).read_bytes()
        self.assert_alone(node, other)
        self.assertEqual(newest_segment(node).read_bytes(), before)

    def test_the_next_segment_in_another_directory(self):
        """One that a running node has begun is locked as the one is that it began with."""
        node = self.node_with_batches()
        first = newest_segment(node)
        with Client(node) as client:
            for number in range(BATCHES, COMMANDS_MAX, IN_FLIGHT):
                client.pipeline({"type": "CreateBatch", "ref": f"b{ref}", "sku": "S" * 60, "qty": 1}
                                for ref in range(number, number + IN_FLIGHT))
                if newest_segment(node) != first:
                    break
            self.assertNotEqual(newest_segment(node), first)
            head = client.head()
        other = node.home / "other"
        shutil.copytree(node.data, other, copy_function=os.link)
        (other / "data.mdb").unlink()
        self.assert_refused(other, "in use by a")
        with Client(node) as client:
            self.assertEqual(client.head(), head)


class Marked(DirectoryCase):
    """An empty directory has a first start. One from which somebody removed what was stored has
    not."""

    def assert_all_there(self, node):
        with Client(node.start()) as client:
            self.assertEqual(client.head(), BATCHES)
            self.assertEqual(client.ask("GetStock", sku="S")["available"], BATCHES)
        node.stop()
        self.assertEqual(run_allocd("--verify", "--data", node.data).returncode, 0)

    def assert_refused_and_unchanged(self, node, *naming):
        before = {path: path.is_file() and path.read_bytes() for path in node.data.rglob("*")}
        for _ in range(2):
            self.assert_refused(node.data, str(node.data), *naming)
        self.assertEqual({path: path.is_file() and path.read_bytes()
                          for path in node.data.rglob("*")}, before)

    def test_no_first_start_where_something_was_removed(self):
        """With a marker that is not empty and no journal it may as well be a store of before there
        was one."""
        for names in subsets(FILES):
            if "journal" not in names or len(names) == len(FILES):
                continue  # the whole store, or nothing of it
            for size in (None, 0, 100):
                with self.subTest(removed=names, data_mdb=size):
                    node = self.node_with_batches()
                    node.stop()
                    for name in names:
                        take_away(node.data / name)
                    if size is not None:
                        (node.data / "data.mdb").write_bytes(b"\0" * size)
                    self.assert_refused_and_unchanged(node, "has no journal", "older allocd")

    def test_a_journal_that_lacks_its_segments(self):
        for names in subsets(("*.segment", "mark")):
            if "*.segment" not in names:
                continue
            with self.subTest(removed=names):
                node = self.node_with_batches()
                node.stop()
                for name in names:
                    for file in (node.data / "journal").glob(name):
                        file.unlink()
                self.assert_refused(node.data, str(node.data), "is damaged: its segments are gone")

    def test_the_journal_alone_is_the_store(self):
        """Tables are made anew, and the log says so; the mark says only what is there."""
        for names in subsets(("data.mdb", "lock.mdb", "node.lock", "journal/mark")):
            with self.subTest(removed=names):
                node = self.node_with_batches()
                node.stop()
                for name in names:
                    take_away(node.data / name)
                self.assert_all_there(node)
                self.assertEqual((node.data / "node.lock").stat().st_size, 1)
                warnings = [line for line in node.stderr().splitlines() if " WARN " in line]
                self.assertEqual(len(warnings), "data.mdb" in names, warnings)
                for line in warnings:
                    self.assertIn("data.mdb are missing: they were made anew", line)

    def test_tables_of_another_store(self):
        """They do not follow from this journal, whatever they say."""
        node, other = self.node_with_batches(), self.new_node()
        with Client(other.start()) as client:
            client.ask("CreateBatch", ref="other", sku="S", qty=1)
        for each in (node, other):
            each.stop()
        shutil.copy(other.data / "data.mdb", node.data / "data.mdb")
        verified = run_allocd("--verify", "--data", node.data)
        self.assertEqual(verified.returncode, 1, verified.stdout)
        self.assert_all_there(node)
        self.assertIn("do not follow from its journal: they were made anew", node.stderr())

    def test_a_journal_that_is_older_than_the_tables(self):
        """It lost what its tables have: somebody brought back an old copy."""
        node = self.node_with_batches()
        node.stop()
        shutil.copytree(node.data / "journal", node.home / "old")
        with Client(node.start()) as client:
            client.ask("CreateBatch", ref="newer", sku="S", qty=1)
        node.stop()
        take_away(node.data / "journal")
        (node.home / "old").rename(node.data / "journal")
        self.assert_refused(node.data, str(node.data), "damaged")


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


def replace_by_links_to_the_files(node):
    rename(node)
    shutil.copytree(node.home / "elsewhere", node.data, copy_function=os.link)


def rename_what_is_above(node):
    node.data.parent.rename(node.home / "elsewhere")


def remove_the_tables(node):
    (node.data / "data.mdb").unlink()


def replace_the_tables(node):
    copy = node.data / "copy"
    shutil.copy(node.data / "data.mdb", copy)
    copy.rename(node.data / "data.mdb")


def rename_the_journal(node):
    (node.data / "journal").rename(node.home / "journal")


def remove_the_journal(node):
    shutil.rmtree(node.data / "journal")


def replace_the_journal(node):
    rename_the_journal(node)
    shutil.copytree(node.home / "journal", node.data / "journal")


def rename_the_segment(node):
    segment = newest_segment(node)
    segment.rename(segment.with_suffix(".away"))


def remove_the_segment(node):
    newest_segment(node).unlink()


def replace_the_segment(node):
    segment, copy = newest_segment(node), node.data / "copy"
    shutil.copy(segment, copy)
    copy.rename(segment)


MOVES = (rename, remove, replace_by_an_empty_one, replace_by_a_copy, replace_by_links_to_the_files,
         rename_what_is_above, remove_the_tables, replace_the_tables, rename_the_journal,
         remove_the_journal, replace_the_journal, rename_the_segment, remove_the_segment,
         replace_the_segment)
LOSING = (remove, remove_the_journal, remove_the_segment, replace_the_segment)


def bring_back(node):
    """Makes a store of what the node wrote again, and says where it is."""
    elsewhere, journal = node.home / "elsewhere", node.data / "journal"
    if elsewhere.exists():
        return elsewhere if (elsewhere / "journal").exists() else elsewhere / "data"
    if (node.home / "journal").exists():
        shutil.rmtree(journal, ignore_errors=True)
        (node.home / "journal").rename(journal)
    for segment in journal.glob("*.away"):
        segment.rename(segment.with_suffix(".segment"))
    return node.data


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
                if move not in LOSING:
                    self.assert_kept(bring_back(node), answered)

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
