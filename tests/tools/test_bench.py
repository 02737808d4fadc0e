"""tools/bench: that each scenario comes to its end and tells all its figures, that nothing is left
behind, and that it says so where it cannot measure. No figure is held against what is required."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PROGRAMS = Path(os.environ["ALLOCD"]).resolve().parent
ROW = re.compile(r"^\| ([^|]+) \| (-?[\d.,e+]+) \| (-?[\d.,e+]+) \| ([^|]*) \| (|yes|\*\*no\*\*) \|$")

sys.path.insert(0, str(TOOLS))

from bench_profile import count_samples
from bench_scenarios import SCENARIOS

SAMPLES = """allocd
\t    7f01 do_writeback ([kernel.kallsyms])
\t    7f02 __x64_sys_fdatasync ([kernel.kallsyms])

allocd
\t    55aa find.constprop.0 (/build/allocd)

ZMQbg/IO/0
\t    55ab [unknown] (/usr/lib/libzmq.so.5.2.4)

allocd
\t    55ac mdb_put (/usr/lib/liblmdb.so.0.0.0)

allocd
\t    7f03 asm_exc_page_fault ([kernel.kallsyms])
"""


class Profile(unittest.TestCase):
    def test_a_sample_counts_for_where_it_was_taken(self):
        self.assertEqual(count_samples(SAMPLES, {"find": "store/ahead/product_cache.c"}), {
            "kernel: fdatasync": 1, "store/ahead/product_cache.c": 1, "libzmq's I/O thread": 1,
            "LMDB": 1, "kernel: poll, wake-ups, interrupts": 1})


class Bench(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def run_bench(self, *arguments, status=0, programs=PROGRAMS):
        done = subprocess.run(
            [sys.executable, TOOLS / "bench_main.py", "--programs", programs, "--small",
             "--seconds", "0.3", "--runs", "1", "--dir", self.home / "stores", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def test_all_that_there_is(self):
        text = self.run_bench("--json", self.home / "report.json")
        tables = dict(part.split("\n", 1) for part in text.split("### ")[1:])
        report = json.loads((self.home / "report.json").read_text())["scenarios"]
        self.assertEqual(list(tables), [scenario.name for scenario in SCENARIOS])
        for scenario in SCENARIOS:
            with self.subTest(scenario=scenario.name):
                rows = [ROW.match(line) for line in tables[scenario.name].split("\n")]
                rows = [row for row in rows if row]
                self.assertEqual([row[1] for row in rows],
                                 [figure.name for figure in scenario.figures])
                for row, figure in zip(rows, scenario.figures):
                    self.assertEqual(row[2], row[3], "the median of one run is that run")
                    self.assertEqual(row[4] != "", row[5] != "", row[0])
                found = report[scenario.name]
                self.assertEqual(len(found["runs"]), 1)
                self.assertGreater(len(found["raw"]), 0)
        self.assertEqual(os.listdir(self.home / "stores"), [])

    def test_the_list(self):
        names = [line.split()[0] for line in self.run_bench("--list").splitlines()]
        self.assertEqual(names, [scenario.name for scenario in SCENARIOS])

    def test_the_median_of_three_runs(self):
        text = self.run_bench("latency", "--runs", "3")
        row = re.search(r"^\| p50, us \| (.*) \|  \|  \|$", text, re.MULTILINE)
        *runs, median = (float(cell.replace(",", "")) for cell in row[1].split(" | "))
        self.assertEqual(median, sorted(runs)[1])

    def test_what_cannot_be_measured(self):
        self.run_bench("no-such-scenario", status=2)
        self.run_bench("latency", "--runs", "0", status=2)
        self.run_bench("latency", status=1, programs=self.home)
        self.assertEqual(os.listdir(self.home / "stores"), [])


if __name__ == "__main__":
    unittest.main()
