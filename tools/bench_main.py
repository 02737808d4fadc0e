"""tools/bench: runs the scenarios of bench_scenarios.py and prints what they found. It measures the
programs in --programs and builds nothing."""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

from bench_node import Bench, Failed
from bench_profile import profile
from bench_scenarios import SCENARIOS


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures a node, and prints tables in Markdown.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    parser.add_argument("--list", action="store_true", help="prints what there is to measure")
    parser.add_argument("--runs", type=int, default=3, help="of each scenario (default 3)")
    parser.add_argument("--seconds", type=float, default=60,
                        help="of a run of throughput; comparisons take a third of it for each "
                             "side, or a sixth (default 60)")
    parser.add_argument("--small", action="store_true",
                        help="a thousandth of all lines and SKUs: shows that it works, no more")
    parser.add_argument("--dir", type=Path,
                        help="where stores go, on a disk (default: below the build directory)")
    parser.add_argument("--profile", action="store_true",
                        help="tells instead where the node's time goes; takes perf")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all that was found")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; see --list")
    if arguments.runs < 1 or not arguments.seconds > 0:
        parser.error("--runs and --seconds are above 0")
    arguments.scenarios = [known[name] for name in arguments.names] or SCENARIOS
    arguments.dir = arguments.dir or arguments.programs / "bench"
    return arguments


def file_system(directory):
    directory.mkdir(parents=True, exist_ok=True)
    said = subprocess.run(["df", "--output=fstype", directory], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return said.split()[-1]


def machine(directory):
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
            f"{memory:.0f} GiB, Linux {platform.release()}, {file_system(directory)}")


def run_scenario(bench, scenario, runs):
    """What each run found: dictionaries from a figure's name to its value."""
    found = []
    try:
        for number in range(1, runs + 1):
            began = time.monotonic()
            found.append(scenario.run(bench))
            print(f"{scenario.name}: run {number} of {runs} took {time.monotonic() - began:.0f} s",
                  file=sys.stderr)
    finally:
        bench.forget_stores()
    return found


def table(scenario, found):
    heads = [f"run {number}" for number in range(1, len(found) + 1)]
    lines = [f"### {scenario.name}", "", f"{scenario.about}.", "",
             f"| | {' | '.join(heads)} | median | required | held |",
             "|---|" + "---:|" * (len(found) + 1) + "---|---|"]
    for figure in scenario.figures:
        values = [run[figure.name] for run in found]
        median = statistics.median(values)
        cells = [figure.text(value) for value in values]
        lines.append(f"| {figure.name} | {' | '.join(cells)} | {figure.text(median)} | "
                     f"{figure.required()} | {figure.verdict(median)} |")
    return "\n".join(lines) + "\n"


def measure_all(arguments, report):
    with Bench(arguments.programs, arguments.dir, arguments.seconds, arguments.small) as bench:
        if arguments.profile:
            print(profile(bench))
            return
        for scenario in arguments.scenarios:
            bench.raw = []
            found = run_scenario(bench, scenario, arguments.runs)
            print(table(scenario, found), flush=True)
            report["scenarios"][scenario.name] = {"runs": found, "raw": bench.raw}


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nodes end, and stores go
    if arguments.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:18} {scenario.about}")
        return 0
    if file_system(arguments.dir) == "tmpfs" and not arguments.small:
        print(f"tools/bench: {arguments.dir} is in memory, where a commit costs nothing; see --dir",
              file=sys.stderr)
        return 2
    began = time.monotonic()
    report = {"machine": machine(arguments.dir), "runs": arguments.runs,
              "seconds": arguments.seconds, "small": arguments.small, "scenarios": {}}
    print(f"{report['machine']}. Runs: {arguments.runs}, seconds: {arguments.seconds:g}"
          f"{', a thousandth of all sizes' if arguments.small else ''}.\n", flush=True)
    status = 0
    try:
        measure_all(arguments, report)
    except (Failed, OSError, subprocess.SubprocessError) as failure:
        print(f"tools/bench: {failure}", file=sys.stderr)
        status = 1
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"tools/bench: {time.monotonic() - began:.0f} s in all", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
