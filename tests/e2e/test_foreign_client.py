#!/usr/bin/python3
"""The client of the README, which knows nothing but pyzmq and msgpack, gets its answers."""

import ast
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import DEADLINE, ROOT, NodeCase, plain

EXAMPLE = Path(__file__).resolve().parent / "foreign_client.py"


class ForeignClient(NodeCase):
    def play(self):
        result = subprocess.run([sys.executable, EXAMPLE, self.node.commands], text=True,
                                capture_output=True, timeout=DEADLINE)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [plain(ast.literal_eval(line)) for line in result.stdout.splitlines()]

    def test_it_is_answered(self):
        stock = {"ok": True, "sku": "RED-CHAIR", "version": 2, "available": 18, "exhausted": 0,
                 "batches": [{"ref": "batch-001", "qty": 20, "available": 18, "eta": None}]}
        allocated = {"ok": True, "seq": 2, "id": "order-1/RED-CHAIR", "batchref": "batch-001"}
        self.assertEqual(self.play(), [{"ok": True, "seq": 1}, allocated, stock])
        self.assertEqual(self.play(), [{"ok": True, "seq": 2, "duplicate": True}, allocated, stock])

    def test_it_is_short(self):
        self.assertLessEqual(len(EXAMPLE.read_text().splitlines()), 12)

    def test_the_readme_shows_it(self):
        readme = ROOT / "README.md"
        if not readme.exists():
            self.skipTest("LEFT OUT: there is no README.md")
        self.assertIn(EXAMPLE.read_text(), readme.read_text())


if __name__ == "__main__":
    unittest.main()
