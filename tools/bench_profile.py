"""tools/bench --profile: where the time of a node at full load goes, from perf. A sample in the kernel
counts for the system call that it is in, one in the node's own code for its source file."""

import re
import subprocess
from collections import Counter
from pathlib import Path

FREQUENCY = 1999
SYSTEM_CALLS = {
    "fdatasync": "kernel: fdatasync", "fsync": "kernel: fdatasync", "msync": "kernel: fdatasync",
    "pwrite64": "kernel: writing the store", "pwritev": "kernel: writing the store",
    "writev": "kernel: writing the store", "pread64": "kernel: writing the store",
    "sendto": "kernel: TCP", "sendmsg": "kernel: TCP", "recvfrom": "kernel: TCP",
    "recvmsg": "kernel: TCP",
}
LIBRARIES = {"liblmdb": "LMDB", "libmsgpack": "msgpack-c", "libzmq": "libzmq",
             "libc.so": "libc: memmove, memcmp, malloc"}
FRAME = re.compile(r"^\s+[0-9a-f]+ (\S+) \((.*)\)$")
FILE_OF_SYMBOL = re.compile(r"^\S+ [tT] ([^\s.]+)\S*\s+\S*?((?:domain|bus|store|node)/\S+):\d+$",
                            re.MULTILINE)


def files_of_symbols(program):
    said = subprocess.run(["nm", "--line-numbers", "--defined-only", program], check=True,
                          capture_output=True, text=True).stdout
    files = {}
    for symbol, file in FILE_OF_SYMBOL.findall(said):
        files.setdefault(symbol, set()).add(file)
    return {symbol: " or ".join(sorted(names)) for symbol, names in files.items()}


def place(thread, frames, files):
    """What one sample counts for: frames are (symbol, library), the innermost first."""
    symbol, library = frames[0]
    if "kernel" in library or library.startswith("["):
        calls = [name.removeprefix("__x64_sys_") for name, _ in frames
                 if name.startswith("__x64_sys_")]
        return SYSTEM_CALLS.get(calls[0] if calls else "", "kernel: poll, wake-ups, interrupts")
    if thread.startswith("ZMQ"):
        return "libzmq's I/O thread"
    for start, name in LIBRARIES.items():
        if Path(library).name.startswith(start):
            return name
    return files.get(symbol.split(".")[0], "allocd, elsewhere")


def count_samples(text, files):
    samples = Counter()
    for block in text.split("\n\n"):
        head, *rest = block.strip("\n").split("\n")
        frames = [match.groups() for match in map(FRAME.match, rest) if match]
        if frames:
            samples[place(head.split()[0], frames, files)] += 1
    return samples


def profile(bench):
    """The table, in Markdown."""
    record = str(bench.home / "perf.data")
    with bench.node() as node:
        bench.measure(node, seconds=bench.brief)
        perf = subprocess.Popen(
            ["perf", "record", "--quiet", "--call-graph", "fp", "--freq", str(FREQUENCY), "--output",
             record, "--pid", str(node.process.pid)], stdin=subprocess.DEVNULL)
        found = bench.measure(node, seconds=bench.part)
        perf.terminate()
        perf.wait()
        text = subprocess.run(["perf", "script", "--input", record, "--fields", "comm,ip,sym,dso"],
                              check=True, capture_output=True, text=True).stdout
    samples = count_samples(text, files_of_symbols(bench.allocd))
    lines = [f"{found['cpu_us']:.2f} us of CPU a request, {samples.total():,} samples.", "",
             "| where | share |", "|---|---:|"]
    for where, count in samples.most_common():
        if count * 500 >= samples.total():
            lines.append(f"| {where} | {100 * count / samples.total():.1f} % |")
    return "\n".join(lines) + "\n"
