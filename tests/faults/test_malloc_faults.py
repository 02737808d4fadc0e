#!/usr/bin/python3
"""The N-th call for memory in the node's own code fails, once or from there on, for every N."""

import os
import random
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import attacks
import zmtp
from allocd import Node
from faults import Campaign, Fault, Script

RUNS = int(os.environ.get("FAULT_RUNS", "60"))
EVERY = os.environ.get("FAULT_EVERY") == "1"
SEED = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
PATIENCE = 0.5  # a reply that there is no memory for does not come

COMMANDS = [
    {"type": "CreateBatch", "ref": "early", "sku": "A/1", "qty": 10, "eta": "2030-01-01"},
    {"type": "CreateBatch", "ref": "late", "sku": "A/1", "qty": 6, "eta": "2031-01-01"},
    {"type": "CreateBatch", "ref": "other", "sku": "B", "qty": 6, "eta": None},
    {"type": "Allocate", "orderid": "one", "sku": "A/1", "qty": 4},
    {"type": "Allocate", "orderid": "two", "sku": "A/1", "qty": 5},
    {"type": "Allocate", "orderid": "two", "sku": "B", "qty": 5},
    {"type": "Allocate", "orderid": "two", "sku": "A/1", "qty": 5},
    {"type": "Allocate", "orderid": "three", "sku": "A/1", "qty": 100},
    {"type": "ChangeBatchQuantity", "ref": "early", "qty": 4},
    {"type": "ChangeBatchQuantity", "ref": "late", "qty": 0},
    {"type": "ChangeBatchEta", "ref": "late", "eta": None},
    {"type": "Allocate", "orderid": "one", "sku": "A/1", "qty": 9},
    {"type": "Deallocate", "orderid": "one", "sku": "A/1"},
    {"type": "CreateBatch", "ref": "early", "sku": "A/1", "qty": 1, "eta": None},
    {"type": "Allocate", "orderid": "one", "sku": "none", "qty": 1},
    {"type": "ChangeBatchQuantity", "ref": "none", "qty": 1},
    {"type": "Allocate", "orderid": "one", "sku": "A/1", "qty": -1},
]
QUERIES = [
    {"type": "GetAllocations", "orderid": "two"},
    {"type": "GetAllocations", "orderid": "none"},
    {"type": "GetStock", "sku": "A/1"},
    {"type": "ListBatches", "sku": "A/1", "limit": 1},
    {"type": "GetBatch", "ref": "late"},
    {"type": "ListProducts", "after": "A/1"},
    {"type": "GetEvents", "limit": 5, "types": ["Allocated", "Deallocated"]},
    {"type": "GetEvents", "after": 3, "sku": "A/1"},
    {"type": "GetStats"},
    {"type": "Ping"},
]


def numbered(requests, prefix):
    return [{**request, "id": f"{prefix}-{number}"} for number, request in enumerate(requests)]


def script(directory):
    """Each command and query by itself, all queries at once, and enough commands in one group for
    whatever grows to grow; on a store that is opened with a configuration file and an upstream."""
    config = Path(directory) / "allocd.conf"
    config.write_text('store\n    cache_mib = 16\n    events_behind = 50\nlog\n    level = info\n')
    batches = [{"type": "CreateBatch", "ref": f"batch-{number}", "sku": f"SKU-{number % 40}",
                "qty": 5, "eta": None} for number in range(120)]
    lines = [{"type": "Allocate", "orderid": f"order-{number}", "sku": f"SKU-{number % 40}",
              "qty": 5} for number in range(120)]
    shrink = [{"type": "ChangeBatchQuantity", "ref": f"batch-{number}", "qty": 0}
              for number in range(120)]
    steps = [[request] for request in numbered(COMMANDS, "command")]
    steps += [[request] for request in numbered(QUERIES, "query")]
    steps += [numbered(QUERIES, "again"), numbered(batches, "batch"), numbered(lines, "line"),
              numbered(shrink, "shrink")]
    return Script("every message", steps, arguments=(
        "--config", config, "--upstream", "ipc://" + str(Path(directory) / "nobody")))


class MallocFaults(unittest.TestCase):
    def test_memory_may_end_anywhere(self):
        directory = tempfile.TemporaryDirectory(prefix="allocd-e2e-")
        self.addCleanup(directory.cleanup)
        campaign = Campaign([script(directory.name)], [("malloc", "ENOMEM")], PATIENCE)
        if EVERY:
            campaign.every()
        else:
            campaign.some(RUNS, SEED)
        print(f"{campaign.report()} (E2E_SEED={SEED})", file=sys.stderr)
        self.assertEqual(campaign.failures, [], "\n\n".join(campaign.failures[:20]))

    @staticmethod
    def is_answered(node):
        try:
            with zmtp.Peer(node.commands, b"DEALER", 10 * PATIENCE) as peer:
                peer.send(attacks.request({"type": "GetStats"}))
                return len(peer.message()) == 2
        except (ConnectionError, TimeoutError):
            return False

    def test_a_lone_request(self):
        """Nothing follows it, so that it is the last that its client is owed."""
        replies = Counter()
        for nth in range(30, 90):
            with self.subTest(nth):
                node, fault = Node(), Fault("malloc", "ENOMEM", nth, forever=False)
                self.addCleanup(node.close)
                try:
                    node.start(faults=fault.environment(node))
                except RuntimeError:
                    continue # it lacked for the start
                answered = [self.is_answered(node) for _ in range(4)]
                self.assertGreaterEqual(sum(answered), 3, answered)
                replies.update(answered)
                node.stop()
        print(f"lone requests that were answered: {dict(replies)}", file=sys.stderr)
        self.assertGreater(replies[False], 0)


if __name__ == "__main__":
    unittest.main()
