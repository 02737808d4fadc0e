"""A server that is no ZeroMQ: what it sends is up to a test, byte by byte. And ways to see what
zmq-send makes of it."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import zmtp
from fake_node import DEADLINE_S, command, environment, pack

# A sanitizer keeps what was freed, and shadows what is used: so many times more memory is usual.
SANITIZERS = {b"__asan_init": 4, b"__tsan_init": 16}
STALLED_S = 1  # a socket that takes nothing for so long is read by nobody


class Liar:
    """Listens for commands or events; `lie(connection)` does as it likes once hands are shaken, or,
    where `kind` is None, without that. When it returns, the connection stays open to the end."""

    def __init__(self, lie, kind=b"ROUTER", path=None):
        self.lie, self.kind = lie, kind
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.commands = self.events = (
            "ipc://" + path if path else "tcp://127.0.0.1:%d" % self.listener.getsockname()[1])
        self.accepted, self.threads = [], []
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.settimeout(DEADLINE_S)
            self.accepted.append(connection)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        try:
            if self.kind is not None:
                zmtp.shake_hands(connection, self.kind)
            self.lie(connection)
        except (OSError, ConnectionError):
            pass  # zmq-send has gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for connection in self.accepted:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join()
        for connection in self.accepted:
            connection.close()


def message(*frames):
    return b"".join(zmtp.frame(body, more=i + 1 < len(frames)) for i, body in enumerate(frames))


def reply(request, value):
    """To a request as received."""
    return message(*request[:-1], value if isinstance(value, bytes) else pack(value))


def pulse(topic=b"Welcome/", seq=0):
    return message(topic, pack({"seq": seq, "time": 1}))


def pour(connection, data, size_max, stalled_s=STALLED_S):
    """Sends it again and again, up to so many bytes, or until nobody has taken any more for so many
    seconds. Returns how much was taken."""
    sent, view = 0, memoryview(data)
    connection.setblocking(False)
    while sent < size_max and select.select([], [connection], [], stalled_s)[1]:
        sent += connection.send(view[sent % len(view):])
    connection.settimeout(DEADLINE_S)
    return sent


def sanitizer_factor():
    with open(os.environ["ZMQ_SEND"], "rb") as program:
        code = program.read()
    return max([1] + [factor for name, factor in SANITIZERS.items() if name in code])


# The most memory of a process counts from before its exec, when it has that of its parent. So the
# parent is a small one of its own, which tells the exit status and the memory.
LAUNCHER = """import os, sys
status, usage = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)[1:]
os.write(int(sys.argv[1]), b"%d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024))
"""


class Measured:
    """zmq-send while it runs, its output in a file unless it goes elsewhere."""

    def __init__(self, *arguments, stdin=b"", stdout=None):
        self.files = [tempfile.TemporaryFile() for _ in range(4)]
        self.files[0].write(stdin)
        self.files[0].seek(0)
        env = environment()
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", LAUNCHER, str(self.files[3].fileno()),
             *command(None, *arguments)],
            env=env, stdin=self.files[0], stdout=stdout or self.files[1], stderr=self.files[2],
            pass_fds=[self.files[3].fileno()], start_new_session=True)
        self.watchdog = threading.Timer(DEADLINE_S, os.killpg, (self.process.pid, signal.SIGKILL))
        self.watchdog.start()

    def end(self):
        """Exit status, lines of the output, stderr, and the most memory that it had, in bytes."""
        self.process.wait()
        self.watchdog.cancel()
        contents = []
        for file in self.files:
            file.seek(0)
            contents.append(file.read().decode("utf-8", "replace"))
            file.close()
        status, peak = map(int, contents[3].split())
        return status, contents[1].splitlines(), contents[2], peak
