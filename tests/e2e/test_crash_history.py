#!/usr/bin/python3
"""A random history with kill -9 at random moments gives the model's replies and events exactly.

Commands are pipelined on one connection, each with an id. After a kill those without a reply are
sent again in their order, so that the node sees the commands in the model's order: what had been
executed gives its remembered reply, the rest is executed now. A request that is refused for its
shape or its id is not remembered, so when it is sent again its `seq` may be a later one; all else
must be equal.

E2E_COMMANDS (4,000), E2E_KILLS (5) and E2E_SEED say how much and which one.
"""

import os
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, let_pass, plain, plain_event
from history import History
from model import NOT_REMEMBERED, Model, without

COMMANDS = int(os.environ.get("E2E_COMMANDS", "4000"))
KILLS = int(os.environ.get("E2E_KILLS", "5"))
SEED = int(os.environ.get("E2E_SEED", "0")) or random.randrange(1, 2**31)
WINDOW_MAX = 400
KILL_DELAY_MAX = 0.004  # seconds; a window takes about as long


class CrashHistory(unittest.TestCase):
    def setUp(self):
        print(f"\nE2E_SEED={SEED} E2E_COMMANDS={COMMANDS} E2E_KILLS={KILLS}", file=sys.stderr,
              flush=True)
        self.random = random.Random(SEED)
        self.model = Model()
        history = History(SEED)
        self.requests, self.expected = [], []
        for _ in range(COMMANDS):
            request = history.next_request(self.model)
            self.requests.append(request)
            self.expected.append(self.model.handle(dict(request)))
        self.sent_again = 0   # requests before this one may have been executed before a kill
        self.answered = 0     # requests with a reply
        self.unheard = 0      # kills that took replies of commands that were on disk with them
        self.node = Node()
        self.addCleanup(self.node.close)
        self.node.start()

    def check(self, reply):
        """Takes the reply to the first unanswered request."""
        expected, reply = self.expected[self.answered], plain(reply)
        if self.answered < self.sent_again and expected.get("error") in NOT_REMEMBERED:
            self.assertGreaterEqual(reply["seq"], expected["seq"])
            reply, expected = without(reply, "seq"), without(expected, "seq")
        self.assertEqual(reply, expected, (self.answered, self.requests[self.answered]))
        self.answered += 1

    def run_until(self, count):
        """Pipelines until `count` requests are answered; gives the client with the rest in
        flight."""
        client = Client(self.node)
        window = self.random.choice([1, 10, 100, WINDOW_MAX])
        sent = self.answered
        while self.answered < count:
            while sent < len(self.requests) and sent - self.answered < window:
                client.send(self.requests[sent])
                sent += 1
            self.check(client.recv())
        while sent < len(self.requests) and sent - self.answered < window:
            client.send(self.requests[sent])
            sent += 1
        return client, sent

    def kill(self, client, sent):
        let_pass(self.random.random() * KILL_DELAY_MAX)  # the moment is what varies
        self.node.kill9()
        if self.random.random() < 0.5:
            while self.answered < sent and client.socket.poll(50):
                self.check(client.recv())
        client.close()
        self.sent_again = max(self.sent_again, sent)
        self.node.start()
        if self.random.random() < 0.2:
            self.node.kill9()
            self.node.start()
        with Client(self.node) as reader:
            head = reader.head()
        known = max((reply["seq"] for reply in self.expected[:self.answered]), default=0)
        self.assertGreaterEqual(head, known, "an acknowledged event is lost")
        self.unheard += head > known

    def test_history(self):
        for moment in sorted(self.random.randrange(COMMANDS) for _ in range(KILLS)):
            self.kill(*self.run_until(max(moment, self.answered)))
        client, _ = self.run_until(COMMANDS)
        client.close()
        print(f"kills that left commands done but unanswered: {self.unheard}", file=sys.stderr)
        if KILLS >= 20:
            self.assertGreater(self.unheard, 0, "no kill was in between commit and reply")
        self.node.kill9()
        with Client(self.node.start()) as client:
            self.compare_events(client)
            self.compare_state(client)
            self.repeat_old_ids(client)
            self.compare_events(client)

    def compare_events(self, client):
        events = [plain_event(event) for event in client.all_events()]
        for event, expected in zip(events, self.model.events):
            self.assertEqual(event, expected)
        self.assertEqual(len(events), len(self.model.events))

    def compare_state(self, client):
        products, _ = client.pages("ListProducts", "products")
        self.assertEqual(products, self.model.ListProducts(limit=COMMANDS)["products"])
        for sku in self.model.products:
            self.assertEqual(plain(client.ask("GetStock", sku=sku)),
                             {"ok": True, **self.model.GetStock(sku)})
            batches, _ = client.pages("ListBatches", "batches", sku=sku)
            self.assertEqual(batches, self.model.ListBatches(sku, limit=COMMANDS)["batches"])
        self.compare_all(client, "GetBatch", "ref", self.model.batches)
        self.compare_all(client, "GetAllocations", "orderid", self.model.orders)
        figures = client.ask("GetStats")
        for key, value in self.model.GetStats().items():
            self.assertEqual(figures[key], value, key)

    def compare_all(self, client, query, key, names):
        requests = [{"type": query, key: name} for name in names]
        for request, reply in zip(requests, client.pipeline(requests)):
            self.assertEqual(plain(reply), self.model.handle(request), request)

    def repeat_old_ids(self, client):
        ids = list(self.model.replies)
        sample = self.random.sample(ids, min(len(ids), 500 + COMMANDS // 20))
        requests = [{**self.model.replies[ident][0], "id": ident} for ident in sample]
        for request in requests:
            if request["type"] == "ChangeBatchEta":
                request.setdefault("eta", None)
        for ident, reply in zip(sample, client.pipeline(requests)):
            self.assertEqual(plain(reply), self.model.replies[ident][1], ident)


if __name__ == "__main__":
    unittest.main()
