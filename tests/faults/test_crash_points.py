#!/usr/bin/python3
"""The node dies at each of its crash points, and afterwards the oracle finds nothing.

At each point allocd-faulty is killed CRASH_POINT_TIMES (2) times, by turns with one client that
waits for each reply and with several that have hundreds of requests in flight. With the one it is
certain what has become of its last request, and that is looked at too. CRASH_POINT_SEED repeats the
choices of a run.
"""

import itertools
import os
import random
import re
import signal
import sys
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import ROOT
from crowd import Besieged, Crowd

TIMES = int(os.environ.get("CRASH_POINT_TIMES", "2"))
SEED = int(os.environ.get("CRASH_POINT_SEED", "0")) or random.randrange(1, 2**31)
MANY = [1, 10, 100, 400]
COMMANDS_BEFORE = 300
PASSES_MAX = {"lone": 60, "group": 12, "each": 400}
REFUSALS_MAX = 4
ROOM_MAX = 100_000
FILES = {"data.mdb", "lock.mdb", "node.lock"}

# The points by where they are passed. Each group starts what its points need.
START_UP = {"directory_locked", "before_tables", "after_tables", "before_mark", "replaying",
            "commands_bound"}
BEFORE_COMMIT = {"event_logged", "before_line_moves", "reply_remembered", "group_handled",
                 "before_flush", "folding", "folding_lines", "folded", "before_commit"}
AFTER_COMMIT = {"after_commit", "before_replies", "between_replies", "after_replies",
                "between_events", "after_events"}
IN_EACH_COMMAND = {"event_logged", "before_line_moves", "reply_remembered", "between_replies",
                   "between_events"}
BEFORE_REPLIES = {"after_commit", "before_replies"}
FULL_DISK = {"commit_failed", "probing_for_room", "rolled_back", "before_refusal"}
SHUTDOWN = {"before_close", "after_close"}
# The node does not use the journal yet: tests/store/journal/test_crash.c dies at these.
JOURNAL = "journal_"
HAPPENED, NOT_HAPPENED = "unanswered, had happened", "unanswered, had not happened"


def points_of_the_sources():
    layers = ("domain", "bus", "store", "node")
    files = [file for layer in layers for file in (ROOT / layer).rglob("*.c")]
    return Counter(name for file in files
                   for name in re.findall(r"\bCRASH_POINT\((\w+)\)", file.read_text()))


def effective_requests():
    """Commands that each change something, in whatever order the others are: none is a duplicate,
    none is refused."""
    for number in itertools.count():
        name = f"lone-{number}"
        for request in (
                {"type": "CreateBatch", "ref": name, "sku": "LONE", "qty": 10},
                {"type": "Allocate", "orderid": name, "sku": "LONE", "qty": 3},
                {"type": "ChangeBatchEta", "ref": name, "eta": "2033-03-03"},
                {"type": "ChangeBatchQuantity", "ref": name, "qty": 1},
                {"type": "ChangeBatchQuantity", "ref": name, "qty": 7},
                {"type": "Deallocate", "orderid": name, "sku": "LONE"}):
            yield {**request, "id": f"{name}-{request['type']}-{request.get('qty')}"}


class CrashPoint(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"\nCRASH_POINT_SEED={SEED} CRASH_POINT_TIMES={TIMES}", file=sys.stderr, flush=True)
        cls.random = random.Random(SEED)

    def new_store(self):
        self.store = Besieged(self.random)
        self.addCleanup(self.store.node.close)
        self.lone = effective_requests()

    def fill_store(self, events_behind=None):
        """A store that has seen something, of a node that was killed."""
        self.new_store()
        if events_behind is not None:
            self.store.node.set_events_behind(events_behind)
        self.store.node.start()
        answered = len(self.store.journal.fresh) + COMMANDS_BEFORE
        self.besiege(MANY, lambda: len(self.store.journal.fresh) >= answered)
        self.store.node.kill9()
        self.judge()

    def besiege(self, windows, is_over=lambda: False):
        next_request = self.store.next_request if windows == MANY else self.lone.__next__
        crowd = Crowd(self.store.node, self.store.journal, next_request, windows)
        crowd.run(is_over)
        crowd.close(self.store.oracle)

    def expect_death(self, point):
        node = self.store.node
        node.wait_killed()
        self.assertIn(f"crash point {point}\n", node.stderr())

    def judge(self):
        """With the program that is shipped. Gives what had become of the unanswered requests."""
        before = Counter(self.store.oracle.figures)
        self.store.node.start()
        self.store.judge()
        self.store.node.stop()
        self.store.oracle.verify(self.store.node)
        return self.store.oracle.figures - before

    def each(self, points, die):
        """`die` has the store die at the point, with clients of these windows, and looks at it."""
        for point in sorted(points):
            for turn in range(TIMES):
                with self.subTest(point=point, turn=turn):
                    die(point, MANY if turn % 2 else [1])

    def die_at(self, point, windows):
        passes = "lone" if windows != MANY else "each" if point in IN_EACH_COMMAND else "group"
        self.store.node.start(faults=self.crash(point, PASSES_MAX[passes]))
        self.besiege(windows)
        self.expect_death(point)
        self.store.oracle.verify(self.store.node)
        return self.judge()

    def crash(self, point, passes_max=1):
        return {"ALLOCD_CRASH": f"{point}:{self.random.randint(1, passes_max)}"}


class Each(CrashPoint):
    def test_all_are_tried(self):
        points = Counter({name: count for name, count in points_of_the_sources().items()
                          if not name.startswith(JOURNAL)})
        self.assertEqual(set(points),
                         START_UP | BEFORE_COMMIT | AFTER_COMMIT | FULL_DISK | SHUTDOWN)
        self.assertEqual(set(points.values()), {1}, "a name is used twice")
        self.assertGreaterEqual(len(points), 15)

    def test_before_the_commit(self):
        """What was not answered did not happen."""
        def die(point, windows):
            became = self.die_at(point, windows)
            if windows != MANY:
                self.assertEqual((became[HAPPENED], became[NOT_HAPPENED]), (0, 1), became)
        self.fill_store()
        self.each(BEFORE_COMMIT, die)

    def test_after_the_commit(self):
        """It happened, and the remembered reply tells of it. Once the reply is sent, the request
        that is not answered may be the next one."""
        def die(point, windows):
            became = self.die_at(point, windows)
            if windows != MANY and point in BEFORE_REPLIES:
                self.assertEqual((became[HAPPENED], became[NOT_HAPPENED]), (1, 0), became)
        self.fill_store()
        self.each(AFTER_COMMIT, die)

    def test_on_a_full_disk(self):
        """What was refused, or not answered, did not happen; with room again it does."""
        def die(point, windows):
            self.fill_store()
            node = self.store.node
            node.start(faults=self.crash(point, REFUSALS_MAX))
            largest = max(file.stat().st_size for file in node.data.iterdir())
            # Ends within a page: a short write, which LMDB reports as EIO.
            node.limit_file_size(largest + self.random.randrange(ROOM_MAX) // 4096 * 4096 + 1000)
            self.besiege(windows)
            self.expect_death(point)
            self.assertEqual({file.name for file in node.data.iterdir()}, FILES)
            self.store.oracle.verify(node)
            became = self.judge()
            self.assertGreater(became[NOT_HAPPENED], 0)
            if windows != MANY:
                self.assertEqual(became[HAPPENED], 0, became)
        self.each(FULL_DISK, die)

    def test_within_a_start(self):
        """On a new directory and, where it is passed there too, on one that has seen something."""
        def die(point, windows):
            if point == "replaying":
                self.fill_store(events_behind=100_000)
            elif windows == MANY and point != "before_mark":
                self.fill_store()
            else:
                self.new_store()
            for _ in range(self.random.randint(1, 3)):
                self.store.node.launch(faults=self.crash(point))
                self.expect_death(point)
            self.judge()
        self.each(START_UP, die)

    def test_within_a_shutdown(self):
        """All that was done has been answered."""
        def die(point, windows):
            node, journal = self.store.node, self.store.journal
            node.start(faults=self.crash(point))
            answered = len(journal.fresh) + self.random.randint(1, COMMANDS_BEFORE)
            asked = []

            def ask_to_end():
                if not asked and len(journal.fresh) >= answered:
                    asked.append(node.send_signal(signal.SIGTERM))
                return False
            self.besiege(windows, ask_to_end)
            self.expect_death(point)
            self.store.oracle.verify(node)
            became = self.judge()
            self.assertEqual(became[HAPPENED], 0, became)
        self.fill_store()
        self.each(SHUTDOWN, die)


if __name__ == "__main__":
    unittest.main()
