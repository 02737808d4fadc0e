"""A shutdown in which libzmq does not survive, or never ends: all is stored and sent by then, and the
node ends with status 0."""

import time
import unittest

from allocd import Client, Node

END_SECONDS = 5


class Shutdown(unittest.TestCase):
    def end_with(self, fault):
        node = Node()
        self.addCleanup(node.close)
        fired = node.home / "fired"
        node.launch(faults={"ALLOCD_WATCH": str(node.data), "ALLOCD_FAULT": fault,
                            "ALLOCD_FAULT_FIRED": str(fired)})
        node.wait_ready()
        with Client(node) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=10)
            begin = time.monotonic()
            node.stop()
            self.assertLess(time.monotonic() - begin, END_SECONDS)
        self.assertTrue(fired.exists(), "the fault has come to pass")
        node.start()
        with Client(node) as client:
            self.assertEqual(client.ask("GetStock", sku="S")["available"], 10)

    def test_libzmq_aborts(self):
        self.end_with("ctx_term aborts:EIO:1")

    def test_libzmq_hangs(self):
        self.end_with("ctx_term hangs:EIO:1:forever")


if __name__ == "__main__":
    unittest.main()
