#!/usr/bin/python3
"""The N-th call of each kind on the store's files fails, once or from there on, for every N."""

import errno
import os
import random
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import DEADLINE, Client, Node, faulty_program
from faults import ERRORS, Campaign, Fault, Script, play
from history import History
from model import Model

RUNS = int(os.environ.get("FAULT_RUNS", "60"))
EVENTS_OF_A_ROUND = 100  # more than that, as the nodes of tests have it
EVERY = os.environ.get("FAULT_EVERY") == "1"
SEED = int(os.environ.get("E2E_SEED", random.randrange(2**32)))


def numbered(requests):
    return [{**request, "id": f"request-{number}"} for number, request in enumerate(requests)]


def first_start():
    """A new directory, and each command and each way to be refused once."""
    requests = numbered([
        {"type": "CreateBatch", "ref": "early", "sku": "A/1", "qty": 10, "eta": "2030-01-01"},
        {"type": "CreateBatch", "ref": "late", "sku": "A/1", "qty": 6, "eta": "2031-01-01"},
        {"type": "Allocate", "orderid": "one", "sku": "A/1", "qty": 4},
        {"type": "Allocate", "orderid": "two", "sku": "A/1", "qty": 5},
        {"type": "Allocate", "orderid": "two", "sku": "A/1", "qty": 5},
        {"type": "Allocate", "orderid": "three", "sku": "A/1", "qty": 100},
        {"type": "ChangeBatchQuantity", "ref": "early", "qty": 4},
        {"type": "ChangeBatchQuantity", "ref": "late", "qty": 0},
        {"type": "GetAllocations", "orderid": "two"},
        {"type": "ChangeBatchEta", "ref": "late", "eta": None},
        {"type": "Deallocate", "orderid": "one", "sku": "A/1"},
        {"type": "CreateBatch", "ref": "early", "sku": "A/1", "qty": 1, "eta": None},
        {"type": "Allocate", "orderid": "one", "sku": "none", "qty": 1},
        {"type": "GetStock", "sku": "A/1"},
    ])
    return Script("first start", [[request] for request in requests])


def with_history():
    """A store that has seen all rules at work, and some more of the same: one by one, in threes,
    and queries between them."""
    model, history = Model(), History(7, skus=5, orders=60, refs=25)
    requests = []
    for number in range(460):
        request = history.next_request(model)
        while request.get("id") in model.replies:  # a repeated one has its place in the end
            request = history.next_request(model)
        model.handle(dict(request))
        requests.append(request)
    steps, rest = [], requests[400:]
    for number in range(0, len(rest), 4):
        query = {"type": "GetStock", "sku": f"SKU/{number % 5}", "id": f"query-{number}"}
        steps += [[rest[number]], rest[number + 1:number + 4] + [query]]
    steps.append([{"type": "GetEvents", "after": 200, "id": "events"}])
    return Script("with history", steps, history=requests[:400])


def large_groups():
    """Thousands of commands at once, so that LMDB writes many pages in a row with one call."""
    batch = {"type": "CreateBatch", "ref": "b", "sku": "A/1", "qty": 10**6, "eta": None}
    lines = [{"type": "Allocate", "orderid": f"order-{number * 7919 % 5000}", "sku": "A/1",
              "qty": 1} for number in range(3000)]
    shrink = {"type": "ChangeBatchQuantity", "ref": "b", "qty": 2000}
    requests = numbered([batch, *lines, shrink])
    return Script("large groups", [requests[:1], requests[1:2001], requests[2001:3001],
                                   requests[3001:]])


def next_segment():
    """Events that do not fit into the first segment of the journal, which has 1 MiB."""
    batch = {"type": "CreateBatch", "ref": "b", "sku": "A/1", "qty": 10**6, "eta": None}
    lines = [{"type": "Allocate", "orderid": f"order-{number}-".ljust(255, "x"), "sku": "A/1",
              "qty": 1} for number in range(2500)]
    requests = numbered([batch, *lines])
    return Script("next segment", [requests[number:number + 500]
                                   for number in range(0, len(requests), 500)])


class IoFaults(unittest.TestCase):
    def test_every_call_may_fail(self):
        scripts = [first_start(), with_history(), large_groups()]
        for script in scripts:
            self.addCleanup(script.close)
        wanted = os.environ.get("FAULT_SCRIPT", "")
        call_wanted = os.environ.get("FAULT_CALL")
        campaign = Campaign([script for script in scripts if wanted in script.name],
                            [(call, error) for call, errors in ERRORS.items() for error in errors
                             if call_wanted in (None, call)])
        if EVERY:
            campaign.every()
        else:
            campaign.some(RUNS, SEED)
        print(f"{campaign.report()} (E2E_SEED={SEED})", file=sys.stderr)
        self.assertEqual(campaign.failures, [], "\n\n".join(campaign.failures[:20]))

    def test_no_call_passes_by(self):
        """By one of the names that the C library has for it as well."""
        listed = subprocess.run(["nm", "--dynamic", "--undefined-only", faulty_program()], text=True,
                                capture_output=True, check=True).stdout
        names = {line.split()[-1].partition("@")[0] for line in listed.splitlines()}
        self.assertIn("dlsym", names)
        others = {form.format(call) for call in ERRORS if call != "pthread_create" and " " not in call
                  for form in ("{}", "{}64", "__{}_2", "__{}64_2", "__{}_chk", "__{}64_chk")}
        self.assertEqual(names & others, set())

    def test_without_a_descriptor(self):
        """Where the next segment of the journal is there and cannot be opened, it is not room that
        is missing."""
        script = next_segment()
        self.addCleanup(script.close)
        for code, forever in ((errno.EMFILE, False), (errno.EMFILE, True), (errno.ENFILE, False)):
            fault = Fault("openat of spare", errno.errorcode[code], 2, forever)  # 1: the first one
            outcome = play(script, fault, DEADLINE)
            self.assertEqual(outcome.kind, "refused storage_failed")
            self.assertIn(f" ERROR the store failed: {os.strerror(code)}: commands are refused\n",
                          outcome.log)

    def test_looking_for_room_takes_none(self):
        """Whenever the node is killed."""
        node = Node()
        self.addCleanup(node.close)
        node.start().stop()
        node.start(faults={**Fault("pwrite of meta", "SHORT", 1, False).environment(node),
                           "ALLOCD_CRASH": "probing_for_room"})
        with Client(node) as client:
            with self.assertRaises(ConnectionError):
                for number in range(EVENTS_OF_A_ROUND):
                    client.ask("CreateBatch", ref=f"b{number}", sku="S", qty=1)
                while True:  # a round is written beside the groups that come
                    client.ask("GetBatch", ref="b0")
            node.wait_killed()
        self.assertEqual({file.name for file in node.data.iterdir()},
                         {"data.mdb", "journal", "lock.mdb", "node.lock"})


if __name__ == "__main__":
    unittest.main()
