#!/usr/bin/python3
"""Section 2 of the contract: queries and their pages."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, Node, NodeCase, plain, raw_items, unpack
from model import LIMIT_MAX


class Queries(NodeCase):
    """Contents, order and pages of the queries."""

    SKUS = ["A", "A B", "AA", "B", "Z", "a", "\u00e9", "\u20ac", "\U0001f600"]  # in byte order

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Client(cls.node) as client:
            requests = []
            for number, sku in enumerate(reversed(cls.SKUS)):
                requests.append({"type": "CreateBatch", "ref": f"{sku}-late", "sku": sku,
                                 "qty": 10, "eta": "2030-05-05"})
                requests.append({"type": "CreateBatch", "ref": f"{sku}-early", "sku": sku,
                                 "qty": 20 + number, "eta": "2029-05-05"})
                requests.append({"type": "CreateBatch", "ref": f"{sku}-here", "sku": sku,
                                 "qty": 3})
                requests.append({"type": "Allocate", "orderid": "big-order", "sku": sku, "qty": 3})
            assert all(reply["ok"] for reply in client.pipeline(requests))

    def test_get_allocations_by_sku(self):
        lines = self.client.ask("GetAllocations", orderid="big-order")["lines"]
        self.assertEqual(lines, [{"sku": sku, "qty": 3, "batchref": f"{sku}-here"}
                                 for sku in self.SKUS])

    def test_pages_at_every_limit(self):
        for limit in range(1, len(self.SKUS) + 2):
            rows, _ = self.client.pages("GetAllocations", "lines", orderid="big-order",
                                        limit=limit)
            self.assertEqual([row["sku"] for row in rows], self.SKUS)
            rows, _ = self.client.pages("ListProducts", "products", limit=limit)
            self.assertEqual([row["sku"] for row in rows], self.SKUS)
            rows, _ = self.client.pages("ListBatches", "batches", sku="B", limit=limit)
            self.assertEqual([row["ref"] for row in rows], ["B-early", "B-here", "B-late"])

    def test_a_page_holds_at_most_its_limit_and_says_where_to_go_on(self):
        page = self.client.ask("ListProducts", limit=2)
        self.assertEqual([row["sku"] for row in page["products"]], ["A", "A B"])
        self.assertEqual(page["next"], "A B")
        page = self.client.ask("ListProducts", limit=2, after="A B")
        self.assertEqual([row["sku"] for row in page["products"]], ["AA", "B"])

    def test_next_is_nil_where_all_was_seen(self):
        for query, fields in (("ListProducts", {}), ("ListBatches", {"sku": "B"}),
                              ("GetAllocations", {"orderid": "big-order"})):
            self.assertIsNone(self.client.ask(query, **fields)["next"])
        self.assertIsNone(self.client.ask("ListProducts", limit=len(self.SKUS))["next"])
        self.assertIsNone(self.client.ask("ListBatches", sku="B", limit=3)["next"])

    def test_after_need_not_exist(self):
        rows = self.client.ask("ListProducts", after="AAA", limit=1)["products"]
        self.assertEqual(rows[0]["sku"], "B")
        rows = self.client.ask("ListBatches", sku="B", after="B-f")["batches"]
        self.assertEqual([row["ref"] for row in rows], ["B-here", "B-late"])
        rows = self.client.ask("GetAllocations", orderid="big-order", after="b")["lines"]
        self.assertEqual([row["sku"] for row in rows], self.SKUS[6:])

    def test_after_the_end(self):
        for query, key, fields in (("ListProducts", "products", {}),
                                   ("ListBatches", "batches", {"sku": "B"}),
                                   ("GetAllocations", "lines", {"orderid": "big-order"})):
            page = self.client.ask(query, after="\U0001f600\U0001f600", **fields)
            self.assertEqual((page[key], page["next"]), ([], None))
        page = self.client.ask("GetEvents", after=2**64 - 1)
        self.assertEqual((page["events"], page["next"]), ([], None))
        self.assertEqual(page["head"], 4 * len(self.SKUS))

    def test_list_products(self):
        rows = {row["sku"]: row for row in self.client.ask("ListProducts")["products"]}
        for number, sku in enumerate(reversed(self.SKUS)):
            self.assertEqual(rows[sku], {"sku": sku, "version": 4, "available": 30 + number,
                                         "batches": 3})

    def test_list_batches_has_the_exhausted_ones_too(self):
        self.assertEqual(self.client.ask("ListBatches", sku="\U0001f600")["batches"], [
            {"ref": "\U0001f600-early", "qty": 20, "available": 20, "eta": "2029-05-05"},
            {"ref": "\U0001f600-here", "qty": 3, "available": 0, "eta": None},
            {"ref": "\U0001f600-late", "qty": 10, "available": 10, "eta": "2030-05-05"}])

    def test_get_stock_in_order_of_use(self):
        stock = plain(self.client.ask("GetStock", sku="\U0001f600"))
        self.assertEqual(stock, {
            "ok": True, "sku": "\U0001f600", "version": 4, "available": 30, "exhausted": 1,
            "batches": [
                {"ref": "\U0001f600-early", "qty": 20, "available": 20, "eta": "2029-05-05"},
                {"ref": "\U0001f600-late", "qty": 10, "available": 10, "eta": "2030-05-05"}]})

    def test_get_stock_warehouse_first_then_eta_then_age(self):
        node = Node()
        self.addCleanup(node.close)
        with Client(node.start()) as client:
            for ref, eta in (("e", "2030-01-02"), ("d", "2030-01-01"), ("c", None),
                             ("b", "2030-01-01"), ("a", None)):
                client.ask("CreateBatch", ref=ref, sku="S", qty=1, eta=eta)
            refs = [batch["ref"] for batch in client.ask("GetStock", sku="S")["batches"]]
            self.assertEqual(refs, ["c", "a", "d", "b", "e"])


class ManyBatches(NodeCase):
    def test_get_stock_shows_the_first_thousand(self):
        requests = [{"type": "CreateBatch", "ref": f"{n:05}", "sku": "MANY", "qty": 1,
                     "eta": f"{2030 - n // 300:04}-01-01"} for n in range(1203)]
        requests += [{"type": "Allocate", "orderid": f"o{n}", "sku": "MANY", "qty": 1}
                     for n in range(3)]
        self.assertTrue(all(reply["ok"] for reply in self.client.pipeline(requests)))
        stock = self.client.ask("GetStock", sku="MANY")
        order = sorted(range(1203), key=lambda n: (2030 - n // 300, n))[3:]
        self.assertEqual([batch["ref"] for batch in stock["batches"]],
                         [f"{n:05}" for n in order[:1000]])
        self.assertEqual((stock["available"], stock["exhausted"]), (1200, 3))
        rows, _ = self.client.pages("ListBatches", "batches", sku="MANY")
        self.assertEqual([row["ref"] for row in rows], [f"{n:05}" for n in range(1203)])

    def test_a_page_has_1000_rows_at_most_by_default(self):
        self.client.pipeline({"type": "CreateBatch", "ref": f"d{n:05}", "sku": f"D{n}", "qty": 1}
                             for n in range(1100))
        page = self.client.ask("ListProducts")
        self.assertLessEqual(len(page["products"]), 1000)
        self.assertIsNotNone(page["next"])
        page = self.client.ask("GetEvents")
        self.assertLessEqual(len(page["events"]), 1000)
        self.assertIsNotNone(page["next"])
        rows, _ = self.client.pages("ListProducts", "products", limit=LIMIT_MAX)
        skus = [row["sku"] for row in rows]
        self.assertEqual(skus, sorted(set(skus)))
        self.assertLessEqual({f"D{n}" for n in range(1100)}, set(skus))

    def test_pages_asked_for_at_once_lead_to_the_end_each(self):
        self.client.pipeline({"type": "CreateBatch", "ref": f"e{n:05}", "sku": f"E{n}", "qty": 1}
                             for n in range(3000))
        for kind, key, fields in [("ListProducts", "products", {}),
                                  ("GetEvents", "events", {"types": ["BatchCreated"]}),
                                  ("GetEvents", "events", {"types": ["BatchEtaChanged"]})]:
            with self.subTest(kind=kind, fields=fields):
                rows, _ = self.client.pages(kind, key, limit=LIMIT_MAX, **fields)
                query = {"type": kind, "limit": LIMIT_MAX, **fields}
                for page in self.client.pipeline([query] * 40):
                    seen = page[key]
                    self.assertEqual(seen, rows[:len(seen)])
                    if page["next"] is not None:
                        more, _ = self.client.pages(kind, key, after=page["next"],
                                                    limit=LIMIT_MAX, **fields)
                        seen = seen + more
                    self.assertEqual(len(seen), len(rows))


class Events(NodeCase):
    """GetEvents: its filters and pages."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Client(cls.node) as client:
            for sku in ("RED", "BLUE"):
                client.ask("CreateBatch", ref=sku, sku=sku, qty=10)
            for number in range(6):
                client.ask("Allocate", orderid=f"o{number}", sku=("RED", "BLUE")[number % 2],
                           qty=2, id=f"cause-{number}")
            client.request("Allocate", orderid="o9", sku="RED", qty=9)
            client.ask("ChangeBatchQuantity", ref="RED", qty=11)
            client.ask("ChangeBatchEta", ref="RED", eta="2030-01-01")
            client.ask("Deallocate", orderid="o0", sku="RED")

    def seqs(self, **fields):
        return [event["seq"] for event in self.client.ask("GetEvents", **fields)["events"]]

    def test_all(self):
        page = self.client.ask("GetEvents")
        self.assertEqual([event["seq"] for event in page["events"]], list(range(1, 13)))
        self.assertEqual((page["next"], page["head"], page["first"]), (None, 12, 1))

    def test_after(self):
        self.assertEqual(self.seqs(after=0), list(range(1, 13)))
        self.assertEqual(self.seqs(after=9), [10, 11, 12])
        self.assertEqual(self.seqs(after=12), [])

    def test_types(self):
        self.assertEqual(self.seqs(types=["BatchCreated"]), [1, 2])
        self.assertEqual(self.seqs(types=["OutOfStock", "BatchCreated", "OutOfStock"]), [1, 2, 9])
        self.assertEqual(self.seqs(types=["BatchEtaChanged", "Deallocated"], after=11), [12])

    def test_sku(self):
        self.assertEqual(self.seqs(sku="BLUE"), [2, 4, 6, 8])
        self.assertEqual(self.seqs(sku="BLUE", types=["Allocated"], after=4), [6, 8])

    def test_pages(self):
        for limit in (1, 2, 3, 5, 12):
            rows, last = self.client.pages("GetEvents", "events", limit=limit)
            self.assertEqual([event["seq"] for event in rows], list(range(1, 13)))
            self.assertEqual(last["head"], 12)
            rows, _ = self.client.pages("GetEvents", "events", limit=limit, sku="RED")
            self.assertEqual([event["seq"] for event in rows], [1, 3, 5, 7, 9, 10, 11, 12])
        self.assertIsNone(self.client.ask("GetEvents", limit=12)["next"])

    def test_bodies(self):
        events = self.client.all_events()
        self.assertEqual([event["type"] for event in events], [
            "BatchCreated", "BatchCreated", *["Allocated"] * 6, "OutOfStock",
            "BatchQuantityChanged", "BatchEtaChanged", "Deallocated"])
        self.assertEqual(events[0]["eta"], None)
        self.assertNotIn("cause", events[0])
        self.assertEqual(events[2]["cause"], "cause-0")
        self.assertEqual([event["prev"] for event in events],
                         [0, 1, 0, 3, 4, 5, 6, 7, 0, 0, 0, 0])
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))
        self.assertEqual([event["version"] for event in events],
                         [1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8])

    def test_an_event_in_a_page_is_a_map_of_its_own(self):
        self.client.send({"type": "GetEvents"})
        bodies = raw_items(self.client.recv_body(), "events")
        self.assertEqual([unpack(body)["seq"] for body in bodies], list(range(1, 13)))


if __name__ == "__main__":
    unittest.main()
