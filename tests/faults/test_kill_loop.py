#!/usr/bin/python3
"""kill -9 at any moment, again and again: the oracle finds nothing.

Three or four clients, from one request at a time to hundreds in flight, and a subscriber keep the
node busy until it is killed, 1 to 300 ms later. It is started again, at times killed while it
starts, and what was not answered is sent again: by the oracle, or by other clients under load up to
the next kill. Each directory lives for some kills and ends with allocd --verify.

KILL_CYCLES (20) and KILL_SEED say how much and which one. A seed repeats the choices of a run, but
not its moments.
"""

import os
import random
import sys
import threading
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import let_pass
from crowd import Besieged, Crowd

CYCLES = int(os.environ.get("KILL_CYCLES", "20"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.randrange(1, 2**31)
CYCLES_OF_A_DIRECTORY = 10
CYCLES_THAT_SHOW_ALL = 100
WINDOWS = [1, 10, 100, 400]
KILL_DELAY = (0.001, 0.3)  # seconds
START_UP = 0.06


class Store(Besieged):
    def __init__(self, chance):
        super().__init__(chance)
        self.figures = Counter()

    def start(self):
        """Starts the node, after a few starts that a kill cuts short at times."""
        while self.random.random() < 0.25:
            self.node.launch()
            let_pass(self.random.random() * START_UP)  # the moment is what varies
            self.node.kill9()
            self.figures["kills within a start"] += 1
        self.node.start()

    def live_and_die(self, unknown):
        """Serves the crowd, which sends `unknown` again, until the kill."""
        self.start()
        windows = self.random.sample(WINDOWS, self.random.choice([3, 4]))
        crowd = Crowd(self.node, self.journal, self.next_request, windows)
        crowd.send_again(unknown, self.random)
        killer = threading.Timer(self.random.uniform(*KILL_DELAY), self.node.process.kill)
        killer.start()
        crowd.run(lambda: False)
        killer.join()
        self.node.wait_killed()
        crowd.close(self.oracle)
        self.figures["kills"] += 1

    def settle_all(self):
        self.start()
        known = self.oracle.figures["unanswered, had happened"]
        self.judge()
        self.figures["kills between commit and reply"] += (
            self.oracle.figures["unanswered, had happened"] > known)
        if self.random.random() < 0.5:
            self.node.stop()
        else:
            self.node.kill9()

    def cycle(self):
        unknown = self.journal.take_unknown()
        self.figures["sent again by others under load"] += len(unknown)
        self.live_and_die(unknown)
        if self.random.random() < 0.2:
            self.oracle.verify(self.node)
        if self.random.random() < 0.6:
            self.settle_all()

    def end(self):
        self.settle_all()
        self.oracle.verify(self.node)
        self.node.close()


class KillLoop(unittest.TestCase):
    def test_kills(self):
        print(f"\nKILL_SEED={SEED} KILL_CYCLES={CYCLES}", file=sys.stderr, flush=True)
        chance = random.Random(SEED)
        figures = Counter()
        for first in range(0, CYCLES, CYCLES_OF_A_DIRECTORY):
            store = Store(chance)
            self.addCleanup(store.node.close)
            try:
                for _ in range(min(CYCLES_OF_A_DIRECTORY, CYCLES - first)):
                    store.cycle()
                store.end()
            except AssertionError:
                print(f"the store is kept in {store.keep()}", file=sys.stderr)
                raise
            figures += store.figures + store.oracle.figures
            if first % 100 == 0:
                print(f"{figures['kills']} kills", file=sys.stderr, flush=True)
        for what, count in sorted(figures.items()):
            print(f"{what}: {count}", file=sys.stderr)
        if CYCLES >= CYCLES_THAT_SHOW_ALL:
            for what in ("kills between commit and reply", "unanswered, had happened",
                         "unanswered, had not happened", "unanswered without id, had happened",
                         "kills within a start", "sent again by others under load",
                         "events seen live"):
                self.assertGreater(figures[what], 0, what)


if __name__ == "__main__":
    unittest.main()
