#!/usr/bin/python3
"""allocd --verify: says what it looked at, exits 0 for a whole store and 1 for any other, and
changes nothing. A start looks at the pages by itself, up to store/check_mib."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, run_allocd
from history import History
from model import Model

COMMANDS = 2000
PAGE = 4096


def files(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


class Verify(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.close)
        self.node.start()

    def fill(self):
        client, model, history = Client(self.node), Model(), History(5)
        for _ in range(COMMANDS):
            request = history.next_request(model)
            model.handle(dict(request))
            client.send(request)
        for _ in range(COMMANDS):
            client.recv()
        client.close()

    def verify(self, directory=None):
        return run_allocd("--verify", "--data", directory or self.node.data)

    def test_a_whole_store(self):
        self.fill()
        self.node.stop()
        before = files(self.node.data)
        result = self.verify()
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(result.stdout.splitlines()[-1], f"the store {self.node.data} is whole")
        self.assertRegex(result.stdout, r"(?m)^events: \d+ entries, seq 1\.\.\d+: ok$")
        self.assertEqual(result.stderr, "")
        self.assertEqual(files(self.node.data), before)

    def test_one_that_was_killed(self):
        self.fill()
        self.node.kill9()
        before = files(self.node.data)
        self.assertEqual(self.verify().returncode, 0)
        self.assertEqual(files(self.node.data), before)

    def test_one_in_use_and_one_that_is_missing(self):
        result = self.verify()
        self.assertEqual(result.returncode, 1)
        self.assertIn("is in use by another node", result.stdout)
        result = self.verify(f"{self.node.data}/missing")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not there", result.stdout)
        self.assertFalse(Path(self.node.data, "missing").exists())

    def test_a_damaged_one(self):
        """A bit in the header of a page in use: LMDB would not notice, and hide what is there. A
        start makes the tables anew."""
        self.fill()
        self.node.stop()
        found = 0
        data = Path(self.node.data, "data.mdb")
        whole = data.read_bytes()
        for page in range(2, len(whole) // PAGE):
            bytes_ = bytearray(whole)
            bytes_[page * PAGE + 12] ^= 0x04
            data.write_bytes(bytes_)
            result = self.verify()
            if result.returncode == 0:
                continue  # a free page
            what = rf"the tables in {data} are damaged: (page \d+|the counts) of table .+"
            self.assertRegex(result.stdout, f"(?m)^pages: {what}$")
            self.assertIn("is damaged: ", result.stdout.splitlines()[-1])
            self.node.start().stop()
            self.assertRegex(self.node.stderr(),
                             f" WARN {what}: they were made anew from the journal\n")
            self.assertEqual(self.verify().returncode, 0)
            found += 1
            if found == 3:
                break
        self.assertEqual(found, 3)

    def test_a_damaged_journal(self):
        """A bit anywhere before its end; what is behind it is zeros."""
        self.fill()
        self.node.stop()
        segment = next(Path(self.node.data, "journal").glob("*.segment"))
        whole = segment.read_bytes()
        used = len(whole.rstrip(b"\0"))
        for place in [0, 16, 63, PAGE - 1, PAGE, *range(PAGE + 1, used, used // 20), used - 1]:
            with self.subTest(place=place, of=used):
                bytes_ = bytearray(whole)
                bytes_[place] ^= 0x04
                segment.write_bytes(bytes_)
                result = self.verify()
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertIn("is damaged: ", result.stdout.splitlines()[-1])
                result = run_allocd("--data", self.node.data, "--commands", "tcp://127.0.0.1:*",
                                    "--events", "tcp://127.0.0.1:*")
                self.assertEqual(result.returncode, 1)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn(f"the journal {self.node.data}/journal is damaged: ", result.stderr)
                self.assertEqual(segment.read_bytes(), bytes_)
        segment.write_bytes(whole)
        self.assertEqual(self.verify().returncode, 0)

    def test_a_store_above_the_limit(self):
        self.fill()
        self.node.stop()
        config = Path(self.node.data).parent / "check.conf"
        config.write_text("store\n    check_mib = 0\n")
        node = Node("--config", config, data=self.node.data)
        self.addCleanup(node.close)
        node.start()
        node.stop()
        self.assertIn("allocd --verify looks at all of them", node.stderr())


if __name__ == "__main__":
    unittest.main()
