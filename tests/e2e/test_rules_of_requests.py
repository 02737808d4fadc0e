#!/usr/bin/python3
"""Section 3 of the contract: small stories for rules 9 and 10, and a random history
that has to do with all.

Each reply and each event is compared with the model's by RuleCase; what the tests state
themselves is what the rule says, so that the model is tested as well."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, RuleCase, plain
from history import History


class Rule9Checks(RuleCase):
    """The order of the checks: shape, id, unknown SKU, unknown batch or line, conflict, stock."""

    def setUp(self):
        super().setUp()
        self.batch("b", 5)
        self.done("Allocate", orderid="o", sku="CHAIR", qty=2, id="used")

    def test_shape_before_id(self):
        self.refused("invalid_field", "Allocate", orderid="o", sku="CHAIR", qty=0, id="used")
        self.refused("missing_field", "Allocate", orderid="o", sku="CHAIR", id="used")
        self.refused("unknown_field", "Allocate", orderid="o", sku="CHAIR", qty=2, x=1, id="used")

    def test_id_before_unknown_sku_batch_and_line(self):
        self.refused("id_reused", "Allocate", orderid="o", sku="NONE", qty=2, id="used")
        self.refused("id_reused", "ChangeBatchQuantity", ref="none", qty=2, id="used")
        self.refused("id_reused", "Deallocate", orderid="none", sku="CHAIR", id="used")

    def test_id_before_duplicates_and_conflicts(self):
        self.refused("id_reused", "CreateBatch", ref="b", sku="CHAIR", qty=5, id="used")
        self.refused("id_reused", "CreateBatch", ref="b", sku="CHAIR", qty=6, id="used")
        self.refused("id_reused", "Allocate", orderid="o", sku="CHAIR", qty=3, id="used")

    def test_unknown_sku_before_unknown_line(self):
        self.refused("invalid_sku", "Deallocate", orderid="none", sku="NONE")
        self.refused("invalid_sku", "Deallocate", orderid="o", sku="NONE")

    def test_conflict_before_stock(self):
        self.refused("line_conflict", "Allocate", orderid="o", sku="CHAIR", qty=500)

    def test_what_is_refused_changes_nothing(self):
        before = [self.done("GetStock", sku="CHAIR"), self.done("ListBatches", sku="CHAIR"),
                  self.done("GetAllocations", orderid="o"), self.done("GetEvents")]
        self.test_shape_before_id()
        self.test_id_before_unknown_sku_batch_and_line()
        self.test_id_before_duplicates_and_conflicts()
        self.test_unknown_sku_before_unknown_line()
        self.test_conflict_before_stock()
        self.refused("unknown_batch", "ChangeBatchQuantity", ref="none", qty=1)
        self.refused("unknown_batch", "ChangeBatchEta", ref="none", eta="2030-01-01")
        self.refused("batch_conflict", "CreateBatch", ref="b", sku="NEW", qty=5)
        after = [self.done("GetStock", sku="CHAIR"), self.done("ListBatches", sku="CHAIR"),
                 self.done("GetAllocations", orderid="o"), self.done("GetEvents")]
        self.assertEqual(before, after)


class Rule10Ids(RuleCase):
    COMMANDS = [
        ("CreateBatch", {"ref": "b", "sku": "CHAIR", "qty": 9, "eta": "2030-01-01"}),
        ("CreateBatch", {"ref": "b", "sku": "CHAIR", "qty": 9, "eta": "2030-01-01"}),
        ("CreateBatch", {"ref": "b", "sku": "CHAIR", "qty": 8}),
        ("Allocate", {"orderid": "o", "sku": "CHAIR", "qty": 4}),
        ("Allocate", {"orderid": "o", "sku": "CHAIR", "qty": 4}),
        ("Allocate", {"orderid": "o", "sku": "CHAIR", "qty": 5}),
        ("Allocate", {"orderid": "p", "sku": "CHAIR", "qty": 50}),
        ("Allocate", {"orderid": "p", "sku": "NONE", "qty": 50}),
        ("ChangeBatchQuantity", {"ref": "b", "qty": 3}),
        ("ChangeBatchQuantity", {"ref": "none", "qty": 3}),
        ("ChangeBatchEta", {"ref": "b", "eta": None}),
        ("ChangeBatchEta", {"ref": "none", "eta": None}),
        ("Deallocate", {"orderid": "o", "sku": "CHAIR"}),
        ("Deallocate", {"orderid": "o", "sku": "CHAIR"}),
    ]

    def play(self):
        return [self.do(kind, id=f"id-{number}", **fields)
                for number, (kind, fields) in enumerate(self.COMMANDS)]

    def test_the_same_request_gets_the_same_reply(self):
        replies = self.play()
        seq = self.model.seq
        codes = [reply.get("error") for reply in replies]
        self.assertEqual(codes, [None, None, "batch_conflict", None, None, "line_conflict",
                                 "out_of_stock", "invalid_sku", None, "unknown_batch", None,
                                 "unknown_batch", None, "unknown_line"])
        self.assertEqual(self.play(), replies)
        self.assertEqual(self.model.seq, seq)

    def test_after_a_crash_and_a_restart_too(self):
        replies = self.play()
        for end in (self.node.kill9, self.node.stop):
            end()
            self.node.start()
            self.client.close()
            self.client = Client(self.node)
            self.addCleanup(self.client.close)
            self.assertEqual(self.play(), replies)

    def test_the_message_comes_back_too(self):
        fields = {"orderid": "o", "sku": "NONE", "qty": 1, "id": "m"}
        first = self.client.request("Allocate", **fields)
        self.assertEqual(self.client.request("Allocate", **fields), first)

    def test_ids_belong_to_the_node(self):
        replies = self.play()
        with Client(self.node) as other:
            again = [plain(other.request(kind, id=f"id-{number}", **fields))
                     for number, (kind, fields) in enumerate(self.COMMANDS)]
        self.assertEqual(again, replies)

    def test_another_request(self):
        self.batch("b", 9)
        self.done("Allocate", orderid="o", sku="CHAIR", qty=1, id="i")
        for kind, fields in (
                ("Allocate", {"orderid": "p", "sku": "CHAIR", "qty": 1}),
                ("Allocate", {"orderid": "o", "sku": "CHAIR", "qty": 2}),
                ("Deallocate", {"orderid": "o", "sku": "CHAIR"}),
                ("ChangeBatchQuantity", {"ref": "b", "qty": 1})):
            reply = self.refused("id_reused", kind, id="i", **fields)
            self.assertEqual((reply["id"], reply["seq"], self.fresh), ("i", 2, []))
        self.assertEqual(self.done("Allocate", orderid="o", sku="CHAIR", qty=1, id="i")["seq"], 2)

    def test_id_reused_does_not_take_the_place_of_the_first(self):
        self.batch("b", 9)
        first = self.done("Allocate", orderid="o", sku="CHAIR", qty=1, id="i")
        self.refused("id_reused", "Allocate", orderid="p", sku="CHAIR", qty=1, id="i")
        self.refused("id_reused", "Allocate", orderid="p", sku="CHAIR", qty=1, id="i")
        self.assertEqual(self.do("Allocate", orderid="o", sku="CHAIR", qty=1, id="i"), first)

    def test_values_as_decoded(self):
        self.done("CreateBatch", ref="b", sku="CHAIR", qty=9, id="i")
        self.assertNotIn("duplicate",
                         self.done("CreateBatch", eta=None, qty=9, sku="CHAIR", ref="b", id="i"))
        body = (b"\x85\xd9\x02id\xd9\x01i\xa3qty\xcf\x00\x00\x00\x00\x00\x00\x00\x09\xa3sku"
                b"\xda\x00\x05CHAIR\xa4type\xabCreateBatch\xa3ref\xdb\x00\x00\x00\x01b")
        self.assertEqual(plain(self.client.request_body(body)), {"ok": True, "id": "i", "seq": 1})
        self.refused("id_reused", "CreateBatch", ref="b", sku="CHAIR", qty=9, eta="2030-01-01",
                     id="i")

    def test_a_refusal_by_a_rule_is_remembered(self):
        self.refused("invalid_sku", "Allocate", orderid="o", sku="CHAIR", qty=1, id="i")
        self.batch("b", 9)
        self.refused("invalid_sku", "Allocate", orderid="o", sku="CHAIR", qty=1, id="i")
        self.assertEqual(self.allocate("o", 1)["batchref"], "b")

    def test_out_of_stock_is_remembered_and_another_id_tries_again(self):
        self.batch("b", 1)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2, id="i")
        self.resize("b", 2)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2, id="i")
        self.assertEqual(self.fresh, [])
        self.done("Allocate", orderid="o", sku="CHAIR", qty=2, id="j")

    def test_a_bad_field_is_not_remembered(self):
        self.batch("b", 9)
        self.refused("invalid_field", "Allocate", orderid="o", sku="CHAIR", qty=0, id="i")
        self.refused("missing_field", "Allocate", orderid="o", sku="CHAIR", id="i")
        self.refused("unknown_field", "Allocate", orderid="o", sku="CHAIR", qty=1, x=1, id="i")
        self.done("Allocate", orderid="o", sku="CHAIR", qty=1, id="i")

    def test_a_query_is_not_remembered(self):
        self.done("GetEvents", id="i")
        self.done("Ping", id="i")
        self.batch("b", 9)
        self.done("CreateBatch", ref="c", sku="CHAIR", qty=9, id="i")
        self.assertEqual(len(self.done("GetEvents", id="i")["events"]), 2)

    def test_no_id_no_memory(self):
        self.batch("b", 1)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2)
        self.resize("b", 2)
        self.assertEqual(self.allocate("o", 2)["batchref"], "b")

    def test_a_remembered_reply_outlives_what_it_reports(self):
        self.batch("b", 9)
        first = self.done("Allocate", orderid="o", sku="CHAIR", qty=1, id="i")
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual(self.do("Allocate", orderid="o", sku="CHAIR", qty=1, id="i"), first)
        self.refused("unknown_order", "GetAllocations", orderid="o")

    def test_in_one_burst(self):
        """The same id many times in flight: executed once, whatever group it falls in."""
        self.batch("b", 1000)
        request = {"type": "Allocate", "orderid": "o", "sku": "CHAIR", "qty": 1, "id": "i"}
        clients = [Client(self.node) for _ in range(4)]
        try:
            for client in clients:
                for _ in range(50):
                    client.send(request)
            replies = [plain(client.recv()) for client in clients for _ in range(50)]
        finally:
            for client in clients:
                client.close()
        self.assertEqual(replies, [self.do(request["type"], orderid="o", sku="CHAIR", qty=1,
                                           id="i")] * 200)
        self.assertEqual(self.model.seq, 2)


class AllRules(RuleCase):
    """All the rules at once, one request at a time: a short history with queries in between."""

    def test_a_random_history(self):
        history = History(seed=7, skus=3, orders=12, refs=8)
        for number in range(150):
            request = history.next_request(self.model)
            self.do(request.pop("type"), **request)
            if number % 10 == 0:
                for sku in sorted(self.model.products):
                    self.done("GetStock", sku=sku)
                    self.done("ListBatches", sku=sku)
                for orderid in sorted(self.model.orders):
                    self.done("GetAllocations", orderid=orderid)
                self.done("ListProducts")


if __name__ == "__main__":
    unittest.main()
