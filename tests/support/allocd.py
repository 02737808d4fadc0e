"""Starts and stops real nodes, and talks to them: all that the end-to-end tests share.

Nothing here knows more of a node than its contract. The programs are named by the environment:
ALLOCD (and ZMQ_SEND for the command-line client). Every wait has a deadline: E2E_DEADLINE seconds,
20 by default.
"""

import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import msgpack
import zmq

from model import EVENT_FIELDS, Model, is_retryable

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = float(os.environ.get("E2E_DEADLINE", "20"))
ANY_PORT = "tcp://127.0.0.1:*"
CODES = {
    "too_large", "malformed", "unknown_type", "unknown_field", "missing_field", "invalid_field",
    "invalid_sku", "unknown_batch", "unknown_line", "unknown_order", "batch_conflict",
    "line_conflict", "out_of_stock", "id_reused", "storage_full", "storage_failed",
}
# Replies and events may grow further keys; those of the contract are compared.
REPLY_KEYS = {
    "ok", "error", "retryable", "id", "seq", "duplicate", "batchref", "lines", "next", "sku",
    "version", "available", "batches", "exhausted", "ref", "qty", "eta", "products", "events",
    "head", "first",
}
EVENT_KEYS = {"seq", "prev", "type", "sku", "version", "cause"}
# What a sanitizer or a failed assert leaves in the log of a node.
COMPLAINTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion")

context = zmq.Context.instance()


def program(variable, name):
    path = Path(os.environ.get(variable, ROOT / "build" / name)).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{variable} names no program: {path}")
    return str(path)


def faulty_program():
    """The node with crash points and faults at its calls; the build makes it beside the tests."""
    return program("ALLOCD_FAULTY", "tests/allocd-faulty")


def wait_until(is_so, what, deadline=DEADLINE):
    """Waits for a state that somebody else brings about, and gives what `is_so` returned."""
    end = time.monotonic() + deadline
    while True:
        result = is_so()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.002)


def run_allocd(*arguments, cwd=None, deadline=DEADLINE):
    """Runs a node that is expected to end by itself."""
    return subprocess.run([program("ALLOCD", "allocd"), *map(str, arguments)], cwd=cwd, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline)


def let_pass(seconds):
    """Lets a random time pass, where a random moment is what a test needs. To wait for something
    to happen, wait_until it has."""
    time.sleep(seconds)


class Node:
    """A node of its own, with its data below a temporary directory."""

    def __init__(self, *arguments, data=None, commands=ANY_PORT, events=ANY_PORT):
        self.arguments = list(map(str, arguments))
        self.home = Path(tempfile.mkdtemp(prefix="allocd-e2e-"))
        if "--config" not in self.arguments:
            self.arguments += ["--config", str(self.home / "node.conf")]
            self.set_events_behind(50)  # few, so that tables are written in every test
        self.data = Path(data or self.home / "data")
        self.wanted = (commands, events)
        self.commands = self.events = self.process = self.log = None
        self.starts = 0

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def set_events_behind(self, count):
        """From the next start on, where the node has no configuration of the test's own."""
        (self.home / "node.conf").write_text(f"store\n    events_behind = {count}\n")

    def start(self, same_ports=False, faults=None):
        """Starts it, again on the same directory if it ran before, and waits until it serves."""
        self.launch(same_ports, faults)
        return self.wait_ready()

    def launch(self, same_ports=False, faults=None):
        """Starts it and waits for nothing. `faults`, environment variables: it is allocd-faulty
        that is started, and these say what is to go wrong in it."""
        commands, events = (self.commands, self.events) if same_ports else self.wanted
        binary = program("ALLOCD", "allocd") if faults is None else faulty_program()
        self.starts += 1
        self.log = self.home / f"stderr.{self.starts}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "--data", str(self.data), "--commands", commands, "--events", events,
                 *self.arguments],
                cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **(faults or {})})

    def wait_ready(self):
        ready = wait_until(self._ready, "the node is ready")
        self.commands, self.events = ready.groups()
        return self

    def _ready(self):
        found = re.search(r"ready commands=(\S+) events=(\S+)\n", self.stderr())
        if not found and self.process.poll() is not None:
            raise RuntimeError(f"no start, exit {self.process.returncode}: {self.stderr()}")
        return found

    def stderr(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(DEADLINE)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end, and insists on a clean end."""
        self.send_signal(number)
        status = self.wait()
        if status != 0:
            raise AssertionError(f"exit {status} after signal {number}: {self.stderr()[-3000:]}")
        self.check_log()

    def kill9(self):
        self.process.kill()
        self.wait_killed()

    def wait_killed(self):
        """Waits for its death by SIGKILL, and insists that nothing else ended it."""
        status = self.wait()
        if status != -signal.SIGKILL:
            raise AssertionError(f"exit {status}, no SIGKILL: {self.stderr()[-3000:]}")
        self.check_log()

    def check_log(self):
        if COMPLAINTS.search(self.stderr()):
            raise AssertionError(f"the node complained: {self.stderr()[-6000:]}")

    def limit_file_size(self, size):
        """Lets no file of the running node grow beyond `size`; None: takes that back."""
        hard = resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE,
                         (hard if size is None else size, hard))

    def close(self):
        try:
            if self.is_running():
                self.stop()
            elif self.process is not None and self.log.exists():
                self.check_log()
        finally:
            if self.is_running():
                self.process.kill()
                self.process.wait(DEADLINE)
            shutil.rmtree(self.home, ignore_errors=True)


def pack(request):
    return msgpack.packb(request, use_bin_type=True)


def unpack(body):
    """Decodes strictly: one map with str keys, valid UTF-8, no bytes after it, no key twice."""
    def no_key_twice(pairs):
        mapping = dict(pairs)
        assert len(mapping) == len(pairs), body
        return mapping

    decoded = msgpack.unpackb(body, raw=False, object_pairs_hook=no_key_twice)
    assert type(decoded) is dict and all(type(key) is str for key in decoded), body
    return decoded


def check_reply(reply):
    """What holds for every reply, whatever was asked."""
    assert type(reply.get("ok")) is bool, reply
    if not reply["ok"]:
        assert reply["error"] in CODES, reply
        assert type(reply["message"]) is str and reply["message"], reply
        assert reply["retryable"] is is_retryable(reply["error"], "id" in reply), reply
    return reply


def plain(reply):
    """A reply as the model gives it: without message and keys that the contract does not name."""
    known = {key: value for key, value in reply.items() if key in REPLY_KEYS}
    if known.get("duplicate") is False:
        del known["duplicate"]
    if "events" in known:
        known["events"] = [plain_event(event) for event in known["events"]]
    return known


def plain_event(event):
    """An event as the model gives it: the fields that the contract names, save its time."""
    assert type(event["time"]) is int and event["time"] > 0, event
    fields = EVENT_KEYS.union(EVENT_FIELDS[event["type"]])
    return {key: value for key, value in event.items() if key in fields}


class Client:
    """A DEALER with the empty delimiter frame; any number of requests may be in flight."""

    def __init__(self, node_or_endpoint, delimiter=True, deadline=DEADLINE):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.set_hwm(0)
        self.socket.connect(getattr(node_or_endpoint, "commands", node_or_endpoint))
        self.node = node_or_endpoint if isinstance(node_or_endpoint, Node) else None
        self.envelope = [b""] if delimiter else []
        self.deadline = deadline

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, request):
        self.send_body(pack(request))

    def send_body(self, body):
        self.socket.send_multipart(self.envelope + [body])

    def recv_frames(self, deadline=None):
        deadline = self.deadline if deadline is None else deadline
        end = time.monotonic() + deadline
        while not self.socket.poll(100):
            if self.node is not None and not self.node.is_running() and not self.socket.poll(100):
                raise ConnectionError(f"the node is gone: {self.node.stderr()[-2000:]}")
            if time.monotonic() > end:
                raise TimeoutError(f"no reply within {deadline:.0f} s")
        return self.socket.recv_multipart()

    def recv_body(self, deadline=None):
        frames = self.recv_frames(deadline)
        assert frames[:-1] == self.envelope, frames
        return frames[-1]

    def recv(self, deadline=None):
        return check_reply(unpack(self.recv_body(deadline)))

    def request(self, kind, **fields):
        self.send({"type": kind, **fields})
        return self.recv()

    def request_body(self, body):
        self.send_body(body)
        return self.recv()

    def ask(self, kind, **fields):
        """A request that must succeed."""
        reply = self.request(kind, **fields)
        assert reply["ok"], reply
        return reply

    def pipeline(self, requests):
        """Sends all, then reads all the replies."""
        count = 0
        for request in requests:
            self.send(request)
            count += 1
        return [self.recv() for _ in range(count)]

    def pages(self, kind, key, **fields):
        """All rows of a query with pages, and the last page itself."""
        rows, after = [], fields.pop("after", None)
        while True:
            reply = self.ask(kind, after=after, **fields)
            rows += reply[key]
            if reply["next"] is None:
                return rows, reply
            assert after is None or reply["next"] != after, reply
            after = reply["next"]

    def all_events(self, after=0, **filters):
        return self.pages("GetEvents", "events", after=after, **filters)[0]

    def head(self):
        return self.ask("GetEvents", limit=1)["head"]

    def event_bodies(self, after=0, **filters):
        """The same as bytes, just as they stand in the replies."""
        bodies = []
        while after is not None:
            self.send({"type": "GetEvents", "after": after, **filters})
            reply = self.recv_body()
            page = unpack(reply)
            assert page["ok"], page
            bodies += raw_items(reply, "events")
            after = page["next"]
        return bodies


def raw_items(body, wanted):
    """The elements of the array under the key `wanted` of a map, undecoded."""
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(body)
    items = []
    for _ in range(unpacker.read_map_header()):
        if unpacker.unpack() != wanted:
            unpacker.skip()
            continue
        for _ in range(unpacker.read_array_header()):
            start = unpacker.tell()
            unpacker.skip()
            items.append(body[start:unpacker.tell()])
    return items


def topic_of(event):
    sku = event["sku"].replace("%", "%25").replace("/", "%2F")
    return f"{event['type']}/{sku}/".encode()


class Subscriber:
    """A SUB socket that follows the Welcome procedure: once `welcome` is set, all events after
    that seq come. Earlier ones may come as well, and are passed over, as GetEvents has them."""

    def __init__(self, node_or_endpoint, *prefixes, welcome=True):
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.set_hwm(0)
        prefixes = prefixes or tuple(f"{kind}/" for kind in EVENT_FIELDS)
        for prefix in prefixes:
            self.socket.subscribe(prefix)
        self.socket.connect(getattr(node_or_endpoint, "events", node_or_endpoint))
        self.welcome = None
        if welcome:
            self.socket.subscribe("Welcome/")
            self.wait_for_welcome()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def recv(self, deadline=DEADLINE):
        """The next message of any kind: topic and body."""
        if not self.socket.poll(int(deadline * 1000)):
            raise TimeoutError(f"no event within {deadline:.0f} s")
        topic, body = self.socket.recv_multipart()
        return topic, body

    def wait_for_welcome(self):
        while self.welcome is None:
            topic, body = self.recv()
            if topic == b"Welcome/":
                self.welcome = unpack(body)["seq"]

    def drain(self):
        """All that has come by now: topics and bodies of every kind."""
        messages = []
        while self.socket.poll(0):
            messages.append(tuple(self.socket.recv_multipart()))
        return messages

    def next_event(self, deadline=DEADLINE):
        """The next stored event: topic and body."""
        end = time.monotonic() + deadline
        while True:
            topic, body = self.recv(max(0.0, end - time.monotonic()))
            if topic in (b"Heartbeat/", b"Welcome/"):
                continue
            if self.welcome is None or unpack(body)["seq"] > self.welcome:
                return topic, body

    def until(self, seq):
        """The events that come, up to the one with that seq."""
        received = []
        while not received or unpack(received[-1][1])["seq"] < seq:
            received.append(self.next_event())
        return received


def follow(client, subscriber, seq):
    """Bodies of all events from 1 to `seq`: stored ones up to the Welcome, live ones after it."""
    stored = [body for body in client.event_bodies() if unpack(body)["seq"] <= subscriber.welcome]
    if subscriber.welcome >= seq:
        return stored
    return stored + [body for _, body in subscriber.until(seq)]


numbers = itertools.count(1)


def unique(prefix):
    """A name that no other test of this process uses."""
    return f"{prefix}-{next(numbers)}"


class NodeCase(unittest.TestCase):
    """One node for all tests of a class, which use names of their own."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.node = Node(*cls.arguments)
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def setUp(self):
        self.client = self.new_client()

    def new_client(self, **options):
        client = Client(self.node, **options)
        self.addCleanup(client.close)
        return client

    def assert_refused(self, reply, code, naming=None):
        self.assertEqual((reply["ok"], reply.get("error")), (False, code), reply)
        if naming is not None:
            self.assertIn(naming, reply["message"])


class RuleCase(unittest.TestCase):
    """A new node for each test, and the model beside it: each reply and each event of the node
    must be the model's. The tests state in the open what they expect, so the model is tested as
    well."""

    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.close)
        self.node.start()
        self.client = Client(self.node)
        self.addCleanup(self.client.close)
        self.model = Model()
        self.fresh = []  # events of the newest request

    def do(self, kind, **fields):
        """Sends a request to node and model; gives the reply, and leaves its events in `fresh`."""
        request = {"type": kind, **fields}
        before = self.model.seq
        expected = self.model.handle(dict(request))
        reply = plain(self.client.request(kind, **fields))
        self.assertEqual(reply, expected, request)
        self.fresh = [plain_event(event) for event in self.client.all_events(before)]
        self.assertEqual(self.fresh, self.model.events[before:], request)
        return reply

    def done(self, kind, **fields):
        reply = self.do(kind, **fields)
        self.assertTrue(reply["ok"], reply)
        return reply

    def refused(self, code, kind, **fields):
        reply = self.do(kind, **fields)
        self.assertEqual(reply.get("error"), code, reply)
        return reply

    def batch(self, ref, qty, eta=None, sku="CHAIR"):
        return self.done("CreateBatch", ref=ref, sku=sku, qty=qty, eta=eta)

    def allocate(self, orderid, qty, sku="CHAIR"):
        return self.done("Allocate", orderid=orderid, sku=sku, qty=qty)

    def resize(self, ref, qty):
        return self.done("ChangeBatchQuantity", ref=ref, qty=qty)

    def waiting_lines(self, *lines, sku="CHAIR"):
        """Makes lines of (orderid, qty) wait, in that order: each gets a batch of its own, and
        then these go to nothing."""
        for orderid, qty in lines:
            self.batch(f"gone-{orderid}", qty, eta="0001-01-01", sku=sku)
        for orderid, qty in lines:
            self.assertEqual(self.allocate(orderid, qty, sku)["batchref"], f"gone-{orderid}")
        for orderid, _ in lines:
            self.resize(f"gone-{orderid}", 0)
            self.assertIsNone(self.line(orderid, sku)["batchref"])

    def line(self, orderid, sku="CHAIR"):
        lines = self.done("GetAllocations", orderid=orderid)["lines"]
        return next(line for line in lines if line["sku"] == sku)

    def stock(self, sku="CHAIR"):
        """What each batch has left, in the order of use."""
        return [(batch["ref"], batch["available"])
                for batch in self.done("GetStock", sku=sku)["batches"]]

    def story(self):
        """The newest request's events in short: type, then what it is about."""
        return [tuple([event["type"]] + [event[field] for field in EVENT_FIELDS[event["type"]]])
                for event in self.fresh]
