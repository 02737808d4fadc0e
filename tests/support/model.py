"""A reference model of the node: rules 1 to 10, small and obvious rather than fast.

    reply = Model().handle({"type": "Allocate", ...})

gives the reply that the node must give, without its message text; `events` holds all the events
that it must have stored, without their time. Requests are dicts, so what is wrong with bytes
(`malformed`, `too_large`) is not the model's business.
"""

import datetime
import re

QTY_MAX = 1_000_000_000
LIMIT_MAX = 10_000
LIMIT_DEFAULT = 1_000
STOCK_BATCHES_MAX = 1_000
RETRYABLE = {"out_of_stock", "storage_full", "storage_failed"}


def is_retryable(code, has_id):
    """A refusal that is remembered for its id comes back as it was."""
    return code in RETRYABLE and not (code == "out_of_stock" and has_id)


# What is refused for its shape, or for its id, leaves nothing behind.
NOT_REMEMBERED = {"unknown_type", "unknown_field", "missing_field", "invalid_field", "id_reused"}

EVENT_FIELDS = {
    "BatchCreated": ("ref", "qty", "eta"),
    "BatchQuantityChanged": ("ref", "qty"),
    "BatchEtaChanged": ("ref", "eta"),
    "Allocated": ("orderid", "qty", "batchref"),
    "Deallocated": ("orderid", "qty", "batchref"),
    "OutOfStock": ("orderid", "qty"),
}


def is_name(value, max_bytes):
    if type(value) is not str or re.search("[\x00-\x1f\x7f-\x9f]", value):
        return False
    return 1 <= len(value.encode("utf-8", "surrogatepass")) <= max_bytes


def is_int(value, low, high):
    return type(value) is int and low <= value <= high


def is_date(value):
    if type(value) is not str or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    try:
        datetime.date(*map(int, value.split("-")))
    except ValueError:
        return False
    return True


def is_types(value):
    return type(value) is list and 1 <= len(value) <= 16 and all(
        type(item) is str and item in EVENT_FIELDS for item in value)


KINDS = {
    "sku": lambda v: is_name(v, 64),
    "ref": lambda v: is_name(v, 255),
    "id": lambda v: is_name(v, 320),
    "qty": lambda v: is_int(v, 1, QTY_MAX),
    "qty_or_zero": lambda v: is_int(v, 0, QTY_MAX),
    "eta": lambda v: v is None or is_date(v),
    "seq": lambda v: is_int(v, 0, 2**64 - 1),
    "limit": lambda v: is_int(v, 1, LIMIT_MAX),
    "types": is_types,
}

# Fields are (name, kind, presence), where presence is that of the contract's tables: "" must be
# sent, "?" may be left out or nil, "nil" must be sent and may be nil.
COMMANDS = {
    "CreateBatch": [("ref", "ref", ""), ("sku", "sku", ""), ("qty", "qty", ""),
                    ("eta", "eta", "?")],
    "Allocate": [("orderid", "ref", ""), ("sku", "sku", ""), ("qty", "qty", "")],
    "ChangeBatchQuantity": [("ref", "ref", ""), ("qty", "qty_or_zero", "")],
    "ChangeBatchEta": [("ref", "ref", ""), ("eta", "eta", "nil")],
    "Deallocate": [("orderid", "ref", ""), ("sku", "sku", "")],
}
QUERIES = {
    "GetAllocations": [("orderid", "ref", ""), ("after", "sku", "?"), ("limit", "limit", "?")],
    "GetStock": [("sku", "sku", "")],
    "ListBatches": [("sku", "sku", ""), ("after", "ref", "?"), ("limit", "limit", "?")],
    "GetBatch": [("ref", "ref", "")],
    "ListProducts": [("after", "sku", "?"), ("limit", "limit", "?")],
    "GetEvents": [("after", "seq", "?"), ("limit", "limit", "?"), ("types", "types", "?"),
                  ("sku", "sku", "?")],
    "GetStats": [],
    "Ping": [],
}


class Refused(Exception):
    """The rules say no; the argument is the error code."""


class Batch:
    def __init__(self, ref, sku, qty, eta, age):
        self.ref, self.sku, self.qty, self.eta, self.age = ref, sku, qty, eta, age
        self.lines = {}  # orderid: line, in the order in which they were allocated
        self.allocated = 0

    @property
    def available(self):
        return self.qty - self.allocated

    def order_of_use(self):
        return (self.eta is not None, self.eta or "", self.age)

    def view(self):
        return {"ref": self.ref, "qty": self.qty, "available": self.available, "eta": self.eta}


class Line:
    def __init__(self, orderid, sku, qty):
        self.orderid, self.sku, self.qty = orderid, sku, qty
        self.batch = None  # None: it waits

    @property
    def batchref(self):
        return self.batch.ref if self.batch else None


class Product:
    def __init__(self, sku):
        self.sku = sku
        self.version = 0
        self.batches = []
        self.waiting = {}  # orderid: line, in the order in which they began to wait

    @property
    def available(self):
        return sum(batch.available for batch in self.batches)


def by_bytes(text):
    return text.encode()


class Model:
    def __init__(self):
        self.products = {}  # sku: product
        self.batches = {}   # ref: batch
        self.orders = {}    # orderid: {sku: line}
        self.events = []
        self.newest = {}    # event type: seq of the newest one
        self.replies = {}   # id: (request, reply)
        self.cause = None

    @property
    def seq(self):
        return len(self.events)

    # ---- a request from shape to reply ------------------------------------------------------

    def handle(self, request):
        kind, ident = request.get("type"), request.get("id")
        what = {key: value for key, value in request.items() if key != "id" and value is not None}
        try:
            self.check_shape(request)
            if kind in QUERIES:
                reply = {"ok": True, **getattr(self, kind)(**without(what, "type"))}
            else:
                if ident in self.replies:
                    first, reply = self.replies[ident]
                    if first == what:
                        return dict(reply)
                    raise Refused("id_reused")
                self.cause = ident
                fields = {name: request.get(name) for name, _, _ in COMMANDS[kind]}
                reply = {"ok": True, **getattr(self, kind)(**fields)}
        except Refused as refusal:
            code = refusal.args[0]
            reply = {"ok": False, "error": code, "retryable": is_retryable(code, ident is not None)}
        if ident is not None and KINDS["id"](ident):
            reply["id"] = ident
        if kind in COMMANDS:
            reply["seq"] = self.seq
            if ident is not None and reply.get("error") not in NOT_REMEMBERED:
                self.replies[ident] = (what, dict(reply))
        return reply

    def check_shape(self, request):
        kind = request["type"]
        if kind not in COMMANDS and kind not in QUERIES:
            raise Refused("unknown_type")
        fields = COMMANDS.get(kind) or QUERIES.get(kind) or []
        if set(request) - {name for name, _, _ in fields} - {"type", "id"}:
            raise Refused("unknown_field")
        if any(presence != "?" and name not in request for name, _, presence in fields):
            raise Refused("missing_field")
        for name, rule, presence in fields + [("id", "id", "?")]:
            value = request.get(name)
            if not KINDS[rule](value) and not (presence == "?" and value is None):
                raise Refused("invalid_field")

    # ---- commands ----------------------------------------------------------------------------

    def CreateBatch(self, ref, sku, qty, eta):
        batch = self.batches.get(ref)
        if batch:
            if (batch.sku, batch.qty, batch.eta) != (sku, qty, eta):
                raise Refused("batch_conflict")
            return {"duplicate": True}
        product = self.products.setdefault(sku, Product(sku))
        self.event("BatchCreated", product, ref=ref, qty=qty, eta=eta)
        batch = self.batches[ref] = Batch(ref, sku, qty, eta, self.seq)
        product.batches.append(batch)
        self.serve_waiting(product)
        return {}

    def Allocate(self, orderid, sku, qty):
        product = self.product(sku)
        line = self.orders.get(orderid, {}).get(sku)
        if line:
            if line.qty != qty:
                raise Refused("line_conflict")
            if not line.batch:
                raise Refused("out_of_stock")
            return {"batchref": line.batchref, "duplicate": True}
        line = Line(orderid, sku, qty)
        if not self.place(product, line):
            self.event("OutOfStock", product, orderid=orderid, qty=qty)
            raise Refused("out_of_stock")
        self.orders.setdefault(orderid, {})[sku] = line
        return {"batchref": line.batchref}

    def ChangeBatchQuantity(self, ref, qty):
        batch = self.batch(ref)
        product = self.products[batch.sku]
        if batch.qty == qty:
            return {"duplicate": True}
        batch.qty = qty
        self.event("BatchQuantityChanged", product, ref=ref, qty=qty)
        displaced = []
        while batch.allocated > batch.qty:
            line = batch.lines[next(reversed(batch.lines))]
            self.event("Deallocated", product, orderid=line.orderid, qty=line.qty, batchref=ref)
            self.leave_batch(line)
            displaced.insert(0, line)
        for line in displaced:
            if not self.place(product, line):
                self.event("OutOfStock", product, orderid=line.orderid, qty=line.qty)
                product.waiting[line.orderid] = line
        self.serve_waiting(product)
        return {}

    def ChangeBatchEta(self, ref, eta):
        batch = self.batch(ref)
        if batch.eta == eta:
            return {"duplicate": True}
        batch.eta = eta
        self.event("BatchEtaChanged", self.products[batch.sku], ref=ref, eta=eta)
        return {}

    def Deallocate(self, orderid, sku):
        product = self.product(sku)
        line = self.orders.get(orderid, {}).get(sku)
        if not line:
            raise Refused("unknown_line")
        self.event("Deallocated", product, orderid=orderid, qty=line.qty, batchref=line.batchref)
        if line.batch:
            self.leave_batch(line)
        else:
            del product.waiting[orderid]
        del self.orders[orderid][sku]
        if not self.orders[orderid]:
            del self.orders[orderid]
        self.serve_waiting(product)
        return {}

    # ---- what commands are made of -------------------------------------------------------------

    def product(self, sku):
        if sku not in self.products:
            raise Refused("invalid_sku")
        return self.products[sku]

    def batch(self, ref):
        if ref not in self.batches:
            raise Refused("unknown_batch")
        return self.batches[ref]

    def place(self, product, line):
        """Allocates the line by rule 2; False where no batch takes it."""
        fitting = [batch for batch in product.batches if batch.available >= line.qty]
        if not fitting:
            return False
        line.batch = min(fitting, key=Batch.order_of_use)
        line.batch.lines[line.orderid] = line
        line.batch.allocated += line.qty
        self.event("Allocated", product, orderid=line.orderid, qty=line.qty,
                   batchref=line.batch.ref)
        return True

    def leave_batch(self, line):
        line.batch.allocated -= line.qty
        del line.batch.lines[line.orderid]
        line.batch = None

    def serve_waiting(self, product):
        for line in list(product.waiting.values()):
            if self.place(product, line):
                del product.waiting[line.orderid]

    def event(self, kind, product, **fields):
        product.version += 1
        event = {"type": kind, "seq": self.seq + 1, "prev": self.newest.get(kind, 0),
                 "sku": product.sku, "version": product.version, **fields}
        if self.cause is not None:
            event["cause"] = self.cause
        self.events.append(event)
        self.newest[kind] = event["seq"]

    # ---- queries -------------------------------------------------------------------------------

    def GetAllocations(self, orderid, after="", limit=LIMIT_DEFAULT):
        if orderid not in self.orders:
            raise Refused("unknown_order")
        lines = sorted(self.orders[orderid].values(), key=lambda line: by_bytes(line.sku))
        rows = [{"sku": line.sku, "qty": line.qty, "batchref": line.batchref} for line in lines]
        return page("lines", rows, "sku", after, limit)

    def GetStock(self, sku):
        product = self.product(sku)
        stocked = sorted((b for b in product.batches if b.available), key=Batch.order_of_use)
        return {"sku": sku, "version": product.version, "available": product.available,
                "batches": [batch.view() for batch in stocked[:STOCK_BATCHES_MAX]],
                "exhausted": len(product.batches) - len(stocked)}

    def ListBatches(self, sku, after="", limit=LIMIT_DEFAULT):
        batches = sorted(self.product(sku).batches, key=lambda batch: by_bytes(batch.ref))
        return page("batches", [batch.view() for batch in batches], "ref", after, limit)

    def GetBatch(self, ref):
        return {"sku": self.batch(ref).sku, **self.batch(ref).view()}

    def ListProducts(self, after="", limit=LIMIT_DEFAULT):
        rows = [{"sku": product.sku, "version": product.version, "available": product.available,
                 "batches": len(product.batches)}
                for product in sorted(self.products.values(), key=lambda p: by_bytes(p.sku))]
        return page("products", rows, "sku", after, limit)

    def GetEvents(self, after=0, limit=LIMIT_DEFAULT, types=None, sku=None):
        rows = [event for event in self.events[after:]
                if (types is None or event["type"] in types) and sku in (None, event["sku"])]
        reply = {"events": rows[:limit], "next": None, "head": self.seq, "first": min(1, self.seq)}
        if len(rows) > limit:
            reply["next"] = rows[limit - 1]["seq"]
        return reply

    def GetStats(self):
        waiting = sum(len(product.waiting) for product in self.products.values())
        return {"seq": self.seq, "products": len(self.products), "waiting_lines": waiting}

    def Ping(self):
        return {}


def without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def page(name, rows, key, after, limit):
    rest = [row for row in rows if by_bytes(row[key]) > by_bytes(after)]
    return {name: rest[:limit], "next": rest[limit - 1][key] if len(rest) > limit else None}
