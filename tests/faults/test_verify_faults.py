#!/usr/bin/python3
"""allocd --verify whose N-th call fails, for every N: it never calls a damaged store whole."""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import COMPLAINTS, DEADLINE, Client, Node, faulty_program
from faults import ERRORS, NTH_MAX, Fault

LINES = 12


class VerifyFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole, cls.damaged, cls.lost = Node(), Node(), Node()
        for node in (cls.whole, cls.damaged, cls.lost):
            cls.addClassCleanup(node.close)
        with Client(cls.whole.start()) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=1000, id="first")
            for number in range(LINES):
                client.ask("Allocate", orderid=f"order-{number}", sku="S", qty=1)
            client.ask("ChangeBatchQuantity", ref="b", qty=LINES // 2)
        cls.whole.stop()
        for node, name in ((cls.damaged, "data.mdb"), (cls.lost, "journal/*.segment")):
            shutil.copytree(cls.whole.data, node.data)
            file = next(node.data.glob(name))
            file.write_bytes(file.read_bytes().replace(b"order-7", b"order-6"))

    def verify(self, node, fault):
        """Its status, and whether the fault fired."""
        (node.home / "fired").unlink(missing_ok=True)
        result = subprocess.run([faulty_program(), "--verify", "--data", str(node.data)], text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE,
                                env={**os.environ, **(fault.environment(node) if fault else {})})
        told = result.stdout + result.stderr
        self.assertIn(result.returncode, (0, 1), f"{fault}: {told}")
        self.assertNotRegex(told, COMPLAINTS)
        self.assertEqual(" is whole" in result.stdout, result.returncode == 0, f"{fault}: {told}")
        self.assertGreater(len(told), 0, fault)
        return result.returncode, fault is not None and fault.has_fired(node)

    def play(self, node, allowed):
        runs = 0
        pairs = [(call, error) for call, errors in ERRORS.items() for error in errors]
        for call, error in [("malloc", "ENOMEM"), *pairs]:
            for forever in (False, True):
                if forever and error == "EINTR":
                    continue  # no signal comes for ever
                for nth in range(1, NTH_MAX):
                    fault = Fault(call, error, nth, forever)
                    status, fired = self.verify(node, fault)
                    if not fired:
                        break
                    runs += 1
                    self.assertIn(status, allowed, fault)
        print(f"{runs} faults", file=sys.stderr)

    def test_damaged_tables(self):
        self.assertEqual(self.verify(self.damaged, None)[0], 1)
        self.play(self.damaged, (1,))

    def test_a_damaged_journal(self):
        self.assertEqual(self.verify(self.lost, None)[0], 1)
        self.play(self.lost, (1,))

    def test_a_whole_store(self):
        self.assertEqual(self.verify(self.whole, None)[0], 0)
        self.play(self.whole, (0, 1))
        self.assertEqual(self.verify(self.whole, None)[0], 0)


if __name__ == "__main__":
    unittest.main()
