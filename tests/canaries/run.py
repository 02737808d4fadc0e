"""Plants one deliberate defect at a time, and sees that the test which it names catches it.

    run.py [NAME...]    those canaries; without names as many as CANARIES says, all by default
    run.py --list       their table in README.md

A canary is a file NAME.patch beside this one: a sentence that says what the defect is, then headers,
then a diff against the sources:

    Caught-by: TEST CASE          as ctest names the test, and one case of it
    With: VARIABLE=VALUE...       counts for that test, where its own would take long (optional)

The defects are planted in a copy of the tree, build/canaries/src, and nowhere else. First each named
case has to pass on the copy as it is. With the defect it has to fail by an assertion: a build that
breaks, a program that dies, time that runs out and a case that did not run prove nothing.
"""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLACE = ROOT / "build" / "canaries"
COPY = PLACE / "src"
BUILD = PLACE / "build"
# What the build and the tests need of the tree.
PARTS = ["CMakeLists.txt", "CMakePresets.json", "cmake", "docs", "domain", "bus", "store", "node",
         "tools", "tests"]
CASE_SECONDS = 120
DEADLINE = "10"  # of a wait in a test: a defect may well be what makes it last
HEADER = re.compile(r"^(Caught-by|With): (.*)$", re.MULTILINE)


class Trouble(Exception):
    """What keeps a canary from being judged, or that it was not caught."""


class Skipped(Exception):
    """This machine cannot run the case that would catch it."""


class Canary:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        head = path.read_text().partition("\n--- ")[0]
        fields = dict(HEADER.findall(head))
        self.what = " ".join(HEADER.sub("", head).split())
        self.test, _, self.case = fields.get("Caught-by", "").partition(" ")
        self.environment = dict(pair.split("=", 1) for pair in fields.get("With", "").split())
        if not (self.what and self.test and self.case):
            raise Trouble(f"{path.name} does not say what it is, or what catches it")

    def patch(self, *options):
        run = subprocess.run(["patch", "--strip=1", "--fuzz=0", "--forward", "--batch", "--silent",
                              "--no-backup-if-mismatch", "--reject-file=-", *options],
                             cwd=COPY, input=self.path.read_text(), text=True, capture_output=True)
        if run.returncode != 0:
            raise Trouble(f"the patch does not apply: {run.stdout}{run.stderr}")


def canaries():
    return [Canary(path) for path in sorted(HERE.glob("*.patch"))]


def spread(all_of_them, count):
    """So many of them, at equal distances in the list."""
    return [all_of_them[index * len(all_of_them) // count] for index in range(count)]


def chosen(names):
    found = canaries()
    if names:
        known = {canary.name: canary for canary in found}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise Trouble(f"no such canary: {' '.join(unknown)}")
        return [known[name] for name in names]
    count = int(os.environ.get("CANARIES") or len(found))
    return spread(found, min(count, len(found)))


# ---- the copy ----

def files_below(root):
    for part in PARTS:
        path = root / part
        below = [path] if path.is_file() else path.rglob("*")
        yield from (file.relative_to(root) for file in below
                    if file.is_file() and "__pycache__" not in file.parts)


def bring_copy_up_to_date():
    """What is the same is left alone, so that the next build has little to do."""
    wanted = set(files_below(ROOT))
    for file in set(files_below(COPY)) - wanted if COPY.exists() else ():
        (COPY / file).unlink()
    for file in wanted:
        target = COPY / file
        if target.exists() and filecmp.cmp(ROOT / file, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target)
        shutil.copymode(ROOT / file, target)


def run_quietly(what, *command):
    run = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    if run.returncode != 0:
        raise Trouble(f"{what} failed:\n{run.stdout[-3000:]}")
    return run.stdout


def configure():
    run_quietly("configuring", "cmake", "-S", str(COPY), "-B", str(BUILD), "-G", "Ninja",
                "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_COMPILER=gcc")


def environments():
    """Of each test, as CMake sets it."""
    listing = json.loads(run_quietly("listing the tests", "ctest", "--test-dir", str(BUILD),
                                     "--show-only=json-v1"))
    environment = {}
    for test in listing["tests"]:
        properties = {item["name"]: item["value"] for item in test["properties"]}
        pairs = properties.get("ENVIRONMENT", [])
        environment[test["name"]] = dict(pair.split("=", 1) for pair in pairs)
    return environment


# ---- a test ----

class Test:
    """A case of a test, run as ctest would run it."""

    def __init__(self, canary, environments):
        if canary.test not in environments:
            raise Trouble(f"there is no test {canary.test}")
        of_test = environments[canary.test]
        self.environment = {**os.environ, **of_test, "E2E_DEADLINE": DEADLINE, **canary.environment}
        self.case = canary.case
        script = COPY / "tests" / f"{canary.test}.py"
        self.is_script = script.exists()
        if self.is_script:
            self.command = ["/usr/bin/python3", str(script), "-v"]
            self.targets = [os.path.relpath(program, BUILD) for program in of_test.values()
                            if program.startswith(f"{BUILD}/")]
        else:
            self.targets = [canary.test.replace("/", "_")]
            self.command = [str(BUILD / "tests" / self.targets[0])]

    def build(self):
        run_quietly("the build", "cmake", "--build", str(BUILD), "--target", *self.targets)

    def start(self, *arguments, **environment):
        try:
            return subprocess.run([*self.command, *arguments], cwd=COPY, text=True,
                                  env={**self.environment, **environment}, errors="replace",
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=CASE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Trouble(f"{self.case} did not end within {CASE_SECONDS} s") from error

    def passes(self):
        """False: it failed by an assertion. Anything else than these two is trouble."""
        return self.script_passes() if self.is_script else self.program_passes()

    def script_passes(self):
        run = self.start(self.case)
        if "\nRan 1 test" not in run.stdout:
            raise Trouble(f"{self.case} did not run:\n{run.stdout[-3000:]}")
        if "skipped=" in run.stdout:
            raise Skipped(re.search(r"\.\.\. skipped (.*)", run.stdout).group(1))
        if run.returncode == 0:
            return True
        if re.search(rf"^FAIL: {self.case.rpartition('.')[2]} ", run.stdout, re.MULTILINE):
            return False
        raise Trouble(f"{self.case} failed, and by no assertion:\n{run.stdout[-3000:]}")

    def program_passes(self):
        with tempfile.TemporaryDirectory() as reports:
            run = self.start(CMOCKA_MESSAGE_OUTPUT="xml", CMOCKA_XML_FILE=f"{reports}/%g.xml")
            cases = [case for report in Path(reports).iterdir()
                     for case in ElementTree.parse(report).iter("testcase")
                     if case.get("name") == self.case]
        if not cases:
            raise Trouble(f"{self.case} did not run to its end, exit {run.returncode}:\n"
                          f"{run.stdout[-3000:]}")
        failures = [failure.text for case in cases for failure in case.iter("failure")]
        if not failures:
            return True
        if any("error: Failure!" in text for text in failures):
            return False
        raise Trouble(f"{self.case} failed, and by no assertion:\n{failures[0]}")


def judge(canary, environments, sound):
    """`sound` has what is known to pass without the defect."""
    test = Test(canary, environments)
    key = (canary.test, canary.case, *canary.environment.items())
    if key not in sound:
        test.build()
        if not test.passes():
            raise Trouble("the test fails without the defect too")
        sound.add(key)
    canary.patch()
    try:
        test.build()
        if test.passes():
            raise Trouble(f"it survived {canary.test} {canary.case}: {canary.what}")
    finally:
        canary.patch("--reverse")


def main(names):
    wanted = chosen(names)
    bring_copy_up_to_date()
    configure()
    of_tests = environments()
    sound = set()
    missed = 0
    for canary in wanted:
        begin = time.monotonic()
        try:
            judge(canary, of_tests, sound)
            print(f"canary {canary.name}: caught by {canary.test} {canary.case}"
                  f" ({time.monotonic() - begin:.1f} s)", flush=True)
        except Skipped as reason:
            print(f"canary {canary.name} ... skipped {reason}", flush=True)
        except Trouble as trouble:
            missed += 1
            print(f"canary {canary.name}: NOT CAUGHT: {trouble}", flush=True)
    return 1 if missed else 0


def table():
    for canary in canaries():
        yield f"| `{canary.name}` | {canary.what} | `{canary.test} {canary.case}` |"


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--list"]:
            print(*table(), sep="\n")
        else:
            sys.exit(main(sys.argv[1:]))
    except Trouble as trouble:
        sys.exit(f"canaries: {trouble}")
