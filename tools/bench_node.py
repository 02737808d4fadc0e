"""What tools/bench measures with: nodes of its own, zmq-send bench against them, stores that are
filled once and copied, and looks at a node while it works."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import msgpack
import zmq

PATIENCE = 600  # seconds for a node to start or to end, and for any one reply
FILL_PATIENCE = 7200
LOOK_EVERY = 0.1  # seconds
ANY_PORT = "tcp://127.0.0.1:*"
READY = re.compile(r"ready commands=(\S+) events=(\S+)")


class Failed(Exception):
    """Something could not be measured."""


class Node:
    """A node that runs. `ready_after` is how long its start took, in seconds."""

    def __init__(self, allocd, data):
        began = time.monotonic()
        self.data = data
        self.last_words = deque(maxlen=20)
        self.commands = self.events = self.ready_after = None
        self.process = subprocess.Popen(
            [allocd, "--data", data, "--commands", ANY_PORT, "--events", ANY_PORT],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._said = threading.Event()
        self._reader = threading.Thread(target=self._read_log, args=(began,), daemon=True)
        self._reader.start()
        try:
            self._said.wait(PATIENCE)
        finally:  # nobody else would end it
            if self.ready_after is None:
                self.process.kill()
                self.process.wait(PATIENCE)
        if self.ready_after is None:
            raise Failed("the node did not get ready: " + "".join(self.last_words))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)

    def _read_log(self, began):
        for line in self.process.stderr:
            self.last_words.append(line)
            found = READY.search(line)
            if found:
                self.ready_after = time.monotonic() - began
                self.commands, self.events = found.groups()
                self._said.set()
        self._said.set()  # it ended

    def end(self, number):
        """Ends it by that signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def memory(self):
        """RssAnon, RssFile and VmHWM in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = dict(re.findall(r"^(RssAnon|RssFile|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
        return {key: int(value) / 1024 for key, value in found.items()}


class Client:
    """One connection, one request at a time."""

    def __init__(self, node):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.set_hwm(0)
        self.socket.connect(node.commands)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, **fields):
        self.socket.send(msgpack.packb({"type": kind, **fields}))

    def receive(self):
        """The body of the next reply."""
        if not self.socket.poll(PATIENCE * 1000):
            raise Failed("the node does not answer")
        return self.socket.recv()

    def ask(self, kind, **fields):
        self.send(kind, **fields)
        reply = msgpack.unpackb(self.receive())
        if not reply["ok"]:
            raise Failed(f"{kind} was refused: {reply}")
        return reply


class Watch:
    """Looks at a node again and again: `looks` has (seconds since the beginning, GetStats with the
    memory in it)."""

    def __init__(self, node):
        self.node, self.looks, self.failure = node, [], None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._ended.set()
        self._thread.join()
        if kind is None and self.failure is not None:
            raise self.failure

    def _look(self):
        began = time.monotonic()
        try:
            with Client(self.node) as client:
                while not self._ended.wait(LOOK_EVERY):
                    stats = client.ask("GetStats")
                    self.looks.append((time.monotonic() - began, stats | self.node.memory()))
        except Exception as failure:  # whatever it is, the figures are not to be trusted
            self.failure = failure

    def most(self, key, since=0.0, until=float("inf")):
        return max((look[key] for at, look in self.looks if since <= at <= until), default=0)

    def backlog(self, window=10.0):
        """The most that was not folded: in the first `window` seconds, and in the last."""
        end = self.looks[-1][0] if self.looks else 0.0
        window = min(window, end / 2)
        return (self.most("events_behind", until=window),
                self.most("events_behind", since=end - window))


class Bench:
    """What all scenarios share."""

    def __init__(self, programs, directory, seconds, small):
        self.allocd = str(Path(programs, "allocd").resolve())
        self.zmq_send = str(Path(programs, "zmq-send").resolve())
        directory.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="bench-", dir=directory))
        self.stores = {}
        self.raw = []  # what zmq-send printed, with its arguments
        self.small = small
        self.seconds = seconds  # of throughput
        self.part = seconds / 3  # of one side of a comparison
        self.brief = seconds / 6  # of one that changes what it compares

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, ignore_errors=True)

    def count(self, number):
        """That many; in a small run a thousandth."""
        return max(number // 1000, 10) if self.small else number

    def beside(self, number):
        """That many connections; a few in a small run."""
        return min(number, 5) if self.small else number

    def node(self, store=None):
        """A node on an empty directory, or on a copy of that store, that is deleted afterwards."""
        return _NodeOfItsOwn(self, store)

    def measure(self, node, *arguments, seconds, inflight=4096, skus=10000):
        """What zmq-send bench says, as a dictionary."""
        arguments = [*map(str, arguments), "--inflight", str(inflight), "--skus",
                     str(self.count(skus)), "--seconds", f"{seconds:g}"]
        done = subprocess.run(
            [self.zmq_send, "-e", node.commands, "--events", node.events, "--timeout",
             str(PATIENCE), "bench", "--json", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=FILL_PATIENCE + 10 * seconds)
        if done.returncode != 0:
            raise Failed(f"zmq-send bench {' '.join(arguments)}: {done.stderr}"
                         + "".join(node.last_words))
        figures = json.loads(done.stdout)
        self.raw.append({"arguments": " ".join(arguments), **figures})
        if figures["allocd"]["refused"]:
            raise Failed(f"refused: {figures['allocd']['refusals']}")
        return figures

    def fill(self, node, skus, lines):
        self.measure(node, "--lines", self.count(lines), seconds=0.01, inflight=1, skus=skus)

    def store(self, name, fill):
        """The store of that name, which fill(node) fills when it is first asked for."""
        if name not in self.stores:
            path = self.home / name
            with Node(self.allocd, path) as node:
                fill(node)
            self.stores[name] = path
        return self.stores[name]

    def forget_stores(self):
        """Deletes them: a scenario has ended, and the next one may want the room."""
        for path in self.stores.values():
            shutil.rmtree(path)
        self.stores.clear()


class _NodeOfItsOwn:
    def __init__(self, bench, store):
        self.bench, self.store, self.node = bench, store, None
        self.directory = Path(tempfile.mkdtemp(prefix="run-", dir=bench.home))

    def __enter__(self):
        data = self.directory / "data"
        if self.store is not None:
            subprocess.run(["cp", "-r", "--reflink=auto", self.store, data], check=True)
            # What a copy leaves to be written is not this run's.
            subprocess.run(["sync", *data.iterdir()], check=True)
        self.node = Node(self.bench.allocd, data)
        return self.node

    def __exit__(self, *_):
        self.node.end(signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)
