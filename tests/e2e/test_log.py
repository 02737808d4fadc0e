#!/usr/bin/python3
"""Where the log goes may be full, closed or nowhere: the node starts, serves and ends all the same, and
says how many lines were lost."""

import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from allocd import Client, program, run_allocd

DEADLINE = 5
LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
# The rest of a flood, which is told at the end.
REST = LINE + r"INFO Out of stock for sku S: .*\r?\n"


def fill(fd):
    """Until not a byte more fits in; whoever shares the descriptor waits then. A terminal goes on to
    make room for a moment."""
    os.set_blocking(fd, False)
    while select.select([], [fd], [], 0.2)[1]:
        for size in (65536, 1):
            try:
                while True:
                    os.write(fd, b"." * size)
            except BlockingIOError:
                pass
    os.set_blocking(fd, True)


def drain(fd):
    os.set_blocking(fd, False)
    taken = b""
    try:
        while True:
            part = os.read(fd, 65536)
            taken += part
            if not part:
                return taken
    except (BlockingIOError, OSError):
        return taken


class Log(unittest.TestCase):
    def setUp(self):
        self.home = Path(tempfile.mkdtemp(prefix="allocd-e2e-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def ends(self, first, second):
        for fd in (first, second):
            self.addCleanup(self.close, fd)
        return first, second

    def close(self, fd):
        try:
            os.close(fd)
        except OSError:
            pass  # the test did

    def pipe(self):
        return self.ends(*os.pipe())

    def socket(self):
        reader, writer = socket.socketpair()
        return self.ends(reader.detach(), writer.detach())

    def terminal(self):
        return self.ends(*pty.openpty())

    def start(self, stderr, **options):
        """Nobody waits for `ready`: the endpoints are known."""
        arguments = ["--data", self.home / "data", "--commands", f"ipc://{self.home}/c", "--events",
                     f"ipc://{self.home}/e"]
        process = subprocess.Popen([program("ALLOCD", "allocd"), *arguments], stderr=stderr,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def serve(self, lines):
        """Asks for something, and for so much that is refused that there is something to log."""
        with Client(f"ipc://{self.home}/c", deadline=DEADLINE) as client:
            client.ask("CreateBatch", ref="b", sku="S", qty=1)
            for number in range(lines):
                client.request("Allocate", orderid=f"o{number}", sku="S", qty=5)

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_full(self):
        """Whoever reads again is told that there were lines."""
        for make in (self.pipe, self.socket, self.terminal):
            with self.subTest(make=make.__name__):
                reader, writer = make()
                fill(writer)
                process = self.start(writer)
                self.serve(10)
                self.assertTrue(os.get_blocking(writer), "others have it too")
                drain(reader)
                self.end(process)
                self.assertRegex(drain(reader).decode(),
                                 f"^{LINE}WARN lines lost here, as nobody took them: [1-9]\r?\n({REST})?"
                                 f"{LINE}INFO stopping\r?\n$")
                shutil.rmtree(self.home / "data")

    def test_full_to_the_end(self):
        for make in (self.pipe, self.socket, self.terminal):
            with self.subTest(make=make.__name__):
                _, writer = make()
                fill(writer)
                process = self.start(writer)
                self.serve(10)
                self.end(process)
                shutil.rmtree(self.home / "data")

    def test_a_refused_start_at_a_full_pipe(self):
        _, writer = self.pipe()
        fill(writer)
        (self.home / "data").mkdir()
        (self.home / "data" / "data.mdb").write_bytes(b"no store")
        self.assertEqual(self.start(writer).wait(DEADLINE), 1)

    def test_closed_by_its_reader(self):
        for make in (self.pipe, self.socket):
            with self.subTest(make=make.__name__):
                reader, writer = make()
                process = self.start(writer)
                os.close(writer)
                self.serve(0)
                os.close(reader)
                self.serve(10)
                self.end(process)
                shutil.rmtree(self.home / "data")

    def test_closed_before_the_start(self):
        reader, writer = self.pipe()
        os.close(reader)
        process = self.start(writer)
        self.serve(10)
        self.end(process)

    def test_no_stderr_at_all(self):
        """No line gets into a file that was opened in its place."""
        def close_all():
            for fd in range(3):
                os.close(fd)
        for _ in range(2):
            process = self.start(None, preexec_fn=close_all)
            self.serve(10)
            self.end(process)
        self.assertEqual((self.home / "data" / "node.lock").read_bytes(), b"1")
        self.assertEqual(run_allocd("--verify", "--data", self.home / "data").returncode, 0)

    def test_a_named_pipe_that_is_read_again(self):
        name = self.home / "log"
        os.mkfifo(name)
        reader, writer = self.ends(os.open(name, os.O_RDONLY | os.O_NONBLOCK),
                                   os.open(name, os.O_WRONLY))
        process = self.start(writer)
        self.serve(0)
        self.assertRegex(drain(reader).decode(), f"^{LINE}INFO ready ")
        os.close(reader)
        self.serve(3)
        reader, _ = self.ends(os.open(name, os.O_RDONLY | os.O_NONBLOCK), -1)
        self.end(process)
        self.assertRegex(drain(reader).decode(), f"^{LINE}WARN lines lost here.*\n({REST})?.*INFO stopping\n$")


if __name__ == "__main__":
    unittest.main()
