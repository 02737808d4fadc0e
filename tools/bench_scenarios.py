"""What tools/bench measures: for each scenario what is required of it, and a function that does one
run and gives a value for each figure."""

import signal
from typing import Callable, NamedTuple

import msgpack

from bench_node import Client, Failed, Node, Watch

IN_FLIGHT = 4096
SKUS = 10000
CACHE_MIB = 256  # store/cache_mib, as it is by default
BESIDE_CACHE_MIB = 128  # messages of clients (clients/max_*_mib), what is behind the log, libraries
ECHO_SECONDS = 6


class Figure(NamedTuple):
    name: str
    least: float | None = None
    most: float | None = None

    def text(self, value):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    def required(self):
        if self.least is not None:
            return f">= {self.least:,}"
        return f"<= {self.most:,}" if self.most is not None else ""

    def verdict(self, value):
        if self.least is None and self.most is None:
            return ""
        held = (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most)
        return "yes" if held else "**no**"


class Scenario(NamedTuple):
    name: str
    about: str
    figures: list
    run: Callable


SCENARIOS = []


def scenario(name, about, *figures):
    def register(run):
        SCENARIOS.append(Scenario(name, about, [
            figure if isinstance(figure, Figure) else Figure(figure) for figure in figures], run))
        return run
    return register


# ---- figures that several scenarios have ----

RATE = "requests a second"
CPU = "CPU of the node, us a request"
P50, P99, MAX = "p50, ms", "p99, ms", "longest, ms"
BACKLOG = "most behind the log, first 10 s"
BACKLOG_END = "most behind, last 10 s / first 10 s"
ECHO = "rate / echo"


def times(allocd):
    return {P50: allocd["p50_us"] / 1000, P99: allocd["p99_us"] / 1000,
            "p99 / p50": ratio(allocd["p99_us"], allocd["p50_us"]), MAX: allocd["max_us"] / 1000}


def ratio(part, whole):
    return part / whole if whole else 0.0


def rate(found):
    return found["allocd"]["rate"]


def backlog(watch):
    early, late = watch.backlog()
    return {BACKLOG: early, BACKLOG_END: ratio(late, early) if early else 1.0}


def throughput(bench, inflight, *arguments):
    """A node that is empty at first, all the time at full load."""
    with bench.node() as node:
        with Watch(node) as watch:
            found = bench.measure(node, *arguments, seconds=bench.seconds, inflight=inflight)
        echo = bench.measure(node, f"--ceiling={bench.home}", inflight=inflight,
                             seconds=min(ECHO_SECONDS, bench.seconds))["echo"]
    return {RATE: rate(found), ECHO: ratio(rate(found), echo["rate"]), CPU: found["cpu_us"],
            "requests in a group": found["group_size"], **backlog(watch), **times(found["allocd"])}


def turn_about(one, other):
    """How fast the second is, where the first is 1; each pair is (node, function of it). They take
    turns twice, as the machine is not always as fast."""
    rates = [[], []]
    for _ in range(2):
        for side, (node, measure) in enumerate((one, other)):
            rates[side].append(rate(measure(node)))
    first, second = (sum(side) / len(side) for side in rates)
    return {"rate of the first": first, "rate of the second": second,
            "second / first": ratio(second, first)}


# ---- throughput ----

@scenario("throughput-4096",
          f"Allocate, order ids that grow, 10,000 SKUs, one client with {IN_FLIGHT:,} in flight",
          Figure(RATE, least=250000), Figure(ECHO, least=0.12), Figure(CPU, most=5),
          "requests in a group", BACKLOG, Figure(BACKLOG_END, most=1.1), P50, P99,
          Figure("p99 / p50", most=3), Figure(MAX, most=100))
def throughput_4096(bench):
    return throughput(bench, IN_FLIGHT)


@scenario("throughput-256", "The same with 256 in flight",
          Figure(RATE, least=150000), ECHO, CPU, "requests in a group", BACKLOG,
          Figure(BACKLOG_END, most=1.1), P50, P99, "p99 / p50", MAX)
def throughput_256(bench):
    return throughput(bench, 256)


@scenario("throughput-100-req",
          "The same with 100 clients that have one request in flight each; the echo, turn about with "
          "the node, has the same clients",
          RATE, "rate of the echo", Figure(ECHO, least=0.4), CPU, "requests in a group", P50, P99,
          "p99 / p50", MAX)
def throughput_100_req(bench):
    with bench.node() as node:
        found = bench.measure(node, "--clients", 100, f"--ceiling={bench.home}",
                              seconds=bench.seconds, inflight=1)
    return {RATE: rate(found), "rate of the echo": found["echo"]["rate"],
            ECHO: found["rate_ratio"], CPU: found["cpu_us"],
            "requests in a group": found["group_size"], **times(found["allocd"])}


@scenario("ids", "The first is throughput-4096 once more, the second the same with an id on every "
                 "command, each on an empty store",
          "rate of the first", "rate of the second", Figure("second / first", least=0.7),
          "CPU of the second, us a request", BACKLOG, Figure(BACKLOG_END, most=1.1))
def ids(bench):
    with bench.node() as node:
        plain = bench.measure(node, seconds=bench.seconds)
    with bench.node() as node, Watch(node) as watch:
        found = bench.measure(node, "--ids", seconds=bench.seconds)
    return {"rate of the first": rate(plain), "rate of the second": rate(found),
            "second / first": ratio(rate(found), rate(plain)),
            "CPU of the second, us a request": found["cpu_us"], **backlog(watch)}


# ---- latency ----

@scenario("latency", "One client with one Allocate in flight, beside an echo and bare commits of LMDB",
          "p50, us", "p50 of the echo, us", "bare commit, us",
          Figure("p50 / (echo + commit)", most=1.3), RATE)
def latency(bench):
    with bench.node() as node:
        found = bench.measure(node, f"--ceiling={bench.home}", seconds=bench.part, inflight=1)
    return {"p50, us": found["allocd"]["p50_us"], "p50 of the echo, us": found["echo"]["p50_us"],
            "bare commit, us": found["commit_us"],
            "p50 / (echo + commit)": found["latency_ratio"], RATE: rate(found)}


# ---- growth ----

@scenario("skus-1000000", "Allocate on 1,000,000 SKUs in no order",
          Figure(RATE, least=100000), CPU, P50, P99, MAX, "store, MiB")
def skus_1000000(bench):
    store = bench.store("skus", lambda node: bench.fill(node, 1000000, 1))
    with bench.node(store) as node:
        found = bench.measure(node, seconds=bench.part, skus=1000000)
    return {RATE: rate(found), CPU: found["cpu_us"], **times(found["allocd"]),
            "store, MiB": found["store_bytes"] / 2**20}


@scenario("one-sku-lines",
          "All on one SKU: the first has 1,000 lines, the second 1,000,000; lines are allocated and "
          "taken back in turn, so that there are no more of them",
          "rate of the first", "rate of the second", Figure("second / first", least=0.9))
def one_sku_lines(bench):
    few = bench.store("few-lines", lambda node: bench.fill(node, 1, 1000))
    many = bench.store("many-lines", lambda node: bench.fill(node, 1, 1000000))

    def measure(node):
        return bench.measure(node, "--mix", "swap=1", seconds=bench.part / 2, skus=1)

    with bench.node(few) as one, bench.node(many) as other:
        return turn_about((one, measure), (other, measure))


def fill_with_batches(bench, node, count):
    """One SKU with so many batches, all but the one of zmq-send bench exhausted."""
    with Client(node) as client:
        for number in range(1, count):
            client.send("CreateBatch", ref=f"exhausted-{number}", sku="bench-00000000", qty=1)
            client.send("Allocate", orderid=f"order-{number}", sku="bench-00000000", qty=1)
        for _ in range(2 * (count - 1)):
            if not msgpack.unpackb(client.receive())["ok"]:
                raise Failed("a batch or a line was refused")
    bench.fill(node, 1, 1)


@scenario("one-sku-batches",
          "All on one SKU: the first has one batch, the second 10,000, of which all but one are "
          "exhausted",
          "rate of the first", "rate of the second", Figure("second / first", least=0.9))
def one_sku_batches(bench):
    few = bench.store("one-batch", lambda node: fill_with_batches(bench, node, 1))
    many = bench.store("many-batches",
                       lambda node: fill_with_batches(bench, node, bench.count(10000)))

    def measure(node):
        return bench.measure(node, seconds=bench.part / 2, skus=1)

    with bench.node(few) as one, bench.node(many) as other:
        return turn_about((one, measure), (other, measure))


def brief(bench, *arguments):
    def measure(node):
        return bench.measure(node, *arguments, seconds=bench.brief / 2)
    return measure


@scenario("lines-10000000",
          "10,000 SKUs: the first store is empty at first, the second has 10,000,000 lines; short, as "
          "the first does not stay empty",
          "rate of the first", "rate of the second", Figure("second / first", least=0.6))
def lines_10000000(bench):
    store = bench.store("lines", lambda node: bench.fill(node, SKUS, 10000000))
    with bench.node() as one, bench.node(store) as other:
        return turn_about((one, brief(bench)), (other, brief(bench)))


@scenario("random-orders",
          "Both stores empty at first: order ids grow in the first, and are in no order in the second",
          "rate of the first", "rate of the second", Figure("second / first", least=0.3))
def random_orders(bench):
    with bench.node() as one, bench.node() as other:
        return turn_about((one, brief(bench)), (other, brief(bench, "--random-orders")))


# ---- the size of the file ----

def bytes_that_matter(client, last_seq):
    """The bytes of all event bodies, and of the keys and values of all lines that are live as of
    that event: order id and SKU, and reference of the batch and quantity (4)."""
    events = 0
    live = {}
    after = 0
    while after is not None:
        client.send("GetEvents", after=after, limit=10000)
        reply = client.receive()
        page = msgpack.unpackb(reply)
        events += len(reply) - len(msgpack.packb({**page, "events": []}))
        for event in page["events"]:
            line = (event.get("orderid"), event["sku"])
            if event["type"] == "Allocated" and event["seq"] <= last_seq:
                live[line] = len(event["batchref"])
            elif event["type"] == "Deallocated":
                live.pop(line, None)
        after = page["next"]
    return events, sum(len(orderid) + len(sku) + ref + 4 for (orderid, sku), ref in live.items())


def file_ratio(bench, *arguments):
    with bench.node() as node:
        bench.measure(node, "--lines", bench.count(1000000), *arguments, seconds=0.01)
        with Client(node) as client:
            stats = client.ask("GetStats")
            size = stats["store_bytes"]
            # Lines that are behind the log are not in the file yet, and may not count.
            events, lines = bytes_that_matter(client, stats["seq"] - stats["events_behind"])
    return size, events, lines, size / (events + lines)


@scenario("file-size",
          "After 1,000,000 Allocates on 10,000 SKUs: the store's file, and what is in it",
          "file, bytes", "event bodies, bytes", "keys and values of lines, bytes",
          Figure("file / (bodies + lines)", most=2.5),
          Figure("the same with order ids in no order", most=2.5))
def file_size(bench):
    size, events, lines, growing = file_ratio(bench)
    return {"file, bytes": size, "event bodies, bytes": events,
            "keys and values of lines, bytes": lines, "file / (bodies + lines)": growing,
            "the same with order ids in no order": file_ratio(bench, "--random-orders")[3]}


# ---- memory, and a start ----

@scenario("memory",
          f"1,000,000 SKUs with 10,000,000 lines, store/cache_mib {CACHE_MIB}, Allocate at full load; "
          "then kill -9, and a start on what is left",
          RATE, Figure("most RssAnon, MiB", most=CACHE_MIB + BESIDE_CACHE_MIB), "most RssFile, MiB",
          "VmHWM, MiB", "store, MiB", "behind the log when it was killed",
          Figure("ready after, s", most=3))
def memory(bench):
    store = bench.store("full", lambda node: bench.fill(node, 1000000, 10000000))
    with bench.node(store) as node:
        with Watch(node) as watch:
            found = bench.measure(node, seconds=bench.part, skus=1000000)
        with Client(node) as client:
            behind = client.ask("GetStats")["events_behind"]
        node.end(signal.SIGKILL)
        with Node(bench.allocd, node.data) as again:
            ready_after = again.ready_after
    return {RATE: rate(found), "most RssAnon, MiB": watch.most("RssAnon"),
            "most RssFile, MiB": watch.most("RssFile"), "VmHWM, MiB": watch.most("VmHWM"),
            "store, MiB": found["store_bytes"] / 2**20,
            "behind the log when it was killed": behind, "ready after, s": ready_after}


# ---- queries ----

@scenario("reads", "10,000 SKUs, 4,096 in flight; lines are read at random, of 100,000 and, as what is "
          "read then is in no cache of the processor, of 1,000,000",
          Figure("GetStock a second", least=400000),
          Figure("GetAllocations a second", least=400000),
          "GetAllocations a second, of 1,000,000",
          "CPU of the node, us a GetStock", "CPU of the node, us a GetAllocations",
          "CPU of the node, us a GetAllocations, of 1,000,000")
def reads(bench):
    def read_lines(count):
        return bench.measure(node, "--lines", bench.count(count), "--mix", "lines=1",
                             seconds=bench.part)

    with bench.node() as node:
        few = read_lines(100000)
        stock = bench.measure(node, "--mix", "get=1", seconds=bench.part)
    with bench.node() as node:
        many = read_lines(1000000)
    return {"GetStock a second": rate(stock), "GetAllocations a second": rate(few),
            "GetAllocations a second, of 1,000,000": rate(many),
            "CPU of the node, us a GetStock": stock["cpu_us"],
            "CPU of the node, us a GetAllocations": few["cpu_us"],
            "CPU of the node, us a GetAllocations, of 1,000,000": many["cpu_us"]}


@scenario("queries",
          "1,000,000 lines on 10,000 SKUs, one client with one Allocate in flight: first alone, then "
          "beside four connections that read all of ListProducts, ListBatches and GetEvents, again "
          "and again",
          "p50 alone, ms", "p99 alone, ms", "longest alone, ms", "p50 beside, ms",
          "p99 beside, ms", "longest beside, ms", "pages a second",
          Figure("p99 beside - p99 alone, ms", most=5))
def queries(bench):
    with bench.node() as node:
        bench.fill(node, SKUS, 1000000)
        alone = bench.measure(node, seconds=bench.part, inflight=1)["allocd"]
        beside = bench.measure(node, "--queries", 4, seconds=bench.part, inflight=1)
    found = {"pages a second": beside["pages"]["rate"]}
    for name, allocd in (("alone", alone), ("beside", beside["allocd"])):
        found |= {f"p50 {name}, ms": allocd["p50_us"] / 1000,
                  f"p99 {name}, ms": allocd["p99_us"] / 1000,
                  f"longest {name}, ms": allocd["max_us"] / 1000}
    found["p99 beside - p99 alone, ms"] = found["p99 beside, ms"] - found["p99 alone, ms"]
    return found


# ---- publishing ----

@scenario("publishing", "10,000 Allocates a second, and 100 subscribers to Allocated/",
          Figure(RATE, least=9900), "events heard a second",
          Figure("events lost", most=0), Figure("gaps in the chain of prev", most=0),
          "p50 from event to subscriber, ms", "p99 from event to subscriber, ms", P50, P99, MAX)
def publishing(bench):
    subscribers = bench.beside(100)
    with bench.node() as node:
        found = bench.measure(node, "--rate", 10000, "--subscribers", subscribers,
                              seconds=bench.part)
    heard = found["heard"]
    if heard["events"] < found["allocd"]["replies"] * subscribers:
        raise Failed("events were not heard")
    return {RATE: rate(found), "events heard a second": heard["rate"],
            "events lost": heard["lost"], "gaps in the chain of prev": heard["gaps"],
            "p50 from event to subscriber, ms": heard["lag_p50_us"] / 1000,
            "p99 from event to subscriber, ms": heard["lag_p99_us"] / 1000,
            **times(found["allocd"])}


@scenario("deaf-subscriber",
          "throughput-4096 on two empty stores: nobody listens to the first, and to the second a "
          "subscriber that reads nothing",
          "rate of the first", "rate of the second", Figure("second / first", least=0.9))
def deaf_subscriber(bench):
    with bench.node() as one, bench.node() as other:
        return turn_about((one, brief(bench)), (other, brief(bench, "--deaf", 1)))
