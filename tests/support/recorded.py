"""A node that writes down all that it does to its files and all that it sends, for tests/power_loss.
What it lives through is in tests/faults/test_power_loss.py."""

import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

from allocd import Client, Node, Subscriber
from history import History
from model import Model

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Recorded:
    """A node that is started once or oftener on one directory, and the trace of that."""

    def __init__(self, seed, begin=None):
        """`begin`: a data directory to begin with; of nothing else."""
        self.home = tempfile.TemporaryDirectory(prefix="allocd-power-", dir=MEMORY)
        self.random = random.Random(seed)
        self.node = Node(data=Path(self.home.name) / "node" / "data")
        self.node.data.parent.mkdir()
        self.is_about_start = False  # then no state of that is left out
        self.begin = begin and Path(self.home.name) / "begin"
        if begin:
            shutil.copytree(begin, self.begin)
            shutil.copytree(begin, self.node.data)
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
        try:
            self.node.wait_ready()
        except RuntimeError as error:  # what the life before it left must be a store
            raise AssertionError(error) from error
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

    def start_again(self):
        """After it has ended, which it says."""
        self.leave()
        self.figures["ended"] += 1
        assert self.node.wait() == 1, self.node.stderr()
        self.start()

    def or_end(self, act, *arguments):
        """False: the node ended at that, and was started again."""
        try:
            act(*arguments)
        except ConnectionError:
            self.start_again()
            return False
        return True

    def live_or_end(self, count, at_once):
        """Where it ends it is started again and lives a little longer."""
        if not self.or_end(self.live, count, at_once):
            self.live(10, at_once)

    def fill(self, count, at_once):
        """So many requests whose texts are long, so that segments fill."""
        self.client.send({"type": "CreateBatch", "ref": "filled", "sku": "FILLED", "qty": 10**6,
                          "id": "filled"})
        self.client.recv()
        number = 0
        while number < count:
            size = min(self.random.randint(*at_once), count - number)
            self.client.pipeline({"type": "Allocate", "orderid": f"{number + i:06}".ljust(250, "x"),
                                  "sku": "FILLED", "qty": 1, "id": f"{number + i}".ljust(120, "y")}
                                 for i in range(size))
            number += size

    def allocate_many(self, lines, **faults):
        """A part of a first segment, which is little to what shrink makes of it."""
        self.start(**faults)
        self.client.ask("CreateBatch", ref="near", sku="LARGE", qty=lines, id="near")
        self.client.ask("CreateBatch", ref="far".ljust(250, "x"), sku="LARGE", qty=lines,
                        eta="2040-01-01", id="far")
        replies = self.client.pipeline({"type": "Allocate", "orderid": f"{n:05}", "sku": "LARGE",
                                        "qty": 1} for n in range(lines))
        assert all(reply["batchref"] == "near" for reply in replies)

    def shrink(self):
        """All of these lines move to the other batch, in one entry."""
        reply = self.client.request("ChangeBatchQuantity", ref="near", qty=0,
                                    id=f"shrink-{self.random.random()}")
        self.figures[reply.get("error")] += 1

    def newest_segment(self):
        return max((self.node.data / "journal").glob("*.segment"))

    def tear(self):
        """The newest entry loses its end."""
        with open(self.newest_segment(), "r+b") as file:
            end = len(file.read().rstrip(b"\0"))
            file.seek(max(end - self.random.choice([8, 40, 80]), 4096))
            file.write(bytes(end - file.tell()))

    def spoil_tables(self):
        path = self.node.data / "data.mdb"
        with open(path, "r+b") as file:
            file.seek(2 * 4096)
            file.write(self.random.randbytes(path.stat().st_size - 2 * 4096))

    def refuse_to_start(self, fault):
        self.launch(ALLOCD_FAULT=fault)
        assert self.node.wait() == 1, self.node.stderr()

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
