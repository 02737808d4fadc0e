"""A node that does as a test tells it, and ways to run zmq-send. ZMQ_SEND: the program to test."""

import json
import os
import queue
import socket
import subprocess
import threading
import time

import msgpack
import zmq

PROGRAM = os.environ.get("ZMQ_SEND", "zmq-send")
DEADLINE_S = 30  # nothing here takes nearly as long


def free_endpoint():
    """An endpoint where nobody listens, kept free by the socket that is returned too."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return "tcp://127.0.0.1:%d" % holder.getsockname()[1], holder


def pack(value):
    return msgpack.packb(value)


def echo(request):
    return {"ok": True, "got": request}


def event(seq, prev=0, kind="Allocated", sku="RED", **fields):
    return dict({"seq": seq, "prev": prev, "type": kind, "time": 1, "sku": sku, "version": seq}, **fields)


def topic(body):
    return "%s/%s/" % (body["type"], body["sku"].replace("%", "%25").replace("/", "%2F"))


def get_events(log, request, first=None, page=None):
    """The reply to GetEvents of a node with that log."""
    after, limit = request.get("after", 0), request.get("limit", 1000)
    found = [e for e in log if e["seq"] > after and e["type"] in request.get("types", [e["type"]])]
    cut = found[: min(limit, page or limit)]
    more = len(cut) < len(found)
    oldest = log[0]["seq"] if log else 0
    return {"ok": True, "events": cut, "next": cut[-1]["seq"] if more else None,
            "head": log[-1]["seq"] if log else 0, "first": oldest if first is None else first}


class FakeNode:
    """A ROUTER whose replies `handler(request)` makes, and an XPUB that greets subscribers."""

    def __init__(self, handler=echo, log=None, commands=None, events=None, welcome=True, curve=False,
                 denies=False):
        self.handler, self.log, self.welcome, self.curve = handler, log, welcome, curve
        self.denies = denies
        self.requests, self.subscriptions = [], []
        self.context = zmq.Context()
        self.outbox = queue.Queue()
        self.inbox = self.context.socket(zmq.PAIR)
        self.inbox.bind("inproc://inbox")
        self.wake = self.context.socket(zmq.PAIR)
        self.wake.connect("inproc://inbox")
        self.gate = self.context.socket(zmq.REP)  # who is let in (RFC 27/ZAP)
        self.gate.bind("inproc://zeromq.zap.01")
        self.router, self.commands = self.bind(zmq.ROUTER, commands)
        self.xpub, self.events = self.bind(zmq.XPUB, events)
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def bind(self, kind, endpoint):
        found = self.context.socket(kind)
        found.linger = 0
        found.sndhwm = 0
        if self.denies:
            found.zap_domain = b"nobody"
        if kind == zmq.XPUB:
            found.setsockopt(zmq.XPUB_VERBOSE, 1)
        elif self.curve:
            found.curve_publickey, found.curve_secretkey = zmq.curve_keypair()
            found.curve_server = True
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                found.bind(endpoint or "tcp://127.0.0.1:*")
                return found, found.last_endpoint.decode().rstrip("\0")
            except zmq.ZMQError:  # the port of a node that has just gone
                if time.monotonic() > deadline:
                    raise

    def run(self):
        poller = zmq.Poller()
        for one in (self.router, self.xpub, self.inbox, self.gate):
            poller.register(one, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self.router in ready:
                self.answer(self.router.recv_multipart())
            if self.xpub in ready:
                self.subscribed(self.xpub.recv())
            if self.gate in ready:
                version, request = self.gate.recv_multipart()[:2]
                self.gate.send_multipart([version, request, b"400", b"nobody is let in", b"", b""])
            if self.inbox in ready:
                self.inbox.recv()
                task = self.outbox.get()
                if task is None:
                    return
                task()

    def answer(self, frames):
        try:
            request = msgpack.unpackb(frames[-1])
        except Exception:
            request = frames[-1]
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        if isinstance(request, dict) and request.get("type") == "GetEvents" and self.log is not None:
            reply = get_events(self.log, request)
        else:
            reply = self.handler(request)
        if reply is None:
            return
        if isinstance(reply, dict) and isinstance(request, dict) and isinstance(request.get("id"), str):
            reply = dict({"id": request["id"]}, **reply)
        if isinstance(reply, list):  # frames as they are
            self.router.send_multipart([frames[0]] + reply)
        else:
            body = reply if isinstance(reply, bytes) else pack(reply)
            self.router.send_multipart(frames[:-1] + [body])

    def subscribed(self, message):
        with self.changed:
            self.subscriptions.append(message)
            self.changed.notify_all()
        if message == b"\x01Welcome/" and self.welcome:
            self.pulse_now("Welcome/")

    def pulse_now(self, kind, seq=None):
        head = self.log[-1]["seq"] if self.log else 0
        self.xpub.send_multipart([kind.encode(), pack({"seq": head if seq is None else seq, "time": 1})])

    def do(self, task):
        """Runs a task in the node's thread."""
        self.outbox.put(task)
        self.wake.send(b"")

    def publish(self, *events, store=True):
        def task():
            for body in events:
                if store:
                    self.log.append(body)
                self.xpub.send_multipart([topic(body).encode(), pack(body)])
        self.do(task)

    def heartbeat(self, seq=None):
        self.do(lambda: self.pulse_now("Heartbeat/", seq))

    def wait(self, condition):
        with self.changed:
            if not self.changed.wait_for(condition, DEADLINE_S):
                raise AssertionError("waited in vain")

    def close(self):
        self.do(None)
        self.thread.join()
        self.context.destroy(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def command(node, *arguments):
    line = [PROGRAM]
    if node is not None:
        line += ["-e", node.commands, "--events", node.events]
    return line + list(arguments)


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ALLOCD_")}
    return dict(clean, **more)


def run(node, *arguments, stdin=b"", env=None):
    done = subprocess.run(command(node, *arguments), input=stdin, capture_output=True,
                          timeout=DEADLINE_S, env=env or environment())
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return done.returncode, lines, done.stderr.decode("utf-8", "replace")


class Running:
    """zmq-send while it runs, line by line."""

    def __init__(self, node, *arguments, stdin=subprocess.PIPE):
        self.process = subprocess.Popen(command(node, *arguments), stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment())
        self.watchdog = threading.Timer(DEADLINE_S, self.process.kill)
        self.watchdog.start()
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def line(self):
        return self.lines.get(timeout=DEADLINE_S)

    def seqs(self, count):
        return [self.line()["seq"] for _ in range(count)]

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self):
        """Exit status, the lines left, and stderr."""
        errors = self.process.stderr.read().decode()
        status = self.process.wait(DEADLINE_S)
        self.thread.join()
        left = []
        while not self.lines.empty():
            left.append(self.lines.get())
        return status, [line for line in left if line is not None], errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.watchdog.cancel()
        self.thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
