#!/usr/bin/python3
"""The power is cut at each point of a node's life, in all the ways in which a disk may lose what was
not synced: what is left is whole, and holds all that had left the node.

allocd-faulty writes down what it does to its files and what it sends (tests/faults/recorder.c) while
it lives one of the short lives below. The program power_loss makes of that the states that a cut can
leave, and judges each. Nothing would be shown if it could not fail: with a disk that lies about its
syncs it must find something wrong.

POWER_STATES (5,000) says how many states, POWER_SEED which ones.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, Subscriber, program
from history import History
from model import Model

STATES = int(os.environ.get("POWER_STATES", "5000"))
SEED = int(os.environ.get("POWER_SEED", "0")) or random.randrange(1, 2**31)
STATES_OF_A_LIFE = 2000
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
LIVES = {}


def life(function):
    """A life that a node may have: all of it is one trace."""
    LIVES[function.__name__] = function
    return function


class Recorded:
    """A node that is started once or oftener on one directory, and the trace of that."""

    def __init__(self, seed):
        self.home = tempfile.TemporaryDirectory(prefix="allocd-power-", dir=MEMORY)
        self.random = random.Random(seed)
        self.node = Node(data=Path(self.home.name) / "node" / "data")
        self.node.data.parent.mkdir()
        self.model = Model()
        self.history = History(self.random.random(), skus=5, orders=200, refs=30)
        self.traces = []
        self.figures = Counter()  # replies, by their error
        self.client = self.subscriber = None

    def launch(self, **faults):
        self.traces.append(f"{self.home.name}/trace.{len(self.traces)}")
        self.node.launch(faults={"ALLOCD_WATCH": str(self.node.data),
                                 "ALLOCD_TRACE": self.traces[-1], **faults})

    def start(self, **faults):
        self.launch(**faults)
        self.node.wait_ready()
        self.client, self.subscriber = Client(self.node), Subscriber(self.node)

    def leave(self):
        for socket in (self.client, self.subscriber):
            if socket is not None:
                socket.close()

    def send(self, count):
        """So many requests, which the node finds all at once: they are one group."""
        self.node.send_signal(signal.SIGSTOP)
        for _ in range(count):
            request = self.history.next_request(self.model)
            self.model.handle(dict(request))
            self.client.send(request)
        self.node.send_signal(signal.SIGCONT)

    def live(self, count, at_once):
        for _ in range(count):
            size = self.random.randint(*at_once)
            self.send(size)
            for _ in range(size):
                self.figures[self.client.recv().get("error")] += 1

    def stop(self):
        self.leave()
        self.node.stop()

    def kill(self):
        self.leave()
        self.node.kill9()

    def close(self):
        self.leave()
        self.node.close()
        self.home.cleanup()


@life
def one_by_one(node):
    """A first start, and commands each of which is a commit."""
    node.start()
    node.live(70, (1, 1))
    node.stop()


@life
def groups(node):
    node.start()
    node.live(25, (1, 30))
    node.stop()


@life
def large_groups(node):
    """Hundreds of commands in a commit; the file grows."""
    node.start()
    node.live(3, (100, 400))
    node.stop()


@life
def displacement(node):
    """Many lines lose their stock and find it again, in one commit."""
    node.start()
    client = node.client
    for ref, qty in (("a", 200), ("b", 60), ("c", 0)):
        client.ask("CreateBatch", ref=ref, sku="CHAIR", qty=qty or 1, id=f"make-{ref}")
    lines = [{"type": "Allocate", "orderid": f"order-{n}", "sku": "CHAIR", "id": f"line-{n}",
              "qty": node.random.randint(1, 3)} for n in range(90)]
    client.pipeline(lines)
    for turn in range(8):
        ref, qty = node.random.choice("abc"), node.random.choice([0, 20, 70, 150, 250])
        client.request("ChangeBatchQuantity", ref=ref, qty=qty, id=f"turn-{turn}")
    node.stop()


@life
def restarts(node):
    """Stopped, and killed with requests in flight; the file is taken on as it is."""
    node.start()
    node.live(10, (1, 20))
    node.stop()
    node.start()
    node.live(5, (1, 20))
    node.send(node.random.randint(1, 200))
    node.kill()
    node.start()
    node.live(8, (1, 20))
    node.stop()


@life
def killed_at_once(node):
    """A first start that dies at one of its first steps, and the one after it."""
    points = ["directory_locked", "before_tables", "after_tables", "before_mark"]
    node.launch(ALLOCD_CRASH=node.random.choice(points))
    node.node.wait_killed()
    node.start()
    node.live(20, (1, 3))
    node.stop()


@life
def full_disk(node):
    """A write fails for want of space: the commit fails half-way and others follow. Where it was
    the write to a meta page the node ends, and is started again."""
    fault, first, last = node.random.choice([
        ("pwrite:ENOSPC", 15, 60), ("writev:ENOSPC", 1, 15), ("writev:SHORT", 1, 15),
        ("fdatasync:ENOSPC", 2, 25)])
    node.start(ALLOCD_FAULT=f"{fault}:{node.random.randint(first, last)}")
    try:
        node.live(30, (1, 12))
    except ConnectionError:
        node.leave()
        node.figures["ended"] += 1
        assert node.node.wait() == 1, node.node.stderr()
        node.start()
        node.live(10, (1, 12))
    node.stop()


@life
def cut_off_commit(node):
    """A meta page cannot be written. LMDB writes half of it back, and the node what was there; the
    power goes between the two."""
    error = node.random.choice(["ENOSPC", "EIO", "SHORT"])
    node.start(ALLOCD_FAULT=f"pwrite of meta:{error}:{node.random.randint(2, 20)}")
    try:
        node.live(30, (1, 12))
        raise AssertionError("the node did not end")
    except ConnectionError:
        node.leave()
    assert node.node.wait() == 1, node.node.stderr()
    node.start()
    node.live(5, (1, 12))
    node.stop()


@life
def cut_off_first_commit(node):
    """The same with the commit that makes the tables."""
    node.launch(ALLOCD_FAULT="pwrite of meta:EIO:1")
    assert node.node.wait() == 1, node.node.stderr()
    node.start()
    node.live(5, (1, 3))
    node.stop()


def record(name, seed):
    node = Recorded(seed)
    try:
        LIVES[name](node)
    except BaseException:
        node.close()
        raise
    return node


def replay(node, seed, states, lies="none"):
    """What power_loss says of a trace: its figures, and what it found wrong."""
    with tempfile.TemporaryDirectory(prefix="allocd-power-", dir=MEMORY) as work:
        result = subprocess.run(
            [program("POWER_LOSS", "tests/power_loss"), "--work", work, "--end",
             str(node.node.data / "data.mdb"), "--states", str(states),
             "--seed", str(seed), "--lies", lies, *node.traces],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    if result.returncode not in (0, 1):
        raise AssertionError(f"power_loss: exit {result.returncode}: {result.stderr[-3000:]}")
    return json.loads(result.stdout), result.stderr


class PowerLoss(unittest.TestCase):
    def setUp(self):
        print(f"\nPOWER_SEED={SEED} POWER_STATES={STATES}", file=sys.stderr, flush=True)

    def test_any_cut_leaves_what_was_told(self):
        figures = Counter()
        names = sorted(LIVES)
        share = min(STATES_OF_A_LIFE, -(-STATES // len(names)))
        number = 0
        with ThreadPoolExecutor(2) as pool:
            while figures["states"] < STATES:
                lives = [(names[(number + i) % len(names)], SEED + number + i)
                         for i in range(len(names))]
                number += len(lives)
                for (name, seed), (found, complaints) in zip(
                        lives, pool.map(lambda life: self.live(*life, share), lives)):
                    self.assertEqual(found["wrong"], 0, f"{name}, seed {seed}: {complaints}")
                    figures["waiting_max"] = max(figures["waiting_max"], found.pop("waiting_max"))
                    figures.update(found)
                    figures["lives"] += 1
        for what, count in figures.items():
            print(f"{what}: {count}", file=sys.stderr)
        for what in ("torn", "subset", "meta_in_flight", "entries_in_doubt", "went_on", "finished"):
            self.assertGreater(figures[what], 0, what)

    def live(self, name, seed, states):
        node = record(name, seed)
        try:
            figures, complaints = replay(node, seed, states)
            figures["storage_full"] = node.figures["storage_full"]
            figures["nodes that ended"] = node.figures["ended"]
            return figures, complaints
        finally:
            node.close()

    def test_a_disk_that_lies_is_noticed(self):
        """In one of a few lives: in a short one the lie may do no harm."""
        for lies in ("file", "meta"):
            for seed in range(SEED, SEED + 10):
                node = record("groups", seed)
                self.addCleanup(node.close)
                found, complaints = replay(node, seed, 300, lies)
                if found["wrong"] > 0:
                    break
            self.assertGreater(found["wrong"], 0, f"{lies}: nothing was noticed")
            self.assertIn("WRONG", complaints)


if __name__ == "__main__":
    unittest.main()
