"""Says whether a node kept its promises, from the outside: by what was sent and answered.

A Journal takes down each request and its reply, of any number of clients. After a crash, a full
disk or whatever a test does to the node, once nobody else talks to it:

    oracle.settle(client)    # sends again, twice, what has no reply yet, if it has an id
    oracle.check(client)     # reads the log and the state, and holds them against the journal
    oracle.verify(node)      # the node is stopped: what it says about its store itself

Each raises a Violation that begins with the promise that was broken:

    O1  what was acknowledged is in effect, and what was refused by the store is not
    O2  no id is applied twice
    O3  what was not answered happened once or not at all, and sent again it has one stable reply
    O4  seq is 1..N without gaps, `prev` and `version` hold, time does not go back
    O5  the log alone gives the state: each event follows from those before it, by the rules
    O6  0 <= available, available + allocated = purchased, each line in one place
    O7  what subscribers saw is in the log, in order, byte for byte
    O8  each reply is right at its place in the log

The order of commands is that of the log. A first event says which command it was, and the state
before it says which events this command must have had: the model gives them. A reply without events
says by its `seq` after which command it was given, so the model is asked there.

What an oracle has checked it does not look at again: a later `check` takes the new events and
replies. Only commands belong into the journal, and nobody may send one beside it.
"""

from collections import Counter, defaultdict

from allocd import plain, plain_event, run_allocd, topic_of, unpack
from model import NOT_REMEMBERED, Model, without

STORAGE = {"storage_full", "storage_failed"}
PAGE_MAX = 10_000
READ_AGAIN = 100  # events that each check reads once more
HEAD_COMMANDS = {
    "BatchCreated": ("CreateBatch", ("ref", "sku", "qty", "eta")),
    "BatchQuantityChanged": ("ChangeBatchQuantity", ("ref", "qty")),
    "BatchEtaChanged": ("ChangeBatchEta", ("ref", "eta")),
    "Allocated": ("Allocate", ("orderid", "sku", "qty")),
    "OutOfStock": ("Allocate", ("orderid", "sku", "qty")),
    "Deallocated": ("Deallocate", ("orderid", "sku")),
}


class Violation(AssertionError):
    def __init__(self, promise, finding):
        super().__init__(f"{promise}: {finding}")
        self.promise = promise


def insist(is_so, promise, *finding):
    if not is_so:
        raise Violation(promise, " ".join(map(str, finding)))


def what_of(request):
    """What a request asks for, by which it is the same as another or not."""
    return tuple(sorted((key, value) for key, value in request.items()
                        if key != "id" and value is not None))


def command_of(head):
    """The command whose first event this is."""
    kind, fields = HEAD_COMMANDS[head["type"]]
    return {"type": kind, **{name: head[name] for name in fields}}


class Entry:
    """A request that was sent."""

    __slots__ = ("connection", "request", "ident", "what", "known", "reply")

    def __init__(self, connection, request, known):
        self.connection, self.request, self.known = connection, request, known
        self.ident, self.what = request.get("id"), what_of(request)
        self.reply = None

    @property
    def error(self):
        return self.reply.get("error")

    @property
    def is_refused_by_store(self):
        return self.reply is not None and self.error in STORAGE

    @property
    def is_open(self):
        """It is not known what became of it, or it is known to be undone."""
        return self.reply is None or self.error in STORAGE

    def __repr__(self):
        return f"{self.connection}: {self.request} -> {self.reply or 'unknown'}"


class Journal:
    """What was sent, and what was answered. Connections are names, each used for one connection."""

    def __init__(self):
        self.ids = defaultdict(list)  # id: its entries
        self.open = []                # entries that may be without a reply
        self.fresh = []               # answered since the last check
        self.known = 0                # the highest seq that any reply told

    def sent(self, connection, request):
        entry = Entry(connection, request, self.known)
        if entry.ident is not None:
            self.ids[entry.ident].append(entry)
        self.open.append(entry)
        return entry

    def answered(self, entry, reply):
        insist(reply.get("id") == entry.ident, "O8", "the reply to another request:", entry, reply)
        entry.reply = reply
        self.fresh.append(entry)
        self.known = max(self.known, reply["seq"])

    def take_unknown(self):
        """Entries of the requests with ids that were not answered, or refused by the store, each
        request once. They are the caller's now, to be sent again or put back."""
        unknown = {(entry.ident, entry.what): entry for entry in self.open
                   if entry.is_open and entry.ident is not None}
        self.open = [entry for entry in self.open if entry.ident is None and entry.is_open]
        return list(unknown.values())

    def take_lost(self):
        """The requests without id and reply: they will never be heard of again."""
        lost = [entry.what for entry in self.open if entry.ident is None and entry.reply is None]
        self.open = [entry for entry in self.open if entry.ident is not None]
        return lost


class WouldChange(Exception):
    """The request changes something, and so cannot have a reply without an event."""


class Replay(Model):
    """The model, which changes by commands of the log alone."""

    changing = False

    def event(self, kind, product, **fields):
        if not self.changing:
            raise WouldChange
        super().event(kind, product, **fields)

    def run(self, command):
        """A command of the log: its reply, and the events that it must have had."""
        before = self.seq
        self.changing = True
        reply = self.handle(command)
        self.changing = False
        return reply, self.events[before:]


class Oracle:
    def __init__(self, journal):
        self.journal = journal
        self.model = Replay()
        self.bodies = []           # of all events, as they are stored
        self.topics = []
        self.newest = {}           # event type: seq of the newest one
        self.versions = Counter()  # sku: version
        self.time = 0
        self.lost = Counter()      # what: requests without id and without reply
        self.last_seq = {}         # connection: seq of its newest reply
        self.orders = set()        # all that were ever named
        self.feeds = []
        self.figures = Counter()

    # ---- what is open --------------------------------------------------------------------------

    def settle(self, client, others=()):
        """Sends twice what has an id and no reply, then `others`, old requests with ids. What they
        are answered must be stable; that it is right `check` will see."""
        head = client.head()
        insist(head >= self.journal.known, "O1", "acknowledged and lost: the log ends at", head,
               "and not at", self.journal.known)
        self.journal.known = head
        unknown = self.journal.take_unknown()
        requests = [entry.request for entry in unknown]
        heard_of = [any(not other.is_open for other in self.journal.ids[entry.ident])
                    for entry in unknown]
        firsts, seconds = self.send(client, requests), self.send(client, requests)
        for first, second, is_known in zip(firsts, seconds, heard_of):
            self.tally(first, head, is_known)
            insist(first.is_open or stable(first.reply) == stable(second.reply), "O3",
                   "the same request again has another reply:", first, "then", second.reply)
        self.send(client, others)

    def send(self, client, requests):
        entries = [self.journal.sent("settle", request) for request in requests]
        for entry, reply in zip(entries, client.pipeline(requests)):
            self.journal.answered(entry, reply)
        return entries

    def tally(self, entry, head, is_known):
        """Counts what had become of a request without a reply; `head` is the newest event that
        was there before it was sent again, `is_known`: its id was answered elsewhere."""
        if entry.is_open:
            self.figures["still open"] += 1
        elif is_known or "duplicate" in entry.reply or not entry.reply["ok"]:
            self.figures["settled without change"] += 1
        elif entry.reply["seq"] <= head:
            self.figures["unanswered, had happened"] += 1
        else:
            self.figures["unanswered, had not happened"] += 1

    # ---- the log -------------------------------------------------------------------------------

    def listen(self, welcome, messages):
        """Takes what one subscriber of everything saw: topics and bodies, Heartbeats among them.
        After `welcome` nothing may be missing."""
        self.feeds.append((welcome, messages))

    def check(self, client):
        """Checks all that is new. The client's node serves nobody else, and what can be settled is
        settled."""
        self.lost.update(self.journal.take_lost())
        events = [unpack(body) for body in self.new_bodies(client)]
        for event in events:
            self.check_links(event)
        self.check_feeds()
        self.check_log([plain_event(event) for event in events])
        self.check_state(client)
        self.figures["checks"] += 1

    def new_bodies(self, client):
        """Reads on in the log, from a little before its last known end, which must be as it was."""
        after = max(0, len(self.bodies) - READ_AGAIN)
        bodies = client.event_bodies(after, limit=PAGE_MAX)
        again = len(self.bodies) - after
        insist(bodies[:again] == self.bodies[after:], "O4", "the log was another after", after)
        self.bodies += bodies[again:]
        return bodies[again:]

    def check_links(self, event):
        kind, sku, seq = event["type"], event["sku"], len(self.topics) + 1
        insist(event["seq"] == seq, "O4", "seq is not", seq, event)
        insist(event["prev"] == self.newest.get(kind, 0), "O4", "prev is not",
               self.newest.get(kind, 0), event)
        insist(event["version"] == self.versions[sku] + 1, "O4", "version is not",
               self.versions[sku] + 1, event)
        insist(event["time"] >= self.time, "O4", "time goes back", event)
        self.topics.append(topic_of(event))
        self.newest[kind], self.versions[sku], self.time = seq, event["version"], event["time"]

    def check_feeds(self):
        for welcome, messages in self.feeds:
            last = 0
            for topic, body in messages:
                seq = unpack(body)["seq"]
                insist(seq <= len(self.bodies), "O7", "seen, and not in the log:", body)
                if topic in (b"Heartbeat/", b"Welcome/"):
                    continue
                insist(last < seq <= max(last, welcome) + 1, "O7", "seq", seq, "was seen after",
                       last)
                insist((topic, body) == (self.topics[seq - 1], self.bodies[seq - 1]), "O7",
                       "seen otherwise than it is in the log:", topic, body)
                last = seq
                self.figures["events seen live"] += 1
        self.feeds.clear()

    def check_log(self, events):
        replies = self.sort_replies(self.model.seq + len(events))
        self.check_replies(replies.pop(self.model.seq, ()))
        position = 0
        while position < len(events):
            head = events[position]
            insist(head.get("cause") not in self.model.replies, "O2", "an id is applied twice:",
                   head)
            command = command_of(head)
            if "cause" in head:
                command["id"] = head["cause"]
            reply, expected = self.model.run(command)
            self.orders.add(command.get("orderid"))
            insist(expected, "O5", "this cannot have happened:", head, "as it is", reply)
            found = events[position:position + len(expected)]
            for event, wanted in zip(found, expected):
                insist(event == wanted, "O5", "in the log:", event, "by the rules:", wanted)
            insist(len(found) == len(expected), "O5", "the log ends within a command:", head)
            position += len(expected)
            here = replies.pop(self.model.seq, ())
            owner = self.check_owner(command, reply, expected[0]["seq"], here)
            self.check_replies([entry for entry in here if entry is not owner])
            self.figures["commands in the log"] += 1
        self.figures["events"] += len(events)
        insist(not replies, "O8", "a reply tells a seq within a command:", replies)

    # ---- replies -------------------------------------------------------------------------------

    def sort_replies(self, head):
        """The new replies by their seq. Those that tell an older one than was checked are of ids
        that were known before."""
        replies = defaultdict(list)
        for entry in self.journal.fresh:
            seq = entry.reply["seq"]
            insist(seq <= head, "O1", "acknowledged and lost: the log ends at", head, entry)
            self.check_order(entry, seq)
            self.orders.add(entry.request.get("orderid"))
            if seq < self.model.seq:
                self.check_remembered(entry)
            else:
                replies[seq].append(entry)
        self.journal.fresh.clear()
        return replies

    def check_order(self, entry, seq):
        """What was sent after a reply was received comes after it, and replies of a connection are
        in order; save for remembered ones."""
        if entry.ident is not None and len(self.journal.ids[entry.ident]) > 1:
            return
        insist(seq >= entry.known, "O8", "seq", entry.known, "was told before it was sent:", entry)
        insist(seq >= self.last_seq.get(entry.connection, 0), "O8", "seq goes back:", entry)
        self.last_seq[entry.connection] = seq

    def check_remembered(self, entry):
        """A reply from before the last check can only be one that was given then."""
        if entry.is_open:
            return
        insist(entry.ident in self.model.replies, "O8", "a reply of the past to something new:",
               entry)
        insist(plain(entry.reply) == self.model.handle(entry.request), "O3", "another reply than",
               self.model.replies[entry.ident], entry)

    def check_owner(self, command, reply, first, here):
        """Somebody must have sent this command of the log, and been told so or nothing. Gives the
        entry whose reply it is, if it has no id to find it by."""
        what = what_of(command)
        if "id" in command:
            senders = [entry for entry in self.journal.ids.get(command["id"], ())
                       if entry.what == what and not entry.is_refused_by_store]
            insist(senders, "O1", "nobody asked for that, or it was refused by the store:", command)
            insist(first > senders[0].known, "O1", "done before it was asked for:", command,
                   self.journal.ids[command["id"]])
            return None
        for entry in here:
            if entry.ident is None and entry.what == what and plain(entry.reply) == reply:
                insist(first > entry.known, "O1", "done before it was asked for:", entry)
                return entry
        insist(self.lost[what] > 0, "O3", "done oftener than it was asked for:", command)
        self.lost[what] -= 1
        self.figures["unanswered without id, had happened"] += 1
        return None

    def check_replies(self, entries):
        """Holds replies against the model, which is where they were given: those to ids that come
        with the command before them, and those of commands without events. What is refused as its
        id is in use comes last, when that use is known."""
        for entry in sorted(entries, key=lambda entry: entry.error == "id_reused"):
            if entry.is_refused_by_store:
                continue
            if entry.error == "id_reused" and self.is_use_unknown(entry):
                self.figures["not judged"] += 1
                continue
            self.figures["replies judged"] += 1
            try:
                expected = self.model.handle(entry.request)
            except WouldChange:
                raise Violation("O1", f"acknowledged, and not in effect: {entry}") from None
            insist(plain(entry.reply) == expected, "O8", "expected:", expected, entry)

    def is_use_unknown(self, entry):
        """Another request has used the id, and nobody has heard its reply."""
        return entry.ident not in self.model.replies and any(
            other.is_open and other.what != entry.what for other in self.journal.ids[entry.ident])

    # ---- the state -----------------------------------------------------------------------------

    def check_state(self, client):
        products, _ = client.pages("ListProducts", "products", limit=PAGE_MAX)
        insist(products == self.model.ListProducts(limit=len(self.model.products) + 1)["products"],
               "O5", "other products than by the log:", products)
        figures = client.ask("GetStats")
        for key, value in self.model.GetStats().items():
            insist(figures[key] == value, "O5", key, "is", figures[key], "by the log", value)
        self.compare(client, "GetStock", "sku", self.model.products)
        self.compare(client, "GetBatch", "ref", self.model.batches)
        held = Counter()
        for reply in self.compare(client, "GetAllocations", "orderid", self.orders - {None}):
            for line in reply.get("lines", ()):
                held[line["batchref"]] += line["qty"]
        for sku in self.model.products:
            self.check_batches(client, sku, held)

    def compare(self, client, query, key, names):
        requests = [{"type": query, key: name} for name in names]
        replies = client.pipeline(requests)
        for request, reply in zip(requests, replies):
            expected = self.model.handle(request)
            insist(plain(reply) == expected, "O5", request, "gives", reply, "by the log", expected)
        return replies

    def check_batches(self, client, sku, held):
        """`held`: what the lines of the node say that each batch holds."""
        batches, _ = client.pages("ListBatches", "batches", sku=sku, limit=PAGE_MAX)
        for batch in batches:
            insist(batch["available"] >= 0 and batch["available"] + held[batch["ref"]]
                   == batch["qty"], "O6", batch, "and lines of", held[batch["ref"]])
        expected = self.model.ListBatches(sku, limit=len(self.model.batches) + 1)["batches"]
        insist(batches == expected, "O5", "other batches than by the log:", batches, expected)

    def verify(self, node):
        """The node is stopped or dead; its own check of the store must find nothing."""
        result = run_allocd("--verify", "--data", node.data)
        insist(result.returncode == 0, "--verify", result.stdout, result.stderr)


def stable(reply):
    """What a repeated request must be told again."""
    return without(reply, "seq") if reply.get("error") in NOT_REMEMBERED else reply
