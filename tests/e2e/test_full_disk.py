#!/usr/bin/python3
"""No space left: commands are refused, reads go on, and with room all works again."""

import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, Subscriber, check_reply, plain, unique, wait_until
from history import History
from model import Model
from oracle import Journal, Oracle

COMMANDS_MAX = 60_000
WINDOW = 300
CYCLES = int(os.environ.get("FULL_DISK_CYCLES", "2"))
SEED = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
CLIENTS = 4
ROUND = 150           # commands of each client that are in flight at once
REFUSED_ENOUGH = 500  # commands that a full disk refuses, before there is room again
PAGE = 4096


class FullDiskCase(unittest.TestCase):
    """Subclasses say how the room ends, and how it comes back."""

    def begin(self, node):
        self.node = node
        self.addCleanup(node.close)
        node.start()
        self.client = Client(node)
        self.addCleanup(self.client.close)
        self.subscriber = Subscriber(node)
        self.addCleanup(self.subscriber.close)
        self.client.ask("CreateBatch", ref="b", sku="S", qty=10**9)
        self.done, self.refused, self.count = [], [], 0

    def allocate(self, count):
        """Sends new lines, notes which were done and which were refused for want of room."""
        numbers = range(self.count, self.count + count)
        self.count += count
        for number, reply in zip(numbers, self.client.pipeline(map(self.request, numbers))):
            if reply["ok"]:
                self.done.append(number)
            else:
                self.assertEqual((reply["error"], reply["retryable"]), ("storage_full", True),
                                 reply)
                self.assertIs(type(reply["seq"]), int)
                self.refused.append(number)

    def request(self, number):
        return {"type": "Allocate", "orderid": f"order-{number}", "sku": "S", "qty": 1,
                "id": f"id-{number}"}

    def fill(self):
        while not self.refused:
            self.assertLess(self.count, COMMANDS_MAX, "the disk does not fill up")
            self.allocate(WINDOW)

    def check_reads(self):
        """What was acknowledged is there, what was refused is not."""
        self.assertEqual(self.client.ask("GetStock", sku="S")["available"],
                         10**9 - len(self.done))
        causes = [event.get("cause") for event in self.client.all_events(1)]
        self.assertEqual(causes, [f"id-{number}" for number in self.done])
        some = self.done[:: max(1, len(self.done) // 20)]
        for number in some:
            lines = self.client.ask("GetAllocations", orderid=f"order-{number}")["lines"]
            self.assertEqual(lines, [{"sku": "S", "qty": 1, "batchref": "b"}])
        reply = self.client.request("GetAllocations", orderid=f"order-{self.refused[-1]}")
        self.assertEqual(reply.get("error"), "unknown_order")
        self.assertTrue(self.client.ask("Ping")["ok"])

    def check_full(self):
        self.fill()
        self.check_reads()
        for _ in range(3):
            self.allocate(WINDOW)
        self.check_reads()

    def check_room_again(self):
        """Without a restart: the refused ones are sent again with their ids, and are done. The node
        looks for room each second."""
        refused, self.refused = self.refused, []
        told = {}

        def works():
            left = [number for number in refused if number not in told]
            for number, reply in zip(left, self.client.pipeline(map(self.request, left))):
                self.assertIn(reply.get("error"), (None, "storage_full"))
                if reply["ok"]:
                    told[number] = reply
            return len(told) == len(refused)
        wait_until(works, "commands work again")
        replies = [told[number] for number in refused]
        self.assertFalse(any("duplicate" in plain(reply) for reply in replies))
        self.assertEqual(self.client.ask("GetStock", sku="S")["available"], 10**9 - self.count)
        before = self.client.event_bodies()
        live = [body for _, body in self.subscriber.until(self.client.head())]
        self.assertEqual(live, before, "no event of a change that did not commit, and all others")
        self.client.close()
        self.node.kill9()
        self.client = Client(self.node.start())
        self.addCleanup(self.client.close)
        self.assertEqual(self.client.event_bodies(), before)
        self.assertEqual(self.client.ask("GetStock", sku="S")["available"], 10**9 - self.count)
        again = self.client.pipeline(map(self.request, refused))
        self.assertEqual(again, replies)


class FileSizeLimit(FullDiskCase):
    """A limit on the size of files, set while the node runs: EFBIG and short writes. Segments have
    their size already, so that it ends within one where the tables set it."""

    def play(self, room, file="data.mdb", events_behind=None):
        node = Node()
        self.addCleanup(node.close)
        if events_behind is not None:
            node.set_events_behind(events_behind)
        self.begin(node)
        size = max(file.stat().st_size for file in self.node.data.glob(file))
        self.node.limit_file_size((size + room) // 4096 * 4096 + room % 4096)
        self.check_full()
        self.node.limit_file_size(None)
        self.check_room_again()

    def test_of_the_journal_alone(self):
        """The tables want no room yet: it is the commits of groups that fail."""
        self.play(256 * 1024 + 1000, events_behind=COMMANDS_MAX)

    def test_at_the_end_of_a_segment(self):
        self.play(0, "journal/*.segment")

    def test_within_the_next_segment(self):
        self.play(256 * 1024 + 1000, "journal/*.segment")

    def test_at_a_page(self):
        self.play(512 * 1024)

    def test_within_a_page(self):
        self.play(256 * 1024 + 1000)

    def test_no_room_at_all(self):
        self.play(0)


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


def mounted(case, *arguments):
    """A directory on a file system of its own."""
    directory = tempfile.TemporaryDirectory(prefix="allocd-e2e-")
    case.addCleanup(directory.cleanup)
    result = mount(*arguments, directory.name)
    if result.returncode != 0:
        case.skipTest(f"LEFT OUT: this cannot be mounted here: {result.stderr}")
    case.addCleanup(subprocess.run, ["umount", directory.name], check=True)
    return Path(directory.name)


@unittest.skipIf(os.geteuid() != 0, "LEFT OUT: a full file system needs root to mount one")
class SmallFileSystem(FullDiskCase):
    """A file system that is really full: ENOSPC."""

    def test_tmpfs(self):
        home = mounted(self, "-t", "tmpfs", "-o", "size=2m", "allocd-e2e")
        self.begin(Node(data=home / "data"))
        self.check_full()
        self.assertEqual(mount("-o", "remount,size=64m", str(home)).returncode, 0)
        self.check_room_again()


class UnderLoad(unittest.TestCase):
    """Several clients that do not wait for each other, a disk that fills up and has room again,
    and so on; the oracle looks at what was promised each time."""

    def begin(self, node):
        self.node = node
        self.addCleanup(node.close)
        node.start()
        self.history, self.nothing = History(SEED, orders=20_000, refs=4_000), Model()
        self.oracle = Oracle(Journal())
        self.clients = {f"client-{number}": self.new_client() for number in range(CLIENTS)}
        self.subscriber = Subscriber(node)
        self.addCleanup(self.subscriber.close)
        self.refused = self.answered = 0

    def new_client(self):
        client = Client(self.node)
        self.addCleanup(client.close)
        return client

    def load(self):
        """Each client has its commands in flight before any reply is read."""
        waiting = {}
        for name, client in self.clients.items():
            requests = [self.history.next_request(self.nothing) for _ in range(ROUND)]
            waiting[name] = [self.oracle.journal.sent(name, request) for request in requests]
            for request in requests:
                client.send(request)
        for name, client in self.clients.items():
            for entry in waiting[name]:
                reply = check_reply(client.recv())
                self.oracle.journal.answered(entry, reply)
                self.assertNotEqual(reply.get("error"), "storage_failed", "no room is storage_full")
                self.refused += reply.get("error") == "storage_full"
                self.answered += 1

    def works(self, client):
        name = unique("room")
        request = {"type": "CreateBatch", "ref": name, "sku": "ROOM", "qty": 1, "id": name}
        return self.oracle.send(client, [request])[0].reply["ok"]

    def takes_all(self):
        """Tables that are far behind are tried again a second after they had no room."""
        refused = self.refused
        self.load()
        return self.refused == refused

    def play(self, take_room, give_room):
        seen = []
        with self.new_client() as client:
            for _ in range(CYCLES):
                end, self.refused = self.answered + COMMANDS_MAX, 0
                take_room()
                while self.refused < REFUSED_ENOUGH:
                    self.assertLess(self.answered, end, "the disk does not fill up")
                    self.load()
                self.oracle.check(client)
                give_room()
                wait_until(lambda: self.works(client), "commands work again")
                wait_until(self.takes_all, "all commands work again")
                self.oracle.settle(client)
                self.oracle.check(client)
                self.assertEqual(self.oracle.journal.take_unknown(), [], "with room all is done")
                seen += self.subscriber.drain()
        print(f"E2E_SEED={SEED}: {self.answered} commands, {dict(self.oracle.figures)}",
              file=sys.stderr)
        self.node.kill9()
        seen += self.subscriber.drain()
        self.oracle.listen(self.subscriber.welcome, seen)
        with Client(self.node.start()) as client:
            self.oracle.settle(client, self.history.sent[-1000:])
            self.oracle.check(client)
        self.node.stop()
        self.oracle.verify(self.node)

    def test_a_limit_on_the_size_of_files(self):
        self.begin(Node())

        def take_room():
            size = (self.node.data / "data.mdb").stat().st_size
            self.node.limit_file_size(size + random.randrange(64 * PAGE))
        self.play(take_room, lambda: self.node.limit_file_size(None))

    def play_with_ballast(self, home):
        """Takes the room with another file."""
        ballast = home / "ballast"
        self.begin(Node(data=home / "data"))

        def take_room():
            left = os.statvfs(home)
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - 100 * PAGE)
        self.play(take_room, ballast.unlink)

    @unittest.skipIf(os.geteuid() != 0, "LEFT OUT: mounting takes root")
    def test_a_small_tmpfs(self):
        self.play_with_ballast(mounted(self, "-t", "tmpfs", "-o", "size=64m", "allocd-e2e"))

    @unittest.skipIf(os.geteuid() != 0, "LEFT OUT: mounting takes root")
    def test_a_small_disk(self):
        image = tempfile.NamedTemporaryFile(prefix="allocd-e2e-")
        self.addCleanup(image.close)
        image.truncate(64 * 1024 * 1024)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image.name], text=True,
                              capture_output=True)
        if made.returncode != 0:
            self.skipTest(f"LEFT OUT: no ext4 can be made here: {made.stderr}")
        self.play_with_ballast(mounted(self, "-o", "loop", image.name))


if __name__ == "__main__":
    unittest.main()
