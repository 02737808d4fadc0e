#!/usr/bin/python3
"""Section 3 of the contract: small stories for rules 1 to 8, with their exact events.

Each reply and each event is compared with the model's by RuleCase; what the tests state
themselves is what the rule says, so that the model is tested as well."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import RuleCase


class Rule1Available(RuleCase):
    def test_available_is_purchased_less_allocated(self):
        self.batch("b", 20)
        self.allocate("o", 2)
        self.assertEqual(self.stock(), [("b", 18)])
        self.assertEqual(self.done("GetBatch", ref="b")["available"], 18)

    def test_a_line_that_takes_all(self):
        self.batch("b", 2)
        self.assertEqual(self.allocate("o", 2)["batchref"], "b")
        self.assertEqual(self.stock(), [])
        self.assertEqual(self.done("GetStock", sku="CHAIR")["exhausted"], 1)

    def test_one_more_than_available_does_not_fit(self):
        self.batch("b", 2)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=3)

    def test_a_line_goes_whole_to_one_batch(self):
        self.batch("b1", 5)
        self.batch("b2", 5)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=6)
        self.batch("b3", 6, "2030-01-01")
        self.assertEqual(self.allocate("o", 6)["batchref"], "b3")

    def test_batches_of_another_sku_do_not_count(self):
        self.batch("b", 100, sku="TABLE")
        self.batch("c", 1)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2)
        self.assertEqual(self.stock("TABLE"), [("b", 100)])

    def test_never_below_zero(self):
        self.batch("b", 10)
        for number in range(5):
            self.allocate(f"o{number}", 2)
        self.resize("b", 3)
        self.assertEqual(self.done("GetBatch", ref="b")["available"], 1)
        self.resize("b", 0)
        self.assertEqual(self.done("GetBatch", ref="b")["available"], 0)

    def test_the_largest_numbers(self):
        most = 1_000_000_000
        for number in range(5):
            self.batch(f"b{number}", most)
        self.assertEqual(self.done("GetStock", sku="CHAIR")["available"], 5 * most)
        self.allocate("o", most)
        self.assertEqual(self.done("ListProducts")["products"][0]["available"], 4 * most)


class Rule2OrderOfUse(RuleCase):
    def test_warehouse_stock_before_shipments(self):
        self.batch("shipment", 10, "0001-01-01")
        self.batch("here", 10)
        self.assertEqual(self.allocate("o", 1)["batchref"], "here")

    def test_the_earliest_eta_first(self):
        self.batch("late", 10, "2031-02-01")
        self.batch("early", 10, "2031-01-31")
        self.batch("middle", 10, "2031-01-31")
        self.assertEqual(self.allocate("o", 10)["batchref"], "early")
        self.assertEqual(self.allocate("p", 10)["batchref"], "middle")
        self.assertEqual(self.allocate("q", 10)["batchref"], "late")

    def test_ties_by_age_not_by_name(self):
        for ref in ("zz", "mm", "aa"):
            self.batch(ref, 1)
        self.assertEqual(self.stock(), [("zz", 1), ("mm", 1), ("aa", 1)])
        self.assertEqual([self.allocate(f"o{n}", 1)["batchref"] for n in range(3)],
                         ["zz", "mm", "aa"])

    def test_the_first_that_fits_not_the_first(self):
        self.batch("small", 1)
        self.batch("large", 5, "2030-01-01")
        self.assertEqual(self.allocate("o", 2)["batchref"], "large")
        self.assertEqual(self.allocate("p", 1)["batchref"], "small")

    def test_a_changed_eta_changes_the_order(self):
        self.batch("a", 5, "2030-01-01")
        self.batch("b", 5, "2031-01-01")
        self.done("ChangeBatchEta", ref="b", eta="2029-12-31")
        self.assertEqual(self.stock(), [("b", 5), ("a", 5)])
        self.done("ChangeBatchEta", ref="a", eta=None)
        self.assertEqual(self.allocate("o", 1)["batchref"], "a")
        self.done("ChangeBatchEta", ref="b", eta=None)
        self.assertEqual(self.stock(), [("a", 4), ("b", 5)])

    def test_age_is_that_of_creation_whatever_was_changed_since(self):
        self.batch("old", 5)
        self.batch("new", 5)
        self.resize("old", 50)
        self.done("ChangeBatchEta", ref="old", eta="2030-01-01")
        self.done("ChangeBatchEta", ref="old", eta=None)
        self.assertEqual(self.stock(), [("old", 50), ("new", 5)])


class Rule3Lines(RuleCase):
    def setUp(self):
        super().setUp()
        self.batch("b", 10)
        self.allocate("o", 4)

    def test_the_same_line_again(self):
        version = self.done("GetStock", sku="CHAIR")["version"]
        reply = self.allocate("o", 4)
        self.assertEqual((reply["batchref"], reply["duplicate"]), ("b", True))
        self.assertEqual(self.fresh, [])
        self.assertEqual(self.done("GetStock", sku="CHAIR")["version"], version)
        self.assertEqual(self.stock(), [("b", 6)])

    def test_another_qty(self):
        self.refused("line_conflict", "Allocate", orderid="o", sku="CHAIR", qty=5)
        self.assertEqual(self.fresh, [])

    def test_this_is_looked_at_before_stock_is(self):
        self.refused("line_conflict", "Allocate", orderid="o", sku="CHAIR", qty=4000)
        self.allocate("p", 6)
        self.assertEqual(self.allocate("o", 4)["duplicate"], True)

    def test_a_line_is_of_an_order_and_a_sku(self):
        self.batch("t", 10, sku="TABLE")
        self.assertEqual(self.allocate("o", 7, "TABLE")["batchref"], "t")
        self.assertEqual(self.allocate("O", 6)["batchref"], "b")
        self.assertEqual(self.done("GetAllocations", orderid="o")["lines"],
                         [{"sku": "CHAIR", "qty": 4, "batchref": "b"},
                          {"sku": "TABLE", "qty": 7, "batchref": "t"}])

    def test_the_batchref_is_where_it_is_now(self):
        self.batch("c", 10, "2030-01-01")
        self.resize("b", 1)
        reply = self.allocate("o", 4)
        self.assertEqual((reply["batchref"], reply["duplicate"]), ("c", True))

    def test_a_line_that_waits_goes_on_waiting(self):
        self.resize("b", 1)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=4)
        self.assertEqual(self.fresh, [])
        self.assertIsNone(self.line("o")["batchref"])
        self.refused("line_conflict", "Allocate", orderid="o", sku="CHAIR", qty=1)
        self.assertIsNone(self.line("o")["batchref"])
        self.resize("b", 4)
        self.assertEqual(self.line("o")["batchref"], "b")


class Rule4BatchReferences(RuleCase):
    def test_the_same_batch_again(self):
        self.batch("b", 10, "2030-01-01")
        reply = self.batch("b", 10, "2030-01-01")
        self.assertIs(reply["duplicate"], True)
        self.assertEqual(self.fresh, [])

    def test_another_sku_qty_or_eta(self):
        self.batch("b", 10, "2030-01-01")
        for change in ({"sku": "TABLE"}, {"qty": 11}, {"eta": "2030-01-02"}, {"eta": None}):
            fields = {"ref": "b", "sku": "CHAIR", "qty": 10, "eta": "2030-01-01", **change}
            self.refused("batch_conflict", "CreateBatch", **fields)
            self.assertEqual(self.fresh, [])
        self.refused("invalid_sku", "GetStock", sku="TABLE")

    def test_what_it_is_now_counts(self):
        self.batch("b", 10)
        self.resize("b", 12)
        self.done("ChangeBatchEta", ref="b", eta="2030-01-01")
        self.refused("batch_conflict", "CreateBatch", ref="b", sku="CHAIR", qty=10)
        self.assertIs(self.batch("b", 12, "2030-01-01")["duplicate"], True)

    def test_nil_and_absent_eta_are_one(self):
        self.done("CreateBatch", ref="b", sku="CHAIR", qty=10)
        self.assertIs(self.batch("b", 10, None)["duplicate"], True)

    def test_a_batch_with_lines_is_the_same_batch(self):
        self.batch("b", 10)
        self.allocate("o", 10)
        self.assertIs(self.batch("b", 10)["duplicate"], True)


class Rule5Products(RuleCase):
    def test_a_product_comes_with_its_first_batch(self):
        self.refused("invalid_sku", "Allocate", orderid="o", sku="CHAIR", qty=1)
        self.assertEqual(self.fresh, [])
        self.assertEqual(self.done("ListProducts")["products"], [])
        self.batch("b", 1)
        self.assertEqual(self.done("ListProducts")["products"],
                         [{"sku": "CHAIR", "version": 1, "available": 1, "batches": 1}])

    def test_each_event_raises_the_version_by_one(self):
        self.batch("b", 10)
        self.batch("t", 10, sku="TABLE")
        self.allocate("o", 6)
        self.resize("b", 5)
        self.assertEqual([event["version"] for event in self.fresh], [3, 4, 5])
        self.done("ChangeBatchEta", ref="b", eta="2030-01-01")
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual([event["version"] for event in self.fresh], [7])
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=6)
        self.assertEqual([event["version"] for event in self.fresh], [8])
        self.assertEqual(self.done("GetStock", sku="CHAIR")["version"], 8)
        self.assertEqual(self.done("GetStock", sku="TABLE")["version"], 1)


class Rule6ChangeBatch(RuleCase):
    def test_growing(self):
        self.batch("b", 10)
        self.resize("b", 15)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "b", 15)])
        self.assertEqual(self.stock(), [("b", 15)])

    def test_what_is_so_already(self):
        self.batch("b", 10, "2030-01-01")
        self.assertIs(self.resize("b", 10)["duplicate"], True)
        self.assertEqual(self.fresh, [])
        self.assertIs(self.done("ChangeBatchEta", ref="b", eta="2030-01-01")["duplicate"], True)
        self.assertEqual(self.fresh, [])
        self.done("ChangeBatchEta", ref="b", eta=None)
        self.assertIs(self.done("ChangeBatchEta", ref="b", eta=None)["duplicate"], True)
        self.assertEqual(self.fresh, [])

    def test_shrinking_what_is_free_moves_no_line(self):
        self.batch("b", 10)
        self.allocate("o", 4)
        self.resize("b", 4)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "b", 4)])

    def test_the_newest_goes_first_and_the_oldest_is_allocated_first(self):
        self.batch("b", 10)
        self.batch("c", 3, "2030-01-01")
        for orderid, qty in (("old", 4), ("middle", 3), ("new", 3)):
            self.allocate(orderid, qty)
        self.resize("b", 5)
        self.assertEqual(self.story(), [
            ("BatchQuantityChanged", "b", 5),
            ("Deallocated", "new", 3, "b"), ("Deallocated", "middle", 3, "b"),
            ("Allocated", "middle", 3, "c"), ("OutOfStock", "new", 3)])
        self.assertEqual(self.line("old")["batchref"], "b")
        self.assertEqual(self.line("middle")["batchref"], "c")
        self.assertIsNone(self.line("new")["batchref"])

    def test_no_more_lines_leave_than_must(self):
        self.batch("b", 10)
        for orderid, qty in (("old", 4), ("middle", 3), ("new", 3)):
            self.allocate(orderid, qty)
        self.resize("b", 7)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "b", 7),
                                        ("Deallocated", "new", 3, "b"), ("OutOfStock", "new", 3)])

    def test_a_displaced_line_served_again_from_the_same_batch(self):
        self.batch("b", 10)
        for orderid, qty in (("old", 4), ("large", 5), ("small", 1)):
            self.allocate(orderid, qty)
        self.resize("b", 5)
        self.assertEqual(self.story(), [
            ("BatchQuantityChanged", "b", 5),
            ("Deallocated", "small", 1, "b"), ("Deallocated", "large", 5, "b"),
            ("OutOfStock", "large", 5), ("Allocated", "small", 1, "b")])

    def test_displaced_lines_go_by_rule_2(self):
        self.batch("b", 6)
        self.allocate("o", 3)
        self.allocate("p", 3)
        self.batch("late", 9, "2031-01-01")
        self.batch("early", 3, "2030-01-01")
        self.resize("b", 0)
        self.assertEqual(self.story()[3:], [("Allocated", "o", 3, "early"),
                                            ("Allocated", "p", 3, "late")])

    def test_newest_is_the_newest_allocation_not_the_newest_order(self):
        self.batch("a", 5)
        self.allocate("first", 5)
        self.batch("b", 10, "2030-01-01")
        self.allocate("second", 5)
        self.resize("a", 1)
        self.assertEqual(self.line("first")["batchref"], "b")
        self.resize("b", 5)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "b", 5),
                                        ("Deallocated", "first", 5, "b"),
                                        ("OutOfStock", "first", 5)])

    def test_a_batch_shrunk_to_nothing_and_grown_again(self):
        self.batch("b", 6)
        for number in range(3):
            self.allocate(f"o{number}", 2)
        self.resize("b", 0)
        self.assertEqual(self.story(), [
            ("BatchQuantityChanged", "b", 0),
            ("Deallocated", "o2", 2, "b"), ("Deallocated", "o1", 2, "b"),
            ("Deallocated", "o0", 2, "b"),
            ("OutOfStock", "o0", 2), ("OutOfStock", "o1", 2), ("OutOfStock", "o2", 2)])
        self.resize("b", 5)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "b", 5),
                                        ("Allocated", "o0", 2, "b"), ("Allocated", "o1", 2, "b")])

    def test_shrinking_serves_a_waiting_line_from_what_a_large_one_leaves(self):
        self.waiting_lines(("waits", 3))
        self.batch("b", 2)
        self.resize("b", 1)
        self.assertIsNone(self.line("waits")["batchref"])
        self.batch("c", 2)
        self.refused("out_of_stock", "Allocate", orderid="n", sku="CHAIR", qty=3)
        self.batch("d", 11)
        self.assertEqual(self.story(), [("BatchCreated", "d", 11, None),
                                        ("Allocated", "waits", 3, "d")])
        self.allocate("large", 8)
        self.done("Deallocate", orderid="waits", sku="CHAIR")
        self.waiting_lines(("small", 4))
        self.resize("d", 7)
        self.assertEqual(self.story(), [
            ("BatchQuantityChanged", "d", 7), ("Deallocated", "large", 8, "d"),
            ("OutOfStock", "large", 8), ("Allocated", "small", 4, "d")])

    def test_an_eta_moves_no_line(self):
        self.batch("b", 5)
        self.allocate("o", 5)
        self.batch("c", 5, "2030-01-01")
        self.done("ChangeBatchEta", ref="b", eta="2040-01-01")
        self.assertEqual(self.story(), [("BatchEtaChanged", "b", "2040-01-01")])
        self.assertEqual(self.line("o")["batchref"], "b")
        self.done("ChangeBatchEta", ref="b", eta=None)
        self.assertEqual(self.story(), [("BatchEtaChanged", "b", None)])

    def test_cause_is_on_each_event(self):
        self.batch("b", 5)
        self.allocate("o", 5)
        self.done("ChangeBatchQuantity", ref="b", qty=1, id="shrink-1")
        self.assertEqual([event.get("cause") for event in self.fresh], ["shrink-1"] * 3)

    def test_many_lines_move(self):
        self.batch("b", 500)
        for reply in self.client.pipeline(
                {"type": "Allocate", "orderid": f"o{n}", "sku": "CHAIR", "qty": 1}
                for n in range(500)):
            self.assertTrue(reply["ok"])
        for number in range(500):
            self.model.handle({"type": "Allocate", "orderid": f"o{number}", "sku": "CHAIR",
                               "qty": 1})
        self.batch("c", 100)
        self.resize("b", 150)
        self.assertEqual(len(self.fresh), 1 + 350 + 350)
        self.assertEqual(self.story()[1], ("Deallocated", "o499", 1, "b"))
        self.assertEqual(self.story()[351], ("Allocated", "o150", 1, "c"))
        self.assertEqual(self.story()[-1], ("OutOfStock", "o499", 1))


class Rule7WaitingLines(RuleCase):
    def test_create_batch_serves_them(self):
        self.waiting_lines(("o", 5))
        self.batch("b", 9)
        self.assertEqual(self.story(), [("BatchCreated", "b", 9, None), ("Allocated", "o", 5, "b")])
        self.assertEqual(self.stock(), [("b", 4)])

    def test_change_batch_quantity_serves_them(self):
        self.waiting_lines(("o", 5))
        self.resize("gone-o", 5)
        self.assertEqual(self.story(), [("BatchQuantityChanged", "gone-o", 5),
                                        ("Allocated", "o", 5, "gone-o")])

    def test_deallocate_serves_them(self):
        self.batch("b", 5)
        self.allocate("holder", 5)
        self.waiting_lines(("o", 5))
        self.done("Deallocate", orderid="holder", sku="CHAIR")
        self.assertEqual(self.story(), [("Deallocated", "holder", 5, "b"),
                                        ("Allocated", "o", 5, "b")])

    def test_in_the_order_in_which_they_began_to_wait(self):
        self.waiting_lines(("zz", 2), ("mm", 2), ("aa", 2))
        self.batch("b", 4)
        self.assertEqual(self.story()[1:], [("Allocated", "zz", 2, "b"),
                                            ("Allocated", "mm", 2, "b")])

    def test_lines_displaced_together_the_oldest_allocation_first(self):
        self.batch("b", 6)
        for orderid in ("x", "y", "z"):
            self.allocate(orderid, 2)
        self.resize("b", 0)
        self.batch("c", 4)
        self.assertEqual(self.story()[1:], [("Allocated", "x", 2, "c"),
                                            ("Allocated", "y", 2, "c")])

    def test_one_that_does_not_fit_stops_no_later_one(self):
        self.waiting_lines(("large", 9), ("small", 2))
        self.batch("b", 5)
        self.assertEqual(self.story(), [("BatchCreated", "b", 5, None),
                                        ("Allocated", "small", 2, "b")])
        self.assertIsNone(self.line("large")["batchref"])

    def test_no_second_out_of_stock(self):
        self.waiting_lines(("o", 9))
        for number in range(3):
            self.batch(f"b{number}", 5)
            self.assertEqual(self.story(), [("BatchCreated", f"b{number}", 5, None)])

    def test_a_line_that_waits_again_goes_to_the_end(self):
        self.waiting_lines(("a", 2))
        self.batch("b", 2)
        self.assertEqual(self.line("a")["batchref"], "b")
        self.waiting_lines(("c", 2))
        self.resize("b", 0)
        self.assertIsNone(self.line("a")["batchref"])
        self.batch("d", 2)
        self.assertEqual(self.story()[1:], [("Allocated", "c", 2, "d")])

    def test_an_eta_or_another_sku_serves_nothing(self):
        self.waiting_lines(("o", 5))
        self.batch("t", 50, sku="TABLE")
        self.assertEqual(self.story(), [("BatchCreated", "t", 50, None)])
        self.done("ChangeBatchEta", ref="gone-o", eta=None)
        self.assertEqual(self.story(), [("BatchEtaChanged", "gone-o", None)])

    def test_freed_stock_serves_several(self):
        self.batch("b", 6)
        self.allocate("holder", 6)
        self.waiting_lines(("w0", 2), ("w1", 2), ("w2", 2), ("w3", 2))
        self.done("Deallocate", orderid="holder", sku="CHAIR")
        self.assertEqual(self.story(), [("Deallocated", "holder", 6, "b")] + [
            ("Allocated", f"w{number}", 2, "b") for number in range(3)])

    def test_a_new_line_may_be_served_while_a_larger_one_waits(self):
        self.waiting_lines(("large", 50))
        self.batch("b", 5)
        self.assertEqual(self.allocate("n", 5)["batchref"], "b")

    def test_they_are_served_by_rule_2(self):
        self.waiting_lines(("o", 5))
        self.batch("small", 4)
        self.batch("b", 5, "2030-01-01")
        self.assertEqual(self.story()[1:], [("Allocated", "o", 5, "b")])


class Rule8Refusals(RuleCase):
    def test_out_of_stock_leaves_no_line(self):
        self.batch("b", 1)
        self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2)
        self.assertEqual(self.story(), [("OutOfStock", "o", 2)])
        self.refused("unknown_order", "GetAllocations", orderid="o")
        self.refused("unknown_line", "Deallocate", orderid="o", sku="CHAIR")
        self.batch("c", 2)
        self.assertEqual(self.story(), [("BatchCreated", "c", 2, None)])
        self.assertEqual(self.allocate("o", 1)["batchref"], "b")

    def test_each_refusal_is_an_event(self):
        self.batch("b", 1)
        for _ in range(3):
            self.refused("out_of_stock", "Allocate", orderid="o", sku="CHAIR", qty=2)
            self.assertEqual(self.story(), [("OutOfStock", "o", 2)])

    def test_deallocate_an_allocated_line(self):
        self.batch("b", 5)
        self.allocate("o", 5)
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual(self.story(), [("Deallocated", "o", 5, "b")])
        self.assertEqual(self.stock(), [("b", 5)])
        self.refused("unknown_line", "Deallocate", orderid="o", sku="CHAIR")

    def test_deallocate_a_waiting_line(self):
        self.waiting_lines(("o", 5))
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual(self.story(), [("Deallocated", "o", 5, None)])
        self.batch("b", 5)
        self.assertEqual(self.story(), [("BatchCreated", "b", 5, None)])

    def test_it_is_not_allocated_anew(self):
        self.batch("b", 5)
        self.batch("c", 5)
        self.allocate("o", 5)
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual(self.story(), [("Deallocated", "o", 5, "b")])
        self.refused("unknown_order", "GetAllocations", orderid="o")

    def test_the_same_line_may_come_again(self):
        self.batch("b", 5)
        self.allocate("o", 5)
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertNotIn("duplicate", self.allocate("o", 4))

    def test_other_lines_of_the_order_stay(self):
        self.batch("b", 5)
        self.batch("t", 5, sku="TABLE")
        self.allocate("o", 5)
        self.allocate("o", 5, "TABLE")
        self.done("Deallocate", orderid="o", sku="CHAIR")
        self.assertEqual(self.done("GetAllocations", orderid="o")["lines"],
                         [{"sku": "TABLE", "qty": 5, "batchref": "t"}])
        self.refused("unknown_line", "Deallocate", orderid="o", sku="CHAIR")


if __name__ == "__main__":
    unittest.main()
