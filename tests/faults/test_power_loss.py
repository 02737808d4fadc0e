#!/usr/bin/python3
"""The power is cut at each point of a node's life, in all the ways in which a disk may lose what was
not synced: what is left is whole, and holds all that had left the node.

allocd-faulty writes down what it does to its files and what it sends (tests/faults/recorder.c) while
it lives one of the short lives below. The program power_loss makes of that the states that a cut can
leave, and judges each. Nothing would be shown if it could not fail: with a disk that lies about its
syncs it must find something wrong.

POWER_STATES (2,000) says how many states, POWER_SEED which ones; POWER_LIVES names some of the lives.
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

from allocd import program
from recorded import MEMORY, Recorded

STATES = int(os.environ.get("POWER_STATES", "2000"))
SEED = int(os.environ.get("POWER_SEED", "0")) or random.randrange(1, 2**31)
WANTED = [name for name in os.environ.get("POWER_LIVES", "").split(",") if name]
STATES_OF_A_LIFE = 2000
LINES = 2200  # that move in one entry of two parts in one segment, and
MANY_LINES = 6000  # in parts in three segments
MENDING = ["journal_cutting", "journal_cut", "journal_opened:1", "journal_opened:2",
           "journal_before_rename", "before_tables", "rebuilding", "replaying:3"]
FIRST_STEPS = ["directory_locked", "journal_before_preparing", "journal_preparing",
               "journal_prepared", "journal_before_rename", "journal_after_rename",
               "journal_directory_synced", "before_tables", "after_tables", "before_mark"]
SEEN = ("torn", "subset", "meta_in_flight", "names_in_doubt", "renames_in_doubt", "stuck", "cut",
        "rebuilt", "no_more_than_told", "went_on", "states after a cut")
SEEN_AMONG_MANY = ("refused_and_there",)  # rarer, so that a short run may do without
MANY_STATES = 10000
LIVES = {}


def life(function):
    """A life that a node may have: all of it is one trace."""
    LIVES[function.__name__] = function
    return function


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
    """Stopped, and killed with requests in flight; the files are taken on as they are."""
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
    node.launch(ALLOCD_CRASH=node.random.choice(FIRST_STEPS))
    node.node.wait_killed()
    node.start()
    node.live(20, (1, 3))
    node.stop()


@life
def full_disk(node):
    """A call fails for want of space, and the groups behind it do not. Where nobody can tell what is
    stored the node ends, and is started again."""
    fault, first, last = node.random.choice([
        ("pwritev:ENOSPC", 1, 25), ("pwritev:SHORT", 1, 25), ("fdatasync:ENOSPC", 3, 30),
        ("pwrite:ENOSPC", 15, 60), ("writev:ENOSPC", 1, 5), ("writev:SHORT", 1, 5)])
    node.start(ALLOCD_FAULT=f"{fault}:{node.random.randint(first, last)}")
    node.live_or_end(30, (1, 12))
    node.stop()


@life
def refused(node):
    """Where it is the sync of an entry that finds no room, all of it is written, and taken back."""
    node.node.set_events_behind(10**6)
    node.start(ALLOCD_FAULT=f"fdatasync:ENOSPC:{node.random.randint(3, 12)}")
    node.live(20, (1, 20))
    node.stop()


@life
def failed_sync(node):
    """A sync fails: the node ends, and the next start finds what may be in memory alone, and never
    on disk."""
    node.node.set_events_behind(10**6)
    call, first, last = node.random.choice([("fdatasync", 3, 20), ("fdatasync", 3, 6),
                                            ("pwritev", 1, 25)])
    node.start(ALLOCD_FAULT=f"{call}:EIO:{node.random.randint(first, last)}")
    node.live_or_end(30, (1, 4))
    node.stop()


@life
def rolling(node):
    """Groups of all sizes, until they stand in a third segment; some of the steps to a segment
    fail. (A first start syncs eight times by fsync.)"""
    fault = node.random.choice([{}, {}, {"ALLOCD_FAULT": "renameat:ENOSPC:2"},
                                {"ALLOCD_FAULT": f"fsync:ENOSPC:{node.random.randint(9, 13)}"},
                                {"ALLOCD_FAULT": f"openat:ENOSPC:{node.random.randint(12, 17)}"}])
    node.start(**fault)
    # It ends where nobody can tell whether a name is on disk.
    node.or_end(node.fill, 3400, node.random.choice([(1, 40), (20, 300)]))
    node.live_or_end(5, (1, 10))
    node.stop()


@life
def killed_while_rolling(node):
    """It dies at a step to the next segment, and goes on with what is there."""
    point = node.random.choice(["journal_before_preparing:2", "journal_preparing:2",
                                "journal_preparing:3", "journal_prepared:2",
                                "journal_before_rename:2", "journal_after_rename:2",
                                "journal_directory_synced:2"])
    node.start(ALLOCD_CRASH=point)
    try:
        node.fill(2000, (1, 60))
        raise AssertionError(f"the node did not pass {point}")
    except ConnectionError:
        node.leave()
    node.node.wait_killed()
    node.start()
    node.live(20, (1, 10))
    node.stop()


@life
def rounds(node):
    """Tables are written between the groups, in rounds of a few events."""
    node.node.set_events_behind(node.random.choice([1, 5, 20]))
    node.start()
    node.live(40, (1, 12))
    node.stop()


@life
def failed_rounds(node):
    """Tables cannot be written: the round is written again, or the node ends and starts again."""
    node.node.set_events_behind(10)
    fault, last = node.random.choice([("pwrite of meta:ENOSPC", 8), ("pwrite of meta:EIO", 8),
                                      ("pwrite of meta:SHORT", 8), ("writev:EIO", 8),
                                      ("writev:ENOSPC", 8), ("fdatasync:EIO", 12),
                                      ("fdatasync:ENOSPC", 12)])
    node.start(ALLOCD_FAULT=f"{fault}:{node.random.randint(3, last)}")  # the first two: its start
    node.live_or_end(30, (1, 12))
    node.stop()


@life
def killed_in_a_round(node):
    node.node.set_events_behind(node.random.choice([5, 30]))
    point = node.random.choice(["projecting", "before_projected", "projected"])
    node.start(ALLOCD_CRASH=f"{point}:{node.random.randint(1, 3)}")
    try:
        node.live(40, (1, 12))
        node.stop()
    except ConnectionError:
        node.leave()
        node.node.wait_killed()
    node.start()
    node.live(10, (1, 12))
    node.stop()


@life
def large_entry(node):
    """A batch is shrunk under thousands of lines, which is one entry in several segments."""
    node.allocate_many(MANY_LINES)
    node.shrink()
    node.live(5, (1, 10))
    node.stop()


@life
def torn_large_entry(node):
    """The same, and it dies between two of these segments: a start cuts off what there is."""
    node.allocate_many(MANY_LINES)
    node.stop()
    point = node.random.choice(["journal_before_rename", "journal_after_rename",
                                "journal_directory_synced", "journal_before_write"])
    point += f":{node.random.randint(1, 2)}"
    node.start(ALLOCD_CRASH=point)
    try:
        node.shrink()
        raise AssertionError(f"the node did not pass {point}")
    except ConnectionError:
        node.leave()
    node.node.wait_killed()
    node.start()
    node.live(5, (1, 10))
    node.shrink()
    node.stop()


@life
def failed_cut(node):
    """An entry of two parts loses its end, and the start that cuts it off cannot sync that: for the
    system the parts are gone, and the disk may have them. The next start knows nothing of it."""
    node.allocate_many(LINES)
    node.stop()
    node.start(ALLOCD_CRASH="journal_after_write:1")
    try:
        node.shrink()
        raise AssertionError("the node did not die")
    except ConnectionError:
        node.leave()
    node.node.wait_killed()
    node.tear()
    node.refuse_to_start("fsync:EIO:2")
    node.start()
    node.live(15, (1, 10))
    node.stop()


@life
def slices(node):
    """A round of many records is written in slices, and it dies between two of them."""
    node.node.set_events_behind(10**6)  # so all of it is written when it stops
    node.allocate_many(MANY_LINES, ALLOCD_CRASH=f"projecting:{node.random.randint(2, 3)}")
    node.leave()
    node.node.send_signal(signal.SIGTERM)
    node.node.wait_killed()
    node.start()
    node.shrink()
    node.live(5, (1, 10))
    node.stop()


@life
def refused_large_entry(node):
    """The same, and there is no room for all of it: what was written of it is taken back."""
    node.allocate_many(MANY_LINES)
    node.stop()
    fault = node.random.choice(["pwritev:ENOSPC:1", "pwritev:ENOSPC:2", "pwritev:ENOSPC:3",
                                "pwritev:SHORT:2", "fdatasync:ENOSPC:3", "fdatasync:ENOSPC:4",
                                "fdatasync:ENOSPC:5", "renameat:ENOSPC:1", "renameat:ENOSPC:2"])
    node.start(ALLOCD_FAULT=fault)
    node.or_end(node.shrink)
    node.live(5, (1, 10))
    node.shrink()
    node.stop()


@life
def torn_end(node):
    """It dies before the sync of an entry, and the disk keeps a part of that: a start cuts it off,
    and others follow."""
    node.start(ALLOCD_CRASH=f"journal_after_write:{node.random.randint(1, 12)}")
    try:
        node.live(12, (1, 8))
        node.stop()
    except ConnectionError:
        node.leave()
        node.node.wait_killed()
        node.tear()
    node.start()
    node.live(15, (1, 8))
    node.stop()


@life
def rebuilt(node):
    """Its tables are damaged: a start makes them anew, and may die at that."""
    node.node.set_events_behind(5)  # a start writes rounds too
    node.start()
    node.live(20, (1, 20))
    node.stop()
    node.spoil_tables()
    point = node.random.choice([None, "rebuilding", "before_tables", "after_tables", "replaying:10",
                                "projecting:2"])
    if point is not None:
        node.launch(ALLOCD_CRASH=point)
        node.node.wait_killed()
    node.start()
    node.live(10, (1, 20))
    node.stop()


def record(name, seed):
    node = Recorded(seed)
    node.is_about_start = name == "killed_at_once"
    try:
        LIVES[name](node)
    except BaseException:
        node.close()
        raise
    return node


def replay(node, seed, states, lies="none", keep=None):
    """What power_loss says of a trace: its figures, and what it found wrong."""
    with tempfile.TemporaryDirectory(prefix="allocd-power-", dir=MEMORY) as work:
        options = ["--begin", str(node.begin)] if node.begin else []
        options += ["--keep", str(keep)] if keep else []
        options += ["--starts"] if node.is_about_start else []
        result = subprocess.run(
            [program("POWER_LOSS", "tests/power_loss"), "--work", work, "--end",
             str(node.node.data), "--states", str(states), "--seed", str(seed), "--lies", lies,
             *options, *node.traces],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    if result.returncode not in (0, 1):
        raise AssertionError(f"power_loss: exit {result.returncode}: {result.stderr[-3000:]}")
    return json.loads(result.stdout), result.stderr


def record_after_cut(state, seed):
    """The life of a node on what a cut left, whose start mends that; or does not come to an end, and
    the one after it does."""
    node = Recorded(seed, begin=state)
    try:
        if node.random.random() < 0.5:
            node.launch(ALLOCD_CRASH=node.random.choice(MENDING))
            try:
                node.node.wait_ready()
                node.kill()
            except RuntimeError:
                node.node.wait_killed()
        node.start()
        node.live(5, (1, 10))
        node.stop()
    except BaseException:
        node.close()
        raise
    return node


class PowerLoss(unittest.TestCase):
    def setUp(self):
        print(f"\nPOWER_SEED={SEED} POWER_STATES={STATES}", file=sys.stderr, flush=True)

    def test_any_cut_leaves_what_was_told(self):
        figures = Counter()
        names = WANTED or sorted(LIVES)
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
        if not WANTED:
            for what in SEEN + (SEEN_AMONG_MANY if STATES >= MANY_STATES else ()):
                self.assertGreater(figures[what], 0, what)

    def live(self, name, seed, states):
        """Most of the states are of that life; the others of one that begins with one of these."""
        node = record(name, seed)
        kept = Path(node.home.name) / "kept"
        kept.mkdir()
        try:
            figures, complaints = replay(node, seed, states - states // 4, keep=kept)
            figures["storage_full"] = node.figures["storage_full"]
            figures["nodes that ended"] = node.figures["ended"]
            if figures["wrong"] == 0:
                complaints = self.live_after_cut(kept, seed, states // 4, figures)
            return figures, complaints
        finally:
            node.close()

    def live_after_cut(self, kept, seed, states, figures):
        node = record_after_cut(kept, seed)
        try:
            found, complaints = replay(node, seed, states)
            for what, count in found.items():
                figures[what] = max(figures[what], count) if what == "waiting_max" else \
                    figures[what] + count
            figures["states after a cut"] = found["states"]
            return f"after a cut: {complaints}"
        finally:
            node.close()

    def test_what_is_no_cut_is_refused(self):
        """An entry that does not check, with others behind it, is damage: no start may cut it off,
        and with it what was told."""
        node = record("groups", SEED)
        self.addCleanup(node.close)
        path = node.newest_segment()
        before = path.read_bytes()
        starts = [at for at in range(4096, len(before), 8) if before[at:at + 8] == b"alcdPart"]
        at = node.random.choice(starts[:-1]) + node.random.randrange(128)
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([before[at] ^ 1 << node.random.randrange(8)]))
        damaged = path.read_bytes()
        node.node.launch()
        self.assertEqual(node.node.wait(), 1, f"byte {at}: {node.node.stderr()}")
        self.assertIn("is damaged", node.node.stderr())
        self.assertEqual(path.read_bytes(), damaged)

    def test_a_disk_that_lies_is_noticed(self):
        """In one of a few lives: in a short one the lie may do no harm."""
        for lies, name in (("journal", "groups"), ("tables", "rounds"), ("names", "groups")):
            for seed in range(SEED, SEED + 10):
                node = record(name, seed)
                self.addCleanup(node.close)
                found, complaints = replay(node, seed, 300, lies)
                if found["wrong"] > 0:
                    break
            self.assertGreater(found["wrong"], 0, f"{lies}: nothing was noticed")
            self.assertIn("WRONG", complaints)


if __name__ == "__main__":
    unittest.main()
