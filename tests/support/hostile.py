"""Runs attacks on a node, and measures what they do to it and to a good client."""

import functools
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
import unittest
import warnings
from pathlib import Path

import zmq

from allocd import DEADLINE, Client, Node, let_pass, program, wait_until

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "1"))
MIB = 1 << 20
MEMORY_MAX = 96 * MIB   # clients/max_memory_mib, for all peers together
KEPT_MAX = 24 * MIB     # of it, once the attack is over
SHARE_MIN = 0.1         # of its quiet rate, that a good client gets
WAIT_MAX = 0.5          # seconds that it waits at most
RECOVERED_MIN = 0.7     # of its quiet rate, when ...
RECOVERY_SECONDS = 3    # ... so much time has passed since the attack
GONE_SECONDS = 1        # in which the node sees that connections have ended
STOP_SECONDS = 5        # in which SIGTERM is obeyed, while attacked
LOG_LINES_MAX = 6       # in a second: each kind of line comes once at most
TRIES = 3               # where other work of the machine may have slowed it down
RECONNECT_SECONDS = 0.01
SAMPLE_SECONDS = 0.01
SINGLES, IN_FLIGHT, ORDERS = 8, 40, 1000
COUNTERS = ("peers_cut", "peers_flooding", "peers_refused", "subscribers_cut", "requests_dropped",
            "replies_dropped")

# A sanitizer keeps what was freed, and shadows what is used: the node may have so many times more.
SANITIZERS = {b"__asan_init": 4, b"__tsan_init": 16}
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"


@functools.cache
def sanitizer_factor():
    code = Path(program("ALLOCD", "allocd")).read_bytes()
    return max([1] + [factor for name, factor in SANITIZERS.items() if name in code])


def allow_many_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# ---- what a process uses ----

def anonymous_bytes(pid):
    """Memory of its own, without pages of files; 0 where it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def cpu_seconds(pid):
    """Processor time of all its threads, to the nanosecond."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


class Watch(threading.Thread):
    """Keeps an eye on a node, from `with` to its end: the most memory that it had, and since when
    it has had no more descriptors than before."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.pid, self.over = node.process.pid, threading.Event()
        self.base, self.descriptors = anonymous_bytes(self.pid), descriptors(self.pid)
        self.peak = self.descriptors_max = 0
        self.at_rest_since = None

    def run(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, anonymous_bytes(self.pid))
            now = descriptors(self.pid)
            self.descriptors_max = max(self.descriptors_max, now)
            if now > self.descriptors:
                self.at_rest_since = None
            elif self.at_rest_since is None:
                self.at_rest_since = time.monotonic()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def grown(self):
        return max(0, self.peak - self.base)

    def kept(self):
        return max(0, anonymous_bytes(self.pid) - self.base)


# ---- attacks ----

class Endpoints:
    """What an attack needs of a node."""

    def __init__(self, node):
        self.commands, self.events = node.commands, node.events


def run_attack(kind, endpoints, begun, seconds):
    """Goes on for so many seconds at most, and begins anew where the node has ended it."""
    warnings.simplefilter("ignore", ResourceWarning)
    allow_many_descriptors()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            for _ in kind(endpoints):
                begun.set()
                if time.monotonic() > end:
                    return
        except OSError:
            time.sleep(RECONNECT_SECONDS)


class Attack:
    """A process for each kind, from `with` to its end. It is killed then: nobody says good-bye."""

    def __init__(self, node, kinds, seconds=None):
        self.processes, self.begun = [], []
        for kind in kinds:
            self.begun.append(multiprocessing.Event())
            self.processes.append(multiprocessing.Process(
                target=run_attack, daemon=True,
                args=(kind, Endpoints(node), self.begun[-1], seconds or SECONDS + 120)))

    def __enter__(self):
        for process in self.processes:
            process.start()
        for begun in self.begun:
            begun.wait(2)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()


# ---- a good client ----

class GoodClient:
    """Sends commands and queries, checks each reply, and takes the time. Its orders come and go, so
    that the store does not grow with the time that it takes."""

    def __init__(self, node):
        self.client = Client(node)
        self.client.socket.disconnect(node.commands)
        self.client.socket.setsockopt(zmq.ROUTING_ID, b"good")
        self.client.socket.connect(node.commands)
        self.turn = 0
        self.latencies = []

    def next_request(self):
        self.turn += 1
        order = {"orderid": str((self.turn - 1) // 4 % ORDERS), "sku": "GOOD"}
        return ({"type": "Ping", "id": f"odd {self.turn}"}, {"type": "Allocate", "qty": 1, **order},
                {"type": "Ping", "id": f"even {self.turn}"}, {"type": "Deallocate", **order}
                )[(self.turn - 1) % 4]

    @staticmethod
    def check(request, reply):
        assert reply["ok"] and reply.get("id") == request.get("id"), (request, reply)
        assert request["type"] != "Allocate" or reply["batchref"] == "good", (request, reply)

    def burst(self):
        """Some requests one after the other, then many at once; notes how long it waited for each
        reply, since it asked or had the one before."""
        for count in [1] * SINGLES + [IN_FLIGHT]:
            requests = [self.next_request() for _ in range(count)]
            begin = time.monotonic()
            for request in requests:
                self.client.send(request)
            for request in requests:
                self.check(request, self.client.recv())
                now = time.monotonic()
                self.latencies.append(now - begin)
                begin = now

    def rate(self, seconds, meanwhile=None):
        """Requests a second, over so much time; `meanwhile` is done between bursts, and does not
        count."""
        spent = count = 0
        while spent < seconds:
            if meanwhile is not None:
                meanwhile(self.client)
            begin = time.monotonic()
            self.burst()
            spent += time.monotonic() - begin
            count += SINGLES + IN_FLIGHT
        return count / spent

    def quiet_rate(self):
        return statistics.median(self.rate(0.08) for _ in range(5))


def show_warnings(node):
    """What a node says of those that it cut off, and of itself, tells why a test failed."""
    for line in node.stderr().splitlines():
        if " WARN " in line or " ERROR " in line:
            print(line, file=sys.stderr)
    if node.process.poll() not in (None, 0):
        print(f"the node had ended, {node.process.returncode}", file=sys.stderr)


def good_node(case, *arguments, **options):
    """A node with what attacks and good clients ask for, and a good client."""
    allow_many_descriptors()
    node = Node(*arguments, **options)
    case.addCleanup(node.close)
    case.addCleanup(show_warnings, node)
    node.start()
    good = GoodClient(node)
    case.addCleanup(good.client.close)
    good.client.ask("CreateBatch", ref="good", sku="GOOD", qty=1_000_000_000)
    good.client.pipeline({"type": "CreateBatch", "ref": f"{number:04}{'x' * 200}", "sku": "LONG",
                          "qty": 1} for number in range(500))
    good.rate(0.2) # to warm up
    return node, good


# ---- what an attack did, and whether it may ----

class Figures:
    """Of one try. `broken`: rules that were, in words; `is_noisy`: a slow machine may be why."""

    header = ("| attack | quiet 1/s | attacked 1/s | longest wait ms | recovered s | ended s "
              "| grown MiB | kept MiB | stopped s | counted | broken |\n" + "|---" * 11 + "|")

    def __init__(self, name):
        self.name, self.broken, self.is_noisy = name, [], True
        self.quiet = self.attacked = self.wait = self.recovered = self.ended = 0
        self.grown = self.kept = self.stopped = 0
        self.counted = {}

    def insist(self, is_so, rule, is_noisy=False):
        if not is_so and (not is_noisy or sanitizer_factor() == 1): # it is slow at some things alone
            self.broken.append(rule)
            self.is_noisy = self.is_noisy and is_noisy

    def line(self):
        def seconds(value):
            return "never" if value is None else f"{value:.2f}"
        return (f"| {self.name} | {self.quiet:.0f} | {self.attacked:.0f} | {1000 * self.wait:.1f} "
                f"| {seconds(self.recovered)} | {seconds(self.ended)} "
                f"| {self.grown / MIB:.1f} | {self.kept / MIB:.1f} | {seconds(self.stopped)} | "
                + ", ".join(f"{key} {value}" for key, value in self.counted.items()) + " | "
                + "; ".join(self.broken) + " |")


class HostileCase(unittest.TestCase):
    """Each test prints a line of figures."""

    @classmethod
    def setUpClass(cls):
        print("\n" + Figures.header, file=sys.stderr, flush=True)

    def start(self):
        return good_node(self)

    def endure(self, name, *kinds, counters=(), meanwhile=None, is_bounded=True):
        """The rules that hold for whatever one attacking process does, and those about memory, ends
        and SIGTERM for several (`is_bounded` is false). `counters` are those that must grow."""
        for _ in range(TRIES):
            figures = Figures(name)
            self.attempt(figures, kinds, counters, meanwhile, is_bounded)
            self.doCleanups()
            if not figures.broken or not figures.is_noisy:
                break
        print(figures.line(), file=sys.stderr, flush=True)
        self.assertEqual(figures.broken, [], figures.line())

    def attempt(self, figures, kinds, counters, meanwhile, is_bounded):
        node, good = self.start()
        figures.quiet = good.quiet_rate()
        before = good.client.ask("GetStats")
        good.latencies.clear()
        with Watch(node) as watch:
            is_served = self.under_attack(figures, node, good, kinds, meanwhile, is_bounded)
            over = time.monotonic()
            is_served = is_served and self.recover(figures, node, good)
            self.look_at_ends(figures, node, watch, over)
            figures.grown = watch.grown()
        factor = sanitizer_factor()
        figures.insist(figures.grown <= MEMORY_MAX * factor, "memory")
        # The malloc of a sanitizer gives nothing back.
        figures.insist(factor != 1 or figures.kept <= KEPT_MAX, "memory kept")
        figures.insist(figures.ended is not None and figures.ended <= GONE_SECONDS * factor,
                       "ends unseen", is_noisy=figures.ended is not None)
        if is_served:
            self.count(figures, good, before, counters)
            lines, uptime = len(node.stderr().splitlines()), good.client.ask("GetStats")["uptime_ms"]
            figures.insist(lines < LOG_LINES_MAX * (2 + uptime / 1000), "flood of the log")
        self.stop(figures, node, kinds)

    def under_attack(self, figures, node, good, kinds, meanwhile, is_bounded):
        """Whether the good client was served all the time."""
        try:
            with Attack(node, kinds):
                figures.attacked = good.rate(SECONDS, meanwhile)
        except TimeoutError:
            figures.wait = DEADLINE
            figures.insist(False, f"no reply in {DEADLINE:.0f} s")
            return False
        except ConnectionError:
            figures.insist(False, f"the node ended, status {node.process.poll()}")
            return False
        figures.wait = max(good.latencies)
        figures.insist(not is_bounded or figures.attacked >= SHARE_MIN * figures.quiet, "slow", True)
        figures.insist(not is_bounded or figures.wait <= WAIT_MAX, "long wait", True)
        return True

    def recover(self, figures, node, good):
        begin, others = time.monotonic(), None
        try:
            while good.rate(0.1) < RECOVERED_MIN * figures.quiet:
                spent = time.monotonic() - begin
                if spent > 2 * DEADLINE:
                    raise TimeoutError
                if spent > RECOVERY_SECONDS - 1 and others is None:
                    others = self.share_of_others(good)
                    if others >= RECOVERED_MIN:
                        break
            figures.recovered = time.monotonic() - begin if others is None or \
                others < RECOVERED_MIN else RECOVERY_SECONDS
        except TimeoutError:
            figures.recovered = None
        except ConnectionError:
            figures.insist(False, f"the node ended, status {node.process.poll()}")
            return False
        figures.insist(figures.recovered is not None and figures.recovered <= RECOVERY_SECONDS,
                       "slow afterwards", True)
        return figures.recovered is not None

    def share_of_others(self, good):
        """Its rate as a share of that on a node which was never attacked, by turns: the machine may
        have become slower."""
        _, other = good_node(self)
        return statistics.median(good.rate(0.1) / other.rate(0.1) for _ in range(5))

    @staticmethod
    def look_at_ends(figures, node, watch, over):
        if not node.is_running():
            return
        try:
            wait_until(lambda: watch.at_rest_since is not None, "descriptors come back")
            figures.ended = max(0.0, watch.at_rest_since - over)
        except AssertionError:
            figures.ended = None
        end = max(over + RECOVERY_SECONDS, time.monotonic() + 0.1)
        while watch.kept() > KEPT_MAX and time.monotonic() < end:
            let_pass(SAMPLE_SECONDS)
        figures.kept = watch.kept()

    @staticmethod
    def count(figures, good, before, counters):
        after = good.client.ask("GetStats")
        figures.counted = {key: after[key] - before[key] for key in COUNTERS
                           if after[key] != before[key]}
        for counter in counters:
            figures.insist(after[counter] > before[counter], f"{counter} not counted")

    @staticmethod
    def stop(figures, node, kinds):
        """SIGTERM while it is attacked again."""
        if not node.is_running():
            return
        with Attack(node, kinds):
            let_pass(0.3)
            begin = time.monotonic()
            node.send_signal(signal.SIGTERM)
            try:
                status = node.wait()
                figures.stopped = time.monotonic() - begin
                figures.insist(status == 0, f"SIGTERM: status {status}")
                node.check_log()
            except subprocess.TimeoutExpired:
                figures.stopped = None
                node.process.kill()
                node.process.wait(DEADLINE)
        figures.insist(figures.stopped is not None
                       and figures.stopped <= STOP_SECONDS * sanitizer_factor(), "SIGTERM",
                       is_noisy=figures.stopped is not None)
