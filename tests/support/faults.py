"""Plays a script to a node whose calls fail to order, and holds all that comes of it against the
oracle.

    play(script, Fault("pwrite", "EIO", 3, forever=False), patience) -> Outcome

A node may go on as if nothing was, refuse with storage_full or storage_failed, not start, or end;
the last two with status 1 and a line that says why. Whatever it did, a node without faults must then
find a store in which all that was acknowledged is in effect, and nothing else.
"""

import copy
import os
import random
import re
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import oracle
from allocd import DEADLINE, Client, Node, Subscriber, check_reply, plain, unpack
from model import COMMANDS, Model

NO_WELCOME = 2**64  # a subscriber that may have come too late for any event
WORKERS = 3
REPEATED = 300      # old requests that are sent again in the end
NTH_MAX = 100_000
OFTEN = {"pwrite": 128, "pwritev": 64, "writev": 16, "fdatasync": 64, "lseek": 16, "stat": 32, "fstatat": 32,
         "malloc": 512}
FULL = {"ENOSPC", "EDQUOT", "EFBIG", "SHORT"}
WRITE = ["EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR", "EROFS", "SHORT"]
SYNC = ["EIO", "ENOSPC", "EDQUOT", "EINTR"]
PATH = ["EACCES", "EMFILE", "ENFILE", "ENOSPC", "EROFS", "EIO", "EINTR"]
PATIENT_KNOCKS = 2000
ROOM_SECONDS = 5
TO_DISK = {"pwrite", "pwritev", "writev", "fdatasync", "fsync"}  # where EIO must end the node, ...
# ... unless nothing stands in that file that anybody was told of.
WORTHLESS = re.compile(r"/(journal/mark|journal/next-\d+\.tmp|probe\.tmp)( \(deleted\))?$")
ERRORS = {  # call: what it may fail with
    "mkdir": ["EACCES", "EDQUOT", "ENOSPC", "EROFS", "EIO"],
    "mkdirat": ["EACCES", "EDQUOT", "ENOSPC", "EROFS", "EIO"],
    "renameat": ["EDQUOT", "ENOSPC", "EROFS", "EIO"],
    "readdir": ["EIO"],
    "pthread_create": ["EAGAIN"],
    "open": PATH, "openat": PATH,
    "flock": ["EINTR", "EIO", "ENOLCK"],
    "fcntl": ["EINTR", "EIO", "ENOLCK"],
    "stat": ["EACCES", "EIO"], "fstat": ["EIO"], "fstatat": ["EACCES", "EIO"], "fstatfs": ["EIO", "EINTR"],
    "lseek": ["EIO"],
    "mmap": ["ENOMEM", "EAGAIN"],
    "read": ["EIO", "EINTR", "SHORT"], "pread": ["EIO", "EINTR", "SHORT"],
    "write": WRITE, "pwrite": WRITE, "writev": WRITE, "pwritev": WRITE,
    "ftruncate": ["EIO", "ENOSPC", "EFBIG", "EINTR"],
    "fallocate": ["EIO", "ENOSPC", "EDQUOT", "EFBIG"],
    "fsync": SYNC, "fdatasync": SYNC,
    "unlinkat": ["EIO", "EROFS"],
    "close": ["EIO", "EINTR", "ENOSPC"],
}


def is_cut_page(told, expected):
    """A page may be shorter than the model's, as it is cut by time: its rows are the first ones."""
    for key in ("events", "lines", "batches", "products"):
        rows = told.get(key)
        if type(rows) is list and key in expected and len(rows) < len(expected[key]):
            return told["next"] is not None and rows == expected[key][:len(rows)] and \
                {**told, key: 0, "next": 0} == {**expected, key: 0, "next": 0}
    return False


@dataclass(frozen=True)
class Fault:
    call: str
    error: str
    nth: int
    forever: bool

    def __str__(self):
        return f"{self.call}:{self.error}:{self.nth}" + ":forever" * self.forever

    def environment(self, node):
        return {"ALLOCD_FAULT": str(self), "ALLOCD_WATCH": str(node.data),
                "ALLOCD_FAULT_FIRED": str(node.home / "fired")}

    def has_fired(self, node):
        return (node.home / "fired").exists()

    def file(self, node):
        """What the call that failed was about, below the data directory or as a whole path."""
        return (node.home / "fired").read_text().replace(str(node.data), "")

    def must_end(self, node):
        """Whether it has fired, and the node may not go on."""
        return self.error == "EIO" and self.call in TO_DISK and self.has_fired(node) and \
            not WORTHLESS.search(self.file(node))


class Script:
    """Steps, each of which is sent as a whole before its replies are read; `history` was played
    before on the same store, without faults."""

    def __init__(self, name, steps, history=(), arguments=()):
        self.name, self.steps, self.arguments = name, steps, arguments
        self.model, self.oracle = Model(), oracle.Oracle(oracle.Journal())
        self.before = None
        if history:
            self.before = Node(*arguments)
            with Client(self.before.start()) as client:
                for entry in self.oracle.send(client, history):
                    assert plain(entry.reply) == self.model.handle(entry.request), entry
                self.oracle.check(client)
            self.before.stop()

    def close(self):
        if self.before is not None:
            self.before.close()


class Ended(Exception):
    """The node ended while it was talked to."""


class Mute(Exception):
    """The node runs and does not answer any more."""


class Conversation:
    """One client, and what it was told. Commands are in the oracle's journal; what queries tell is
    compared with the model as long as it is known which commands took effect."""

    def __init__(self, node, script, fault, patience):
        self.node, self.fault = node, fault
        self.patience = patience if fault.forever else 10 * patience  # then an answer must come
        self.client = Client(node)
        self.oracle, self.model = copy.deepcopy((script.oracle, script.model))
        self.is_certain = True
        self.refused = Counter()
        self.commands_refused = Counter()
        self.dropped = self.markers = 0

    def close(self):
        self.client.close()

    def play(self, steps):
        for step in steps:
            self.insist(self.step(step))
        if self.dropped and not self.fault.forever:
            stats = self.client.ask("GetStats")
            # A connection that there is no memory for ends, with all that was on its way.
            counted = sum(stats[key] for key in
                          ("replies_dropped", "requests_dropped", "peers_refused"))
            assert counted > 0, f"{self.dropped} dropped, none counted"

    def insist(self, refused):
        """Sends again what was refused, until it is done: what the node could not write to its tables
        it tries again each second, and so it looks for room."""
        end = time.monotonic() + ROOM_SECONDS
        while refused:
            last = self.fault.forever or time.monotonic() > end
            refused = self.step(refused)
            assert self.fault.forever or not (refused and last), \
                f"refused once more, without a fault: {refused}"
            if last:
                return

    def step(self, requests):
        """Gives the commands that the store refused."""
        waiting = {}
        for request in requests:
            if request["type"] in COMMANDS:
                waiting[request["id"]] = self.oracle.journal.sent("client", request)
            else:
                waiting[request["id"]] = request
            self.client.send(request)
        refused = []
        for reply in self.replies():
            for ident in list(waiting):  # replies come in order: those before this one never will
                entry = waiting.pop(ident)
                if ident == reply["id"]:
                    self.take(entry, reply, refused)
                    break
                self.dropped += 1
                self.is_certain = False
            else:
                raise AssertionError(f"a reply to nothing that was asked: {reply}")
        self.dropped += len(waiting)
        self.is_certain = self.is_certain and not waiting
        return refused

    def replies(self):
        """All until that to a Ping behind the requests. Where the Ping too is dropped, the next may
        not be, unless the fault is there for ever."""
        for _ in range(4):
            self.markers += 1
            marker = f"marker-{self.markers}"
            self.client.send({"type": "Ping", "id": marker})
            while True:
                reply = self.receive()
                if reply is None:
                    break
                if reply["id"] == marker:
                    return
                if not reply["id"].startswith("marker-"):
                    yield reply
        raise Mute

    def receive(self):
        end = time.monotonic() + self.patience
        while not self.client.socket.poll(10):
            if not self.node.is_running() and not self.client.socket.poll(10):
                raise Ended
            if time.monotonic() > end:
                return None
        frames = self.client.socket.recv_multipart()
        assert len(frames) == 2 and frames[0] == b"", frames
        reply = check_reply(unpack(frames[1]))
        assert "id" in reply, reply
        return reply

    def take(self, entry, reply, refused):
        is_command = isinstance(entry, oracle.Entry)
        request = entry.request if is_command else entry
        if is_command:
            self.oracle.journal.answered(entry, reply)
        if reply.get("error") in oracle.STORAGE:
            self.refused[reply["error"]] += 1
            if is_command:
                self.commands_refused[reply["error"]] += 1
                refused.append(request)
        elif self.is_certain:
            expected = self.model.handle(request)
            is_stats = request["type"] == "GetStats"  # which tells more than the model knows
            told = {key: reply[key] for key in expected} if is_stats else plain(reply)
            assert told == expected or is_cut_page(told, expected), \
                f"{request} gave {reply}, expected {expected}"

    def knock(self):
        """Has the node end that must end with the next group: it may have to notice first."""
        for number in range(PATIENT_KNOCKS):
            self.step([{"type": "CreateBatch", "ref": f"knock-{number}", "sku": "A/1", "qty": 1,
                        "eta": None, "id": f"knock-{number}"}])
        raise AssertionError("EIO does not end it")

    def check_refusals(self):
        """Who has room again should know that it was room that was missing, and nobody else. A query
        wants none."""
        if self.fault.error in FULL - {"SHORT"}:
            assert not self.commands_refused["storage_failed"], "no space is storage_full"
        elif self.fault.error not in FULL:
            assert not self.refused["storage_full"], f"{self.fault.error} is not storage_full"
        if self.fault.must_end(self.node):
            assert not self.refused, "EIO ends the node: nobody can tell what is on disk"


@dataclass
class Outcome:
    fault: Fault
    kind: str
    line: str = ""
    log: str = ""


def last_line(node):
    lines = node.stderr().splitlines()
    return lines[-1] if lines else ""


def check_end(node, allowed=(0, 1)):
    """The status is allowed, and where it is not 0 the last line is the reason; so there was no
    signal, no assert, no sanitizer."""
    node.check_log()
    status = node.process.returncode
    assert status in allowed, f"status {status}: {node.stderr()[-3000:]}"
    assert status == 0 or re.search(r" ERROR |^allocd: ", last_line(node)), node.stderr()[-3000:]
    return status


def without_place(line, node):
    return re.sub(r"^\S+ ", "", line).replace(str(node.data), "DIR")


def talk(node, script, fault, patience):
    """From the start of the node to its end. Gives the conversation, if there was one, and what
    kind of outcome this is."""
    node.launch(faults=fault.environment(node))
    try:
        node.wait_ready()
    except RuntimeError:
        check_end(node, (1, 2) if fault.call == "malloc" else (1,))  # 2: a configuration unread
        assert len(node.stderr().splitlines()) == 1, f"not one line: {node.stderr()}"
        return None, "no start"
    conversation = Conversation(node, script, fault, patience)
    kind = None
    with Subscriber(node, welcome=False) as subscriber:
        try:
            conversation.play(script.steps)
            if fault.must_end(node):
                conversation.knock()
        except Ended:
            node.wait()
            kind = "ended"
            check_end(node, (1,))
        except Mute:
            kind = "mute"
            assert fault.forever and fault.call == "malloc", "it does not answer any more"
        finally:
            conversation.close()
        if kind != "ended":
            node.process.terminate()
            node.wait()
            if check_end(node) == 1:
                kind = "ended in stop"
        conversation.oracle.listen(NO_WELCOME, subscriber.drain())
    conversation.check_refusals()
    return conversation, kind or kind_of(conversation)


def kind_of(conversation):
    if conversation.refused:
        return "refused " + ", ".join(sorted(conversation.refused))
    return "replies dropped" if conversation.dropped else "went on"


def check_store(node, script, conversation):
    """Without faults again: what was promised is there, and commands work."""
    checker = conversation.oracle if conversation else copy.deepcopy(script.oracle)
    known = [entries[0].request for entries in checker.journal.ids.values()]
    some = known if len(known) <= REPEATED else random.sample(known, REPEATED)
    with Client(node.start()) as client:
        checker.settle(client, some)
        one_more = {"type": "CreateBatch", "ref": "one more", "sku": "A/1", "qty": 1, "eta": None,
                    "id": "one more"}
        checker.send(client, [one_more])
        checker.check(client)
        assert not checker.journal.take_unknown(), "commands do not work again"
    node.stop()
    checker.verify(node)


def play(script, fault, patience):
    node = Node(*script.arguments)
    try:
        if script.before is not None:
            shutil.copytree(script.before.data, node.data)
        try:
            conversation, kind = talk(node, script, fault, patience)
            line, log = without_place(last_line(node), node), node.stderr()
            fired = fault.has_fired(node)
            check_store(node, script, conversation)
        except Exception as error:
            log = node.stderr() if node.log and node.log.exists() else ""
            raise AssertionError(f"{script.name} {fault}: {type(error).__name__}: {error}\n"
                                 f"{log[-2000:]}") from error
        if not fired:
            assert kind == "went on", f"{script.name} {fault}: {kind} without a fault: {line}"
        elif fault.must_end(node) and kind not in ("no start", "ended"):
            # The last round, whose failure takes nothing away: the journal has it all.
            assert fault.file(node) == "/data.mdb", f"{script.name} {fault}: {kind}"
        return Outcome(fault, kind if fired else "no fault", line, log)
    finally:
        if node.is_running():
            node.process.kill()
            node.wait()
        shutil.rmtree(node.home, ignore_errors=True)


# ---- campaigns -------------------------------------------------------------------------------


class Campaign:
    """Runs of many faults, a few at once. A run that finds something does not end the others."""

    def __init__(self, scripts, faults, patience=DEADLINE):
        """`faults`: pairs of a call and an error; `patience`: seconds to wait for a reply where all
        calls fail, and ten times as long where one does."""
        self.patience = patience
        self.loops = [(script, call, error, forever) for script in scripts
                      for call, error in faults for forever in (False, True)
                      if not (forever and error == "EINTR")]  # no signal comes for ever
        self.kinds, self.lines, self.failures = Counter(), Counter(), []
        self.reach = Counter()  # (script, call): the highest N that fired

    def run(self, script, fault):
        """True where the fault fired."""
        try:
            outcome = play(script, fault, self.patience)
        except AssertionError as error:
            self.failures.append(str(error))
            self.kinds["FAILED"] += 1
            return True
        self.kinds[outcome.kind] += 1
        if outcome.kind in ("no start", "ended", "ended in stop"):
            self.lines[outcome.line] += 1
        fired = outcome.kind != "no fault"
        if fired:
            key = (script.name, fault.call)
            self.reach[key] = max(self.reach[key], fault.nth)
        return fired

    def every(self):
        """Each N of each call, until none fires."""
        def loop(script, call, error, forever):
            for nth in range(1, NTH_MAX):
                if not self.run(script, Fault(call, error, nth, forever)):
                    break
        self.work(loop, self.loops)

    def some(self, count, seed):
        """`count` runs by chance; how far N goes is a guess, made better on the way."""
        chance = random.Random(seed)
        limits = {}

        def one(_):
            script, call, error, forever = chance.choice(self.loops)
            key = (script.name, call)
            limit = limits.get(key, OFTEN.get(call, 2))
            nth = 1 + int(chance.random() * limit)
            if self.run(script, Fault(call, error, nth, forever)):
                limits[key] = max(nth + 1, limit)
            elif nth > 1:
                limits[key] = nth - 1
            else:  # it is never called
                self.loops = [loop for loop in self.loops if (loop[0].name, loop[1]) != key]
        self.work(one, [(number,) for number in range(count)])

    def work(self, function, arguments):
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(function, *each) for each in arguments]:
                done.result()

    def report(self):
        text = [f"{sum(self.kinds.values())} runs: " +
                ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common())]
        if os.environ.get("FAULT_DETAILS"):
            text += [f"  {script} {call}: N up to {nth}"
                     for (script, call), nth in sorted(self.reach.items())]
            text += [f"  {count} x {line}" for line, count in self.lines.most_common()]
        return "\n".join(text)
