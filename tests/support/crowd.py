"""Several clients and a subscriber that keep a node busy, and write it all down in a journal."""

import shutil
import tempfile
import time
from collections import deque

import zmq

from allocd import DEADLINE, Client, Node, Subscriber, check_reply, unpack
from history import History
from oracle import Journal, Oracle

QUIET_MS = 20    # what a dead node sent is here by then, or counts as lost
READ_AT_ONCE = 200


class Member:
    """One connection. `again`: entries of requests to be sent again before new ones."""

    def __init__(self, node, name, window):
        self.client, self.name, self.window = Client(node), name, window
        self.again, self.in_flight = deque(), deque()

    def fill_window(self, journal, next_request):
        while len(self.in_flight) < self.window:
            request = self.again.popleft().request if self.again else next_request()
            self.in_flight.append(journal.sent(self.name, request))
            self.client.send(request)

    def read(self, journal):
        for _ in range(READ_AT_ONCE):
            if not self.client.socket.poll(0):
                return
            entry = self.in_flight.popleft()
            journal.answered(entry, check_reply(unpack(self.client.recv_body())))


class Crowd:
    """`next_request` gives what to send; `windows`: for each member, how many of its requests may
    be in flight."""

    numbers = 0

    def __init__(self, node, journal, next_request, windows):
        self.node, self.journal, self.next_request = node, journal, next_request
        Crowd.numbers += 1
        self.members = [Member(node, f"{Crowd.numbers}.{place}", window)
                        for place, window in enumerate(windows)]
        self.subscriber = Subscriber(node)
        self.seen = []
        self.poller = zmq.Poller()
        for socket in [member.client.socket for member in self.members] + [self.subscriber.socket]:
            self.poller.register(socket, zmq.POLLIN)

    def send_again(self, entries, random):
        """Sends requests again, each by any of the members."""
        for entry in entries:
            random.choice(self.members).again.append(entry)

    def run(self, is_over):
        """Keeps the node busy until `is_over` or the node is dead, then reads what is left."""
        end = time.monotonic() + DEADLINE
        while self.node.is_running() and not is_over():
            assert time.monotonic() < end, "the node is neither dead nor done"
            for member in self.members:
                member.fill_window(self.journal, self.next_request)
            self.read(1)
        while self.read(QUIET_MS):
            assert time.monotonic() < end, "the node does not come to rest"

    def read(self, patience_ms):
        ready = self.poller.poll(patience_ms)
        for member in self.members:
            member.read(self.journal)
        self.seen += self.subscriber.drain()
        return ready

    def close(self, oracle):
        """What the subscriber saw goes to the oracle, and what was not sent again back to the
        journal."""
        oracle.listen(self.subscriber.welcome, self.seen)
        self.subscriber.close()
        for member in self.members:
            self.journal.open += member.again
            member.client.close()


class Besieged:
    """A node on a directory of its own, with its journal and its oracle, over many starts."""

    old_ones = 20  # ids that each judgement sends again

    def __init__(self, chance):
        self.random = chance
        self.node, self.journal = Node(), Journal()
        self.oracle = Oracle(self.journal)
        self.history = History(chance.random(), skus=8, orders=400, refs=60, anonymous=0.1)

    def next_request(self):
        return self.history.next_request(self.oracle.model)

    def judge(self):
        """Has the oracle look at the node, which serves nobody else."""
        with Client(self.node) as client:
            ids = list(self.oracle.model.replies)
            some = self.random.sample(ids, min(len(ids), self.old_ones))
            self.oracle.settle(client, [self.journal.ids[ident][0].request for ident in some])
            self.oracle.check(client)

    def keep(self):
        """Copies the store to where it outlives the test, and says where."""
        return shutil.copytree(self.node.data, tempfile.mkdtemp(prefix="allocd-kept-"),
                               dirs_exist_ok=True)
