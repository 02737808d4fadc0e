#!/usr/bin/python3
"""The oracle finds what it is there to find: a node made of the model has one defect each time."""

import random
import sys
import time
import unittest
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, check_reply, pack, topic_of, unpack
from history import History
from model import Model
from oracle import Journal, Oracle, Violation

SEED = 1
COMMANDS = 1_500
LOST_SHARE = 0.05  # of the replies
REFUSAL = {"ok": False, "error": "storage_full", "retryable": True}


class FakeNode(Client):
    """A client whose node is a model in this process. Tests break it by what they put in place of
    its attributes."""

    def __init__(self):
        self.model = Model()
        self.replies = deque()

    def close(self):
        pass

    def send_body(self, body):
        self.replies.append(pack(self.answer(unpack(body))))

    def recv_body(self, deadline=None):
        return self.replies.popleft()

    def answer(self, request):
        reply = self.model.handle(request)
        if "events" in reply:
            reply["events"] = [self.stored(event) for event in reply["events"]]
        if not reply["ok"]:
            reply["message"] = "a message"
        return reply

    def stored(self, event):
        return {**event, "time": 1_000 + event["seq"] // 3}

    def broadcast(self):
        return [(topic_of(event), pack(self.stored(event))) for event in self.model.events]


class OracleCase(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.node, self.journal = FakeNode(), Journal()
        self.oracle = Oracle(self.journal)

    def send(self, request, connection="one", hears=True):
        entry = self.journal.sent(connection, request)
        reply = check_reply(self.node.answer(dict(request)))
        if hears:
            self.journal.answered(entry, reply)
        return reply

    def do(self, kind, hears=True, **fields):
        return self.send({"type": kind, **fields}, hears=hears)

    def play(self, commands=COMMANDS):
        """A history of two clients, some of it without ids, some of it unanswered."""
        history = History(SEED, skus=6, orders=200, refs=40, anonymous=0.1)
        for _ in range(commands):
            request = history.next_request(self.node.model)
            self.send(request, self.random.choice(["one", "two"]),
                      self.random.random() >= LOST_SHARE)

    def judge(self):
        self.oracle.settle(self.node)
        self.oracle.check(self.node)

    def finds(self, promise):
        with self.assertRaises(Violation) as raised:
            self.judge()
        self.assertEqual(raised.exception.promise, promise, raised.exception)


class Good(OracleCase):
    def test_a_long_history(self):
        self.play()
        self.oracle.listen(0, self.node.broadcast())
        self.judge()
        for figure in ("replies judged", "unanswered, had happened", "settled without change",
                       "unanswered without id, had happened"):
            self.assertGreater(self.oracle.figures[figure], 0, figure)
        self.assertEqual(self.oracle.figures["events"], self.node.model.seq)

    def test_piece_by_piece(self):
        for _ in range(20):
            self.play(COMMANDS // 20)
            self.judge()
        self.assertEqual(self.oracle.figures["checks"], 20)
        self.assertEqual(self.oracle.figures["not judged"], 0)

    def test_unanswered_and_not_done(self):
        self.do("CreateBatch", ref="b", sku="S", qty=10, id="1")
        self.journal.sent("one", {"type": "Allocate", "orderid": "o", "sku": "S", "qty": 1})
        self.journal.sent("one", {"type": "Allocate", "orderid": "p", "sku": "S", "qty": 1,
                                  "id": "2"})
        self.judge()
        self.assertEqual(self.oracle.figures["unanswered, had not happened"], 1)

    def test_refused_by_the_store(self):
        entry = self.journal.sent("one", {"type": "CreateBatch", "ref": "b", "sku": "S", "qty": 1,
                                          "id": "1"})
        self.journal.answered(entry, {**REFUSAL, "id": "1", "seq": 0})
        self.judge()
        self.assertEqual(self.oracle.figures["unanswered, had not happened"], 1)

    def test_it_is_fast(self):
        self.play(20_000)
        start = time.process_time()
        self.judge()
        self.assertGreater(self.oracle.figures["events"] / (time.process_time() - start), 2_000)


class Bad(OracleCase):
    """One defect each."""

    def setUp(self):
        super().setUp()
        self.play(200)
        self.do("CreateBatch", ref="near", sku="S", qty=10, eta=None, id="near")
        self.do("CreateBatch", ref="far", sku="S", qty=10, eta="2040-01-01", id="far")
        self.do("Allocate", orderid="o", sku="S", qty=4, id="o")

    def change_event(self, seq, **fields):
        self.node.model.events[seq - 1].update(fields)

    # ---- what was acknowledged

    def test_the_newest_ack_is_lost(self):
        del self.node.model.events[-1]
        self.finds("O1")

    def test_an_ack_is_lost_and_others_follow(self):
        entry = self.journal.sent("one", {"type": "Allocate", "orderid": "x", "sku": "S", "qty": 1,
                                          "id": "x"})
        self.journal.answered(entry, {"ok": True, "batchref": "near", "id": "x",
                                      "seq": self.node.model.seq})
        self.do("Allocate", orderid="y", sku="S", qty=1, id="y")
        self.finds("O1")

    def test_an_ack_without_id_is_lost(self):
        entry = self.journal.sent("one", {"type": "Deallocate", "orderid": "o", "sku": "S"})
        self.journal.answered(entry, {"ok": True, "seq": self.node.model.seq})
        self.finds("O1")

    def test_something_else_was_done(self):
        self.change_event(self.node.model.seq, qty=5)
        self.finds("O1")

    def test_refused_by_the_store_and_done(self):
        self.refuse_and_do(id="r")
        self.finds("O1")

    def test_refused_by_the_store_without_id_and_done(self):
        self.refuse_and_do()
        self.finds("O3")

    def refuse_and_do(self, **ident):
        request = {"type": "Allocate", "orderid": "r", "sku": "S", "qty": 1, **ident}
        entry = self.journal.sent("one", request)
        self.journal.answered(entry, {**REFUSAL, **ident, "seq": self.node.model.seq})
        self.node.model.handle(request)

    # ---- once

    def test_an_id_is_applied_twice(self):
        request = {"type": "ChangeBatchQuantity", "ref": "near", "qty": 12, "id": "again"}
        self.send(request)
        self.do("ChangeBatchQuantity", ref="near", qty=13)
        del self.node.model.replies["again"]
        self.send(request)
        self.finds("O2")

    def test_done_oftener_than_asked(self):
        self.do("ChangeBatchQuantity", ref="near", qty=12, hears=False)
        self.do("ChangeBatchQuantity", ref="near", qty=13)
        self.node.model.handle({"type": "ChangeBatchQuantity", "ref": "near", "qty": 12})
        self.finds("O3")

    def test_nobody_asked_for_it(self):
        self.node.model.handle({"type": "Deallocate", "orderid": "o", "sku": "S", "id": "who"})
        self.finds("O1")

    def test_replies_are_not_remembered(self):
        self.do("Allocate", orderid="z", sku="S", qty=1, id="z", hears=False)
        self.do("Allocate", orderid="z2", sku="S", qty=1, id="z2")
        del self.node.model.replies["z"]
        self.finds("O8")  # it tells of a duplicate, which its first execution was not

    def test_no_stable_reply(self):
        self.do("Allocate", orderid="z", sku="S", qty=1, id="z", hears=False)
        answer, seqs = self.node.answer, iter(range(1_000_000, 2_000_000))
        self.node.answer = lambda request: (
            {**answer(request), "seq": next(seqs)} if request.get("id") == "z"
            else answer(request))
        self.finds("O3")

    def test_a_remembered_reply_changes_after_a_check(self):
        self.judge()
        self.node.model.replies["o"][1]["batchref"] = "far"
        self.do("Allocate", orderid="o", sku="S", qty=4, id="o")
        self.finds("O8")

    # ---- the log

    def test_a_gap(self):
        del self.node.model.events[50]
        self.node.model.events.append(dict(self.node.model.events[-1]))
        self.finds("O4")

    def test_the_past_changes(self):
        self.judge()
        self.change_event(self.node.model.seq, qty=5)
        self.finds("O4")

    def test_the_past_is_lost(self):
        self.judge()
        del self.node.model.events[-1]
        self.finds("O1")

    def test_prev_leads_elsewhere(self):
        self.change_event(50, prev=1)
        self.finds("O4")

    def test_a_version_is_skipped(self):
        self.change_event(50, version=999)
        self.finds("O4")

    def test_time_goes_back(self):
        self.node.stored = lambda event: {**event, "time": 10_000 - event["seq"]}
        self.finds("O4")

    def test_the_wrong_batch(self):
        self.change_event(self.node.model.seq, batchref="far")
        self.node.model.replies["o"][1]["batchref"] = "far"
        self.finds("O5")

    def test_a_command_in_part(self):
        self.do("ChangeBatchQuantity", ref="near", qty=1, id="shrink", hears=False)
        del self.node.model.events[-1]
        self.node.model.replies["shrink"][1]["seq"] -= 1
        self.finds("O5")

    def test_out_of_stock_where_there_is_some(self):
        model = self.node.model
        model.cause = "poor"
        model.event("OutOfStock", model.products["S"], orderid="poor", qty=1)
        entry = self.journal.sent("one", {"type": "Allocate", "orderid": "poor", "sku": "S",
                                          "qty": 1, "id": "poor"})
        self.journal.answered(entry, {"ok": False, "error": "out_of_stock", "message": "m",
                                      "retryable": True, "id": "poor", "seq": model.seq})
        self.finds("O5")

    # ---- the state

    def test_a_line_is_missing(self):
        del self.node.model.orders["o"]
        self.finds("O5")

    def test_a_wrong_quantity(self):
        self.node.model.batches["near"].qty += 1
        self.finds("O5")

    def test_a_wrong_count_of_waiting_lines(self):
        self.node.model.products["S"].waiting["ghost"] = None
        self.finds("O5")

    def test_the_views_do_not_add_up(self):
        answer = self.node.answer

        def shrunk(request):
            reply = answer(request)
            if request["type"] == "ListBatches" and request["sku"] == "S":
                reply["batches"][0]["available"] -= 1
            return reply
        self.node.answer = shrunk
        self.finds("O6")

    # ---- subscribers

    def test_seen_live_and_not_in_the_log(self):
        self.do("ChangeBatchEta", ref="near", eta="2050-01-01", hears=False)
        self.oracle.listen(0, self.node.broadcast())
        del self.node.model.events[-1]
        self.finds("O7")

    def test_seen_out_of_order(self):
        live = self.node.broadcast()
        live[7], live[8] = live[8], live[7]
        self.oracle.listen(0, live)
        self.finds("O7")

    def test_not_seen(self):
        live = self.node.broadcast()
        del live[60]
        self.oracle.listen(10, live)
        self.finds("O7")

    def test_seen_otherwise(self):
        self.oracle.listen(0, self.node.broadcast())
        self.change_event(self.node.model.seq, cause="other")
        self.finds("O7")

    def test_a_heartbeat_of_the_future(self):
        self.oracle.listen(0, [(b"Heartbeat/", pack({"seq": self.node.model.seq + 1}))])
        self.finds("O7")

    # ---- replies

    def test_a_refusal_without_reason(self):
        entry = self.journal.sent("one", {"type": "Allocate", "orderid": "q", "sku": "S", "qty": 1,
                                          "id": "q"})
        self.journal.answered(entry, {"ok": False, "error": "line_conflict", "message": "m",
                                      "retryable": False, "id": "q", "seq": self.node.model.seq})
        self.finds("O1")

    def test_the_wrong_refusal(self):
        reply = self.do("Allocate", orderid="q", sku="NONE", qty=1, id="q")
        reply["error"] = "unknown_line"
        self.finds("O8")

    def test_duplicate_is_not_told(self):
        reply = self.do("Allocate", orderid="o", sku="S", qty=4)
        del reply["duplicate"]
        self.finds("O8")

    def test_a_reply_before_its_time(self):
        reply = self.do("Allocate", orderid="q", sku="NONE", qty=1)
        reply["seq"] -= 1
        self.finds("O8")

    def test_a_reply_to_another(self):
        entry = self.journal.sent("one", {"type": "Deallocate", "orderid": "o", "sku": "S",
                                          "id": "d"})
        with self.assertRaisesRegex(Violation, "^O8"):
            self.journal.answered(entry, {"ok": True, "id": "e", "seq": self.node.model.seq + 1})


class Verify(unittest.TestCase):
    def cut(self, wanted, length):
        """--verify has something to say of a store whose file was cut."""
        node = Node()
        self.addCleanup(node.close)
        with Client(node.start()) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=1, id="1")
        node.stop()
        oracle = Oracle(Journal())
        oracle.verify(node)
        path, = node.data.glob(wanted)
        with open(path, "r+b") as file:
            file.truncate(length)
        with self.assertRaisesRegex(Violation, "^--verify"):
            oracle.verify(node)

    def test_tables_that_are_cut(self):
        self.cut("data.mdb", 8192)

    def test_a_journal_that_is_cut(self):
        self.cut("journal/*.segment", 8192)


if __name__ == "__main__":
    unittest.main()
