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

from allocd import ROOT, Client
from crowd import Besieged, Crowd

TIMES = int(os.environ.get("CRASH_POINT_TIMES", "2"))
SEED = int(os.environ.get("CRASH_POINT_SEED", "0")) or random.randrange(1, 2**31)
MANY = [1, 10, 100, 400]
COMMANDS_BEFORE = 300
PASSES_MAX = {"lone": 60, "group": 12, "each": 400, "round": 3}
REFUSALS_MAX = 4
ROOM_MAX = 100_000
FILES = {"data.mdb", "journal", "lock.mdb", "node.lock"}
MANY_BEHIND = 100_000  # events: the tables get nothing before the node is stopped
LESS_THAN_HALF, NEARLY_ALL = 0.25, 0.7  # of a segment, and what is in flight comes to it; the
                                       # next one is made when half of it is full
LINES = 8000           # to move so many takes an entry that goes beyond a segment
ORDERID_BYTES = 200
AT_ONCE = 500

# The points by where they are passed. Each group starts what its points need.
FIRST_SEGMENT = {"journal_before_preparing", "journal_preparing", "journal_prepared",
                 "journal_before_rename", "journal_after_rename", "journal_directory_synced"}
START_UP = {"directory_locked", "journal_there", "before_tables", "after_tables", "before_mark",
            "commands_bound"}
LATER_START = {"journal_opened", "replaying", "rebuilding"}
TORN_END = {"journal_cutting", "journal_cut"}
BEFORE_COMMIT = {"before_line_moves", "line_followed", "reply_remembered", "group_handled",
                 "before_commit", "journal_before_write"}
AFTER_COMMIT = {"journal_after_write", "journal_after_sync", "journal_after_mark", "after_commit",
                "before_replies", "between_replies", "after_replies", "between_events",
                "after_events"}
IN_EACH_COMMAND = {"before_line_moves", "line_followed", "reply_remembered", "between_replies",
                   "between_events"}
BEFORE_REPLIES = {"journal_after_write", "journal_after_sync", "journal_after_mark", "after_commit",
                  "before_replies"}
ROUND = {"projecting", "before_projected", "projected"}
FULL_DISK = {"journal_taking_back", "journal_heads_erased", "journal_taken_back", "rolled_back",
             "before_refusal", "probing_for_room"}
SHUTDOWN = {"before_close", "after_close"}
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

    def fill_store(self):
        """A store that has seen something, of a node that was killed."""
        self.new_store()
        self.store.node.start()
        answered = len(self.store.journal.fresh) + COMMANDS_BEFORE
        self.besiege(MANY, lambda: len(self.store.journal.fresh) >= answered)
        self.store.node.kill9()
        self.judge()

    def fill_segment(self, part):
        """A store of a node that was killed, whose newest segment is full to that part."""
        self.new_store()
        self.store.node.start()
        answered = 0

        def is_filled():
            nonlocal answered
            if len(self.store.journal.fresh) < answered:
                return False
            answered = len(self.store.journal.fresh) + COMMANDS_BEFORE
            return self.newest_segment_used() >= part
        self.besiege(MANY, is_filled)
        self.store.node.kill9()

    def newest_segment(self):
        return max((self.store.node.data / "journal").glob("*.segment"))

    def newest_segment_used(self):
        """Which part of it."""
        content = self.newest_segment().read_bytes()
        return len(content.rstrip(b"\0")) / len(content)

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
        points = points_of_the_sources()
        self.assertEqual(set(points),
                         FIRST_SEGMENT | START_UP | LATER_START | TORN_END | BEFORE_COMMIT |
                         AFTER_COMMIT | ROUND | FULL_DISK | SHUTDOWN)
        self.assertEqual(set(points.values()), {1}, "a name is used twice")
        self.assertGreaterEqual(len(points), 35)

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

    def test_within_a_round(self):
        """The tables get what the journal has, in one piece or in several, under load. What had
        become of the last request is up to chance."""
        def die(point, windows):
            self.store.node.set_events_behind(self.random.choice([50, 2000]))
            self.store.node.start(faults=self.crash(point, PASSES_MAX["round"]))
            self.besiege(windows if windows == MANY else [1, 10])
            self.expect_death(point)
            self.store.oracle.verify(self.store.node)
            self.judge()
        self.fill_store()
        self.each(ROUND, die)

    def test_between_two_segments(self):
        """The next one is made, and begun, under load."""
        def die(point, windows):
            self.fill_segment(LESS_THAN_HALF if "prepar" in point else NEARLY_ALL)
            self.store.node.start(faults=self.crash(point, 2 if windows == MANY else 1))
            self.besiege(windows)
            self.expect_death(point)
            self.store.oracle.verify(self.store.node)
            self.judge()
        self.each(FIRST_SEGMENT, die)

    def test_on_a_full_disk(self):
        """What was refused did not happen; with room again it does. Where it dies before it has taken
        back what it had written, that may be all of the entry."""
        def die(point, windows):
            self.fill_store()
            node = self.store.node
            faults = self.crash(point, REFUSALS_MAX)
            if point == "probing_for_room":  # a write that was cut short is all that LMDB notices
                faults = {**self.crash(point), "ALLOCD_FAULT": "pwrite of meta:SHORT:1",
                          "ALLOCD_WATCH": str(node.data)}
            else:  # the journal is what has no room
                node.set_events_behind(MANY_BEHIND)
            node.start(faults=faults)
            if point != "probing_for_room":
                used = len(self.newest_segment().read_bytes().rstrip(b"\0"))
                node.limit_file_size(used + self.random.randrange(ROOM_MAX))
            self.besiege(windows)
            self.expect_death(point)
            self.assertEqual({file.name for file in node.data.iterdir()}, FILES)
            self.store.oracle.verify(node)
            became = self.judge()
            if point != "probing_for_room":
                self.assertGreater(became[NOT_HAPPENED], 0)
                if windows != MANY and point != "journal_taking_back":
                    self.assertEqual(became[HAPPENED], 0, became)
        self.each(FULL_DISK, die)

    def die_in_start(self, point, times=1, before=lambda: None):
        for _ in range(times):
            before()
            self.store.node.launch(faults=self.crash(point))
            self.expect_death(point)
        self.judge()

    def test_within_a_start(self):
        """On a new directory and, where it is passed there too, on one that has seen something."""
        def die(point, windows):
            if windows == MANY and point in START_UP - {"before_mark"}:
                self.fill_store()
            else:
                self.new_store()
            is_passed_once = point in ("journal_after_rename", "journal_directory_synced")
            self.die_in_start(point, 1 if is_passed_once else self.random.randint(1, 3))
        self.each(START_UP | FIRST_SEGMENT, die)

    def test_within_a_later_start(self):
        """With tables that lack something, or are damaged."""
        def damage():
            (self.store.node.data / "data.mdb").write_bytes(self.random.randbytes(10_000))

        def die(point, windows):
            if point == "replaying":
                self.fill_unstopped()
            else:
                self.fill_store()
            self.die_in_start(point, self.random.randint(1, 3),
                              damage if point == "rebuilding" else lambda: None)
        self.each(LATER_START, die)

    def fill_unstopped(self):
        """A store whose tables lack all, as the node was killed before it wrote to them."""
        self.new_store()
        self.store.node.set_events_behind(MANY_BEHIND)
        self.store.node.start()
        self.besiege(MANY, lambda: len(self.store.journal.fresh) >= COMMANDS_BEFORE)
        self.store.node.kill9()

    def tear(self):
        """Has the node die within an entry that has begun another segment: it goes beyond the rest
        of the second one, and would not fit into the third."""
        node, oracle = self.store.node, self.store.oracle
        batches = [{"type": "CreateBatch", "ref": ref, "sku": "TORN", "qty": LINES, "eta": eta,
                    "id": ref} for ref, eta in (("first", None), ("second", "2030-01-01"))]
        orders = [{"type": "Allocate", "orderid": f"order-{number}".ljust(ORDERID_BYTES, "-"),
                   "sku": "TORN", "qty": 1} for number in range(LINES)]
        with Client(node.start()) as client:
            oracle.send(client, batches)
            for number in range(0, LINES, AT_ONCE):
                oracle.send(client, orders[number:number + AT_ONCE])
        node.stop()
        shrink = {"type": "ChangeBatchQuantity", "ref": "first", "qty": 0, "id": "shrink"}
        with Client(node.start(faults={"ALLOCD_CRASH": "journal_directory_synced:1"})) as client:
            self.store.journal.sent("torn", shrink)
            client.send(shrink)
            self.expect_death("journal_directory_synced")

    def test_cutting_off_a_torn_end(self):
        """What was never answered did not happen; it leaves the newest segment, and the others."""
        def die(point, windows):
            self.new_store()
            self.tear()
            segments = len(list((self.store.node.data / "journal").glob("*.segment")))
            self.store.oracle.verify(self.store.node)
            self.store.node.launch(faults=self.crash(point))
            self.expect_death(point)
            self.assertEqual(len(list((self.store.node.data / "journal").glob("*.segment"))),
                             segments - 1)
            self.store.oracle.verify(self.store.node)
            became = self.judge()
            self.assertEqual((became[HAPPENED], became[NOT_HAPPENED]), (0, 1), became)
        self.each(TORN_END, die)

    def test_within_a_shutdown(self):
        """All that was done has been answered."""
        def die(point, windows):
            node, journal = self.store.node, self.store.journal
            node.set_events_behind(MANY_BEHIND)  # so that the last round is the only one
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
        self.each(SHUTDOWN | ROUND, die)


if __name__ == "__main__":
    unittest.main()
