#!/usr/bin/python3
"""Section 2 of the contract: messages, fields, errors and their order, replies."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import msgpack

from allocd import Client, Node, NodeCase, pack, plain, unique
from model import COMMANDS, EVENT_FIELDS, LIMIT_MAX, QTY_MAX, QUERIES

BODY_MAX = 64 * 1024


def valid_request(kind):
    """A request of each type that is right in its shape."""
    values = {"ref": unique("ref"), "sku": unique("sku"), "orderid": unique("order"), "qty": 1,
              "eta": None}
    fields = (COMMANDS.get(kind) or QUERIES.get(kind)) or []
    return {"type": kind, **{name: values[name] for name, _, presence in fields
                             if presence != "?"}}


def raw_map(*pairs):
    """A map of encoded keys and values, keys as often as given."""
    body = msgpack.Packer().pack_map_header(len(pairs))
    return body + b"".join(msgpack.packb(key) + value for key, value in pairs)


class Malformed(NodeCase):
    def assert_malformed(self, body):
        reply = self.client.request_body(body)
        self.assert_refused(reply, "malformed")
        self.assertNotIn("id", reply)
        self.assertNotIn("seq", reply)

    def test_what_is_no_msgpack(self):
        for body in (b"", b"\xc1", b"hello", b"{}", b"\x81", b"\x81\xa4type",
                     b"\xdf\xff\xff\xff\xff", b"\xde\x00\x01", b"\x81\xa4type\xa9",
                     b"\x81\xa4type\xdb\xff\xff\xff\xff", b"\xc7", b"\xd9", b"\xda\x00",
                     b"\xdd\x08\x00\x00\x00"):
            with self.subTest(body=body):
                self.assert_malformed(body)

    def test_what_is_no_map(self):
        for value in (None, True, 0, 1.5, "Ping", b"Ping", [], ["type", "Ping"],
                      msgpack.ExtType(1, b"x")):
            with self.subTest(value=value):
                self.assert_malformed(pack(value))

    def test_trailing_bytes(self):
        ping = pack({"type": "Ping"})
        for tail in (b"\x00", b"\xc0", b"\xc1", b"\x80", ping):
            with self.subTest(tail=tail):
                self.assert_malformed(ping + tail)

    def test_truncated_at_each_byte(self):
        body = pack({"type": "Allocate", "orderid": "o", "sku": "s", "qty": 70000, "id": "i"})
        for length in range(len(body)):
            with self.subTest(length=length):
                self.assert_malformed(body[:length])

    def test_no_str_type(self):
        self.assert_malformed(pack({}))
        self.assert_malformed(pack({"id": "x"}))
        for value in (None, True, 7, 1.5, b"Ping", ["Ping"], {"Ping": 1}, msgpack.ExtType(2, b"")):
            with self.subTest(value=value):
                self.assert_malformed(pack({"type": value}))

    def test_a_key_twice(self):
        kind, one, two = pack("GetStock"), pack("A"), pack("B")
        self.assert_malformed(raw_map(("type", kind), ("sku", one), ("sku", two)))
        self.assert_malformed(raw_map(("type", kind), ("sku", one), ("sku", one)))
        self.assert_malformed(raw_map(("type", kind), ("type", kind), ("sku", one)))
        self.assert_malformed(raw_map(("type", kind), ("x", one), ("sku", one), ("x", one)))
        self.assert_malformed(raw_map(("type", pack("Ping")), ("id", one), ("id", one)))

    def test_a_key_twice_in_two_encodings(self):
        body = b"\x83\xa4type\xa4Ping\xa2id\xa1a\xd9\x02id\xa1a"
        self.assert_malformed(body)

    def test_a_key_that_is_no_str(self):
        for key in (1, None, True, b"type", 1.5):
            with self.subTest(key=key):
                self.assert_malformed(pack({"type": "Ping", key: "x"}))

    def test_too_deep(self):
        for value in ([[]], [["Allocated"]], [{}], ["Allocated", [1]], {"a": []}, {"a": {"b": 1}}):
            with self.subTest(value=value):
                self.assert_malformed(pack({"type": "GetEvents", "types": value}))
        self.assert_malformed(b"\x82\xa4type\xa9GetEvents\xa5types" + b"\x91" * 10000 + b"\xc0")

    def test_id_does_not_come_back(self):
        self.assert_malformed(pack({"type": "Ping", "id": "mine"}) + b"\x00")


class TooLarge(NodeCase):
    def padded(self, length):
        body = pack({"type": "Ping", "id": "i", "padding": "x" * 60000})
        return pack({"type": "Ping", "id": "i", "padding": "x" * (60000 + length - len(body))})

    def test_64_kib_are_read(self):
        body = self.padded(BODY_MAX)
        self.assertEqual(len(body), BODY_MAX)
        self.assert_refused(self.client.request_body(body), "unknown_field", "padding")

    def test_one_byte_more_is_too_large(self):
        reply = self.client.request_body(self.padded(BODY_MAX + 1))
        self.assert_refused(reply, "too_large")
        self.assertNotIn("id", reply)
        self.assertNotIn("seq", reply)

    def test_it_comes_before_malformed(self):
        for body in (b"\xc1" * (BODY_MAX + 1), b"\x00" * 1024 * 1024, b"\x91" * 500_000):
            self.assert_refused(self.client.request_body(body), "too_large")


class UnknownNames(NodeCase):
    # Messages that the node may send to itself are none of a client's business.
    INSIDE = ("AllocationRequired", "StockGrew", "MESSAGE_NONE", "None")

    def test_unknown_types(self):
        for kind in ("", "Nonsense", "allocate", "Allocate ", "Ping\x00", "T" * 5000, "\u00e9",
                     *EVENT_FIELDS, "Heartbeat", "Welcome", *self.INSIDE):
            for fields in ({}, {"orderid": "o", "qty": 1}, {"ref": "r", "qty": 1}):
                with self.subTest(kind=kind, fields=fields):
                    reply = self.client.request(kind, id="known", **fields)
                    self.assert_refused(reply, "unknown_type")
                    self.assertEqual(reply["id"], "known")
                    self.assertNotIn("seq", reply)

    def test_unknown_fields(self):
        for kind in [*COMMANDS, *QUERIES]:
            for extra in ("", "foo", "Qty", "batchref", "seq", "ref\x00"):
                for value in (1, None, [], {}, ["x"]):
                    with self.subTest(kind=kind, extra=extra, value=value):
                        reply = self.client.request(**{
                            "kind": kind, **dict(list(valid_request(kind).items())[1:]),
                            "id": "i", extra: value})
                        self.assert_refused(reply, "unknown_field", extra.strip("\x00"))
                        self.assertEqual(reply["id"], "i")
                        self.assertEqual("seq" in reply, kind in COMMANDS)

    def test_a_field_of_another_type_is_unknown(self):
        self.assert_refused(self.client.request("Ping", sku="A"), "unknown_field", "sku")
        self.assert_refused(self.client.request("GetBatch", ref="A", qty=1), "unknown_field", "qty")
        self.assert_refused(self.client.request("GetStock", sku="A", limit=1), "unknown_field",
                            "limit")


class Fields(NodeCase):
    """Each field of each message: left out, of each wrong type, at its limits and beyond."""

    WRONG_TYPES = {
        "text": [None, 5, True, 1.5, b"text", [], ["x"], {}, {"a": 1}, msgpack.ExtType(1, b"x")],
        "number": [None, "5", True, False, 5.0, 1.5, float("nan"), b"5", [], [5], {}, {"a": 1},
                   msgpack.ExtType(1, b"x"), msgpack.Timestamp(5)],
        "types": ["Allocated", 5, True, b"Allocated", {"Allocated": 1}, {}, 1.5,
                  msgpack.ExtType(1, b"x")],
    }
    CONTROLS = ["\x00", "\x1f", "\n", "\x7f", "\x80", "\x9f"]

    def bad_values(self, kind):
        if kind in ("sku", "ref", "id"):
            most = {"sku": 64, "ref": 255, "id": 320}[kind]
            return (self.WRONG_TYPES["text"] + ["", "x" * (most + 1), "\u00e9" * (most // 2) + "xx"]
                    + [f"a{control}b" for control in self.CONTROLS])
        if kind in ("qty", "qty_or_zero", "limit"):
            most = LIMIT_MAX if kind == "limit" else QTY_MAX
            zero = [] if kind == "qty_or_zero" else [0]
            return self.WRONG_TYPES["number"] + zero + [-1, -2**63, most + 1, 2**32, 2**32 + 1,
                                                        2**63, 2**64 - 1]
        if kind == "seq":
            return self.WRONG_TYPES["number"] + [-1, -128, -2**63]
        if kind == "eta":
            return [value for value in self.WRONG_TYPES["text"] if value is not None] + [
                "", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-04-31",
                "0000-01-01", "10000-01-01", "2026-1-01", "2026-01-1", "26-01-01", "2026/01/01",
                "2026-01-01 ", " 2026-01-01", "2026-01-01T00:00:00", "20260101", "2026-01-0a",
                "+026-01-01", "-026-01-01", "1900-02-29", "2026-01-01\x00", "tomorrow",
                "\u0662\u0660\u0662\u0666-01-01"]
        return self.WRONG_TYPES["types"] + [
            [], ["Nonsense"], ["Heartbeat"], ["Allocate"], ["AllocationRequired"], ["StockGrew"],
            [None], [5], [b"Allocated"], ["Allocated"] * 17, ["Allocated", "allocated"], [""]]

    def good_values(self, kind):
        if kind in ("sku", "ref", "id"):
            most = {"sku": 64, "ref": 255, "id": 320}[kind]
            return [unique("x"), unique("x").ljust(most, "y"), unique("\u00e9/%\u20ac \U0001f600"),
                    unique("\u00a0"), "\u00e9" * (most // 2)]
        if kind in ("qty", "qty_or_zero", "limit"):
            most = LIMIT_MAX if kind == "limit" else QTY_MAX
            return [1, 127, 128, most] + ([0] if kind == "qty_or_zero" else [])
        if kind == "seq":
            return [0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
        if kind == "eta":
            return [None, "0001-01-01", "9999-12-31", "2024-02-29", "2000-02-29", "1815-06-18"]
        return [["Allocated"], list(EVENT_FIELDS), ["Allocated"] * 16]

    def fields(self):
        for message, fields in {**COMMANDS, **QUERIES}.items():
            yield from ((message, *field) for field in fields)

    def test_missing(self):
        for message, name, _, presence in self.fields():
            if presence == "?":
                continue
            with self.subTest(message=message, field=name):
                request = valid_request(message)
                del request[name]
                reply = self.client.request_body(pack({**request, "id": "i"}))
                self.assert_refused(reply, "missing_field", name)
                self.assertEqual(reply["id"], "i")
                self.assertEqual("seq" in reply, message in COMMANDS)

    def test_the_first_missing_field_is_named(self):
        for message, fields in {**COMMANDS, **QUERIES}.items():
            required = [name for name, _, presence in fields if presence != "?"]
            if required:
                reply = self.client.request(message)
                self.assert_refused(reply, "missing_field", required[0])

    def test_bad_values(self):
        for message, name, kind, presence in self.fields():
            for value in self.bad_values(kind):
                if value is None and presence != "":
                    continue
                with self.subTest(message=message, field=name, value=value):
                    request = {**valid_request(message), name: value, "id": "i"}
                    reply = self.client.request_body(pack(request))
                    self.assert_refused(reply, "invalid_field", name)
                    self.assertEqual(reply["id"], "i")
                    self.assertEqual("seq" in reply, message in COMMANDS)

    def test_text_that_is_no_utf8(self):
        for raw in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80",
                    b"\xe2\x82", b"\xf8\x88\x80\x80\x80"):
            text = bytes([0xa0 + len(raw)]) + raw
            for message, name, kind, _ in self.fields():
                if kind not in ("sku", "ref"):
                    continue
                with self.subTest(raw=raw, message=message, field=name):
                    pairs = [(key, pack(value)) for key, value in valid_request(message).items()
                             if key != name]
                    reply = self.client.request_body(raw_map(*pairs, (name, text)))
                    self.assert_refused(reply, "invalid_field", name)
            reply = self.client.request_body(raw_map(("type", pack("Ping")), ("id", text)))
            self.assert_refused(reply, "invalid_field", "id")
            self.assertNotIn("id", reply)

    def test_good_values(self):
        for message, name, kind, presence in self.fields():
            for value in self.good_values(kind) + ([None] if presence == "?" else []):
                with self.subTest(message=message, field=name, value=value):
                    reply = self.client.request_body(pack({**valid_request(message), name: value}))
                    self.assertNotIn(reply.get("error"),
                                     ("malformed", "missing_field", "invalid_field"), reply)

    def test_numbers_in_every_encoding(self):
        encodings = [b"\x07", b"\xcc\x07", b"\xcd\x00\x07", b"\xce\x00\x00\x00\x07",
                     b"\xcf" + b"\x00" * 7 + b"\x07", b"\xd0\x07", b"\xd1\x00\x07",
                     b"\xd2\x00\x00\x00\x07", b"\xd3" + b"\x00" * 7 + b"\x07"]
        for encoding in encodings:
            with self.subTest(encoding=encoding):
                ref = unique("ref")
                reply = self.client.request_body(raw_map(
                    ("type", pack("CreateBatch")), ("ref", pack(ref)), ("sku", pack("ENC")),
                    ("qty", encoding)))
                self.assertTrue(reply["ok"], reply)
                self.assertEqual(self.client.ask("GetBatch", ref=ref)["qty"], 7)

    def test_texts_in_every_encoding(self):
        self.client.ask("CreateBatch", ref="enc-ref", sku="ENCODED", qty=1)
        for head in (b"\xa7", b"\xd9\x07", b"\xda\x00\x07", b"\xdb\x00\x00\x00\x07"):
            reply = self.client.request_body(raw_map(("type", pack("GetBatch")),
                                                     ("ref", head + b"enc-ref")))
            self.assertEqual((reply["ok"], reply.get("ref")), (True, "enc-ref"), reply)

    def test_maps_and_arrays_in_every_encoding(self):
        for head in (b"\x82", b"\xde\x00\x02", b"\xdf\x00\x00\x00\x02"):
            for array in (b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"):
                body = head + b"\xa4type\xa9GetEvents\xa5types" + array + b"\xa9Allocated"
                self.assertTrue(self.client.request_body(body)["ok"])

    def test_id(self):
        for message in [*COMMANDS, *QUERIES]:
            for value in self.bad_values("id"):
                if value is None:
                    continue
                with self.subTest(message=message, value=value):
                    reply = self.client.request_body(pack({**valid_request(message), "id": value}))
                    self.assert_refused(reply, "invalid_field", "id")
                    self.assertNotIn("id", reply)
            for value in self.good_values("id"):
                with self.subTest(message=message, value=value):
                    reply = self.client.request_body(pack({**valid_request(message), "id": value}))
                    self.assertNotEqual(reply.get("error"), "invalid_field", reply)
                    self.assertEqual(reply["id"], value)

    def test_no_id_none_comes_back(self):
        self.assertNotIn("id", self.client.request("Ping"))
        self.assertNotIn("id", self.client.request("Ping", id=None))
        self.assertNotIn("id", self.client.request("GetBatch", ref="none"))


class Precedence(NodeCase):
    """Of several faults the first in the table of errors counts, and the first field."""

    def refusal(self, kind, **fields):
        return self.client.request(kind, **fields)

    def test_malformed_before_unknown_type(self):
        self.assert_refused(self.client.request_body(pack({"type": "Nonsense"}) + b"\x00"),
                            "malformed")
        self.assert_refused(self.client.request_body(pack({"type": "Nonsense", 5: 5})), "malformed")
        self.assert_refused(self.refusal("Nonsense", x=[[]]), "malformed")

    def test_unknown_type_before_fields(self):
        self.assert_refused(self.refusal("Nonsense", x=1, id=5), "unknown_type")

    def test_unknown_field_before_missing_and_invalid(self):
        self.assert_refused(self.refusal("Allocate", orderid=5, nonsense=1), "unknown_field",
                            "nonsense")

    def test_missing_field_before_invalid(self):
        self.assert_refused(self.refusal("Allocate", orderid=5, sku=""), "missing_field", "qty")

    def test_among_fields_the_first_of_the_table(self):
        for order in (("ref", "sku", "qty", "eta"), ("eta", "qty", "sku", "ref")):
            bad = {"ref": "", "sku": "", "qty": 0, "eta": "x"}
            for first in ("ref", "sku", "qty", "eta"):
                reply = self.refusal("CreateBatch", **{name: bad[name] for name in order})
                self.assert_refused(reply, "invalid_field", first)
                bad[first] = {"ref": "R", "sku": "S", "qty": 1}.get(first)

    def test_invalid_field_before_rules(self):
        self.assert_refused(self.refusal("Allocate", orderid="o", sku="no-such", qty=0),
                            "invalid_field", "qty")
        self.assert_refused(self.refusal("ChangeBatchQuantity", ref="no-such", qty=-1),
                            "invalid_field", "qty")

    def test_invalid_field_before_id_reused(self):
        ident = unique("id")
        self.refusal("Allocate", orderid="o", sku="no-such", qty=1, id=ident)
        self.assert_refused(self.refusal("Allocate", orderid="o", sku="no-such", qty=0, id=ident),
                            "invalid_field")

    def test_id_reused_before_rules(self):
        ident = unique("id")
        reply = self.refusal("Allocate", orderid="o", sku="no-such", qty=1, id=ident)
        self.assert_refused(reply, "invalid_sku", "no-such")
        self.assert_refused(self.refusal("Allocate", orderid="o", sku="other", qty=1, id=ident),
                            "id_reused")

    def test_unknown_sku_before_unknown_line(self):
        self.assert_refused(self.refusal("Deallocate", orderid="none", sku="no-such"),
                            "invalid_sku", "no-such")

    def test_line_conflict_before_stock(self):
        self.client.ask("CreateBatch", ref="p-1", sku="PRECEDENCE", qty=5)
        self.client.ask("Allocate", orderid="o-1", sku="PRECEDENCE", qty=2)
        self.assert_refused(self.refusal("Allocate", orderid="o-1", sku="PRECEDENCE", qty=50),
                            "line_conflict")


class Errors(NodeCase):
    """Each refusal by a rule: its code, its text, its seq; and that nothing was changed."""

    def setUp(self):
        super().setUp()
        self.sku = unique("SKU")
        self.ref = unique("ref")
        self.head = self.client.ask("CreateBatch", ref=self.ref, sku=self.sku, qty=5)["seq"]

    def assert_refusal(self, code, naming, kind, **fields):
        reply = self.client.request(kind, **fields)
        self.assert_refused(reply, code, naming)
        if kind in COMMANDS:
            self.assertEqual(reply["seq"], self.head)
        else:
            self.assertNotIn("seq", reply)
        self.assertEqual(self.client.head(), self.head)

    def test_invalid_sku(self):
        self.assert_refusal("invalid_sku", "Invalid sku NOPE", "Allocate", orderid="o", sku="NOPE",
                            qty=1)
        self.assert_refusal("invalid_sku", "Invalid sku NOPE", "Deallocate", orderid="o",
                            sku="NOPE")
        self.assert_refusal("invalid_sku", "Invalid sku NOPE", "GetStock", sku="NOPE")
        self.assert_refusal("invalid_sku", "Invalid sku NOPE", "ListBatches", sku="NOPE")

    def test_unknown_batch(self):
        self.assert_refusal("unknown_batch", "no-ref", "ChangeBatchQuantity", ref="no-ref", qty=1)
        self.assert_refusal("unknown_batch", "no-ref", "ChangeBatchEta", ref="no-ref", eta=None)
        self.assert_refusal("unknown_batch", "no-ref", "GetBatch", ref="no-ref")

    def test_unknown_line(self):
        self.assert_refusal("unknown_line", "no-order", "Deallocate", orderid="no-order",
                            sku=self.sku)

    def test_unknown_order(self):
        self.assert_refusal("unknown_order", "no-order", "GetAllocations", orderid="no-order")

    def test_an_order_without_lines_is_unknown_again(self):
        self.client.ask("Allocate", orderid="short", sku=self.sku, qty=1)
        self.client.ask("Deallocate", orderid="short", sku=self.sku)
        self.assert_refused(self.client.request("GetAllocations", orderid="short"),
                            "unknown_order", "short")

    def test_batch_conflict(self):
        for change in ({"sku": "OTHER"}, {"qty": 6}, {"eta": "2026-01-01"}):
            fields = {"ref": self.ref, "sku": self.sku, "qty": 5, **change}
            self.assert_refusal("batch_conflict", self.ref, "CreateBatch", **fields)

    def test_line_conflict(self):
        self.head = self.client.ask("Allocate", orderid="o", sku=self.sku, qty=2)["seq"]
        self.assert_refusal("line_conflict", "o", "Allocate", orderid="o", sku=self.sku, qty=3)

    def test_out_of_stock(self):
        reply = self.client.request("Allocate", orderid="o", sku=self.sku, qty=6)
        self.assert_refused(reply, "out_of_stock", f"Out of stock for sku {self.sku}")
        self.assertIs(reply["retryable"], True)
        self.assertEqual(reply["seq"], self.head + 1)
        self.assertEqual(self.client.head(), self.head + 1)

    def test_out_of_stock_with_an_id(self):
        """It is remembered, and so the same for ever."""
        for _ in range(2):
            reply = self.client.request("Allocate", orderid="o", sku=self.sku, qty=6, id="never")
            self.assert_refused(reply, "out_of_stock", f"Out of stock for sku {self.sku}")
            self.assertEqual((reply["retryable"], reply["seq"]), (False, self.head + 1))

    def test_id_reused(self):
        ident = unique("id")
        self.head = self.client.ask("Allocate", orderid="o1", sku=self.sku, qty=1,
                                    id=ident)["seq"]
        self.assert_refusal("id_reused", ident, "Allocate", orderid="o2", sku=self.sku, qty=1,
                            id=ident)


class ReplyShapes(NodeCase):
    """What a reply holds, no more and no less of what the contract names."""

    def keys(self, kind, **fields):
        return set(plain(self.client.ask(kind, **fields)))

    def test_commands(self):
        common = {"ok", "seq"}
        self.assertEqual(self.keys("CreateBatch", ref="s-1", sku="SHAPE", qty=9), common)
        self.assertEqual(self.keys("CreateBatch", ref="s-1", sku="SHAPE", qty=9),
                         common | {"duplicate"})
        self.assertEqual(self.keys("Allocate", orderid="so", sku="SHAPE", qty=2, id="shape-1"),
                         common | {"batchref", "id"})
        self.assertEqual(self.keys("Allocate", orderid="so", sku="SHAPE", qty=2),
                         common | {"batchref", "duplicate"})
        self.assertEqual(self.keys("ChangeBatchQuantity", ref="s-1", qty=8), common)
        self.assertEqual(self.keys("ChangeBatchEta", ref="s-1", eta="2030-01-01"), common)
        self.assertEqual(self.keys("Deallocate", orderid="so", sku="SHAPE"), common)
        refusal = self.client.request("Allocate", orderid="so", sku="SHAPE", qty=200)
        self.assertEqual(set(plain(refusal)), {"ok", "error", "retryable", "seq"})

    def test_queries(self):
        self.client.ask("CreateBatch", ref="q-1", sku="QUERIED", qty=9, eta="2030-01-01")
        self.client.ask("Allocate", orderid="qo", sku="QUERIED", qty=2)
        self.assertEqual(self.keys("GetAllocations", orderid="qo"), {"ok", "lines", "next"})
        self.assertEqual(self.keys("GetStock", sku="QUERIED"),
                         {"ok", "sku", "version", "available", "batches", "exhausted"})
        self.assertEqual(self.keys("ListBatches", sku="QUERIED"), {"ok", "batches", "next"})
        self.assertEqual(plain(self.client.ask("GetBatch", ref="q-1", id="q")),
                         {"ok": True, "ref": "q-1", "sku": "QUERIED", "qty": 9, "available": 7,
                          "eta": "2030-01-01", "id": "q"})
        self.assertEqual(self.keys("ListProducts"), {"ok", "products", "next"})
        self.assertEqual(self.keys("GetEvents"), {"ok", "events", "next", "head", "first"})
        self.assertEqual(self.client.ask("Ping"), {"ok": True})

    def test_stats(self):
        before = self.client.ask("GetStats")
        for key in ("uptime_ms", "seq", "products", "waiting_lines", "commands", "queries",
                    "refusals", "malformed", "commits", "events", "group_max",
                    "upstream_received", "upstream_bad", "replies_dropped", "peers",
                    "store_bytes", "events_behind"):
            self.assertIs(type(before[key]), int, key)
        for key, value in before.items():
            self.assertNotIsInstance(value, (list, dict), key)
        self.client.ask("CreateBatch", ref=unique("st"), sku=unique("STATS"), qty=5)
        self.client.request("GetBatch", ref="no-such")
        self.client.request_body(b"\xc1")
        after = self.client.ask("GetStats")
        grown = {key: after[key] - before[key] for key in
                 ("seq", "products", "commands", "refusals", "malformed", "events")}
        self.assertEqual((grown["seq"], grown["products"], grown["commands"], grown["events"]),
                         (1, 1, 1, 1))
        self.assertGreaterEqual(grown["refusals"], 1)
        self.assertEqual(grown["malformed"], 1)
        self.assertGreaterEqual(after["queries"] - before["queries"], 1)
        self.assertGreater(after["commits"], before["commits"])
        self.assertGreaterEqual(after["peers"], 1)
        self.assertGreater(after["store_bytes"], 0)
        self.assertGreaterEqual(after["group_max"], 1)

    def test_waiting_lines_are_counted(self):
        before = self.client.ask("GetStats")["waiting_lines"]
        sku = unique("WAITS")
        self.client.ask("CreateBatch", ref=sku, sku=sku, qty=5)
        self.client.ask("Allocate", orderid="w", sku=sku, qty=5)
        self.client.ask("ChangeBatchQuantity", ref=sku, qty=1)
        self.assertEqual(self.client.ask("GetStats")["waiting_lines"], before + 1)

    def test_seq_of_an_empty_node_is_zero(self):
        node = Node()
        self.addCleanup(node.close)
        with Client(node.start()) as client:
            reply = client.request("Allocate", orderid="o", sku="X", qty=1)
            self.assertEqual((reply["error"], reply["seq"]), ("invalid_sku", 0))
            self.assertEqual(client.request("Allocate", orderid="o", sku="X", qty=0)["seq"], 0)
            self.assertEqual(plain(client.ask("GetEvents")),
                             {"ok": True, "events": [], "next": None, "head": 0, "first": 0})
            self.assertEqual(plain(client.ask("ListProducts")),
                             {"ok": True, "products": [], "next": None})
            self.assertEqual(client.ask("GetStats")["seq"], 0)


if __name__ == "__main__":
    unittest.main()
