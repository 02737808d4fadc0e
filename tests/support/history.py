"""Random histories: commands that meet each other often enough for every rule to be at work."""

import random

ETAS = [None, None, None, "2030-01-01", "2030-01-02", "2030-02-01", "2031-01-01", "1999-12-31"]


class History:
    """Makes one request after the other; each has an id of its own, save those that repeat one,
    and a share of `anonymous` ones that have none."""

    def __init__(self, seed, skus=24, orders=2000, refs=400, anonymous=0.0):
        self.random = random.Random(seed)
        self.skus = [f"SKU/{number}" for number in range(skus)]
        self.orders, self.refs, self.anonymous = orders, refs, anonymous
        self.sent = []
        self.count = 0

    def next_request(self, model):
        """`model`: where the history stands; lines and batches that exist are met on purpose."""
        chance = self.random.random()
        if self.sent and chance < 0.03:
            return dict(self.random.choice(self.sent[-500:]))
        self.count += 1
        request = self.command(model)
        if self.sent and chance < 0.04:
            request["id"] = self.random.choice(self.sent[-500:])["id"]
            return request
        if chance < 0.05:
            request["qty"] = self.random.choice([-1, True, "1", 1.0, 1_000_000_001, None])
        if self.anonymous and self.random.random() < self.anonymous:
            return request
        request["id"] = f"c{self.count}"
        if chance >= 0.05:
            self.sent.append(dict(request))
        return request

    def command(self, model):
        pick = self.random.choices(
            [self.create_batch, self.allocate, self.deallocate, self.change_quantity,
             self.change_eta], [12, 50, 20, 14, 4])[0]
        return pick(model)

    def sku(self):
        if self.random.random() < 0.01:
            return "NO-SUCH-SKU"
        return self.random.choice(self.skus)

    def ref(self):
        return f"batch-{self.random.randrange(self.refs)}"

    def orderid(self):
        return f"order-{self.random.randrange(self.orders)}"

    def create_batch(self, model):
        batch = model.batches.get(self.ref())
        if batch and self.random.random() < 0.5:
            return {"type": "CreateBatch", "ref": batch.ref, "sku": batch.sku, "qty": batch.qty,
                    "eta": batch.eta}
        return {"type": "CreateBatch", "ref": self.ref(), "sku": self.sku(),
                "qty": self.random.randint(1, 120), "eta": self.random.choice(ETAS)}

    def allocate(self, model):
        orderid, sku = self.orderid(), self.sku()
        line = model.orders.get(orderid, {}).get(sku)
        qty = self.random.randint(1, 14) if not line or self.random.random() < 0.3 else line.qty
        return {"type": "Allocate", "orderid": orderid, "sku": sku, "qty": qty}

    def deallocate(self, model):
        orderid, sku = self.orderid(), self.sku()
        lines = model.orders.get(orderid)
        if lines and self.random.random() < 0.9:
            sku = self.random.choice(list(lines))
        return {"type": "Deallocate", "orderid": orderid, "sku": sku}

    def change_quantity(self, model):
        ref = self.ref()
        batch = model.batches.get(ref)
        qty = self.random.randint(0, 160)
        if batch and self.random.random() < 0.5:
            qty = max(0, batch.allocated + self.random.randint(-8, 12))
        return {"type": "ChangeBatchQuantity", "ref": ref, "qty": qty}

    def change_eta(self, _):
        return {"type": "ChangeBatchEta", "ref": self.ref(), "eta": self.random.choice(ETAS)}
