"""coverage_report.py REPORT LIST: prints what gcovr's JSON report says, and what the list does not
explain. The list is Markdown; these of its lines count, under the paragraph that gives the reason:

    - lines `FILE: FUNCTION`: `TEXT`
    - branches `FILE: FUNCTION`: `TEXT`

FILE and FUNCTION are patterns as a shell has them, and several functions stand with commas between
them. TEXT is a regular expression that is looked for in the source line; without it all of the
function is meant. An entry whose file, one of whose functions or whose text is nowhere in the sources
is an error.
"""

import fnmatch
import json
import re
import sys
from pathlib import Path

ENTRY = re.compile(r"^- (lines|branches) `([^`:]+): ([^`]+)`(?:: `(.*)`)?$")


class Entry:
    def __init__(self, line, kind, file, function, text):
        self.line, self.kind, self.file = line, kind, file
        self.functions = function.split(", ")
        self.text = re.compile(text or "")
        self.is_used = False

    def explains(self, kind, file, function, text):
        found = (kind == self.kind and fnmatch.fnmatchcase(file, self.file) and
                 any(fnmatch.fnmatchcase(function, one) for one in self.functions) and
                 self.text.search(text))
        self.is_used = self.is_used or bool(found)
        return found

    def names_what_is_there(self, files):
        files = [file for file in files if fnmatch.fnmatchcase(file.name, self.file)]
        return all(any(fnmatch.fnmatchcase(function, one) and self.text.search(text)
                       for file in files for function, text in file.text()) for one in self.functions)


def read_list(path):
    entries = []
    for line in Path(path).read_text().splitlines():
        found = ENTRY.match(line)
        if found:
            entries.append(Entry(line, *found.groups()))
        elif line.startswith(("- lines", "- branches")):
            sys.exit(f"coverage: not understood in {path}: {line}")
    return entries


class File:
    """Its counts, and what of it was not reached."""

    def __init__(self, report):
        self.name = report["file"]
        self.functions = sorted((function["lineno"], function["name"])
                                for function in report["functions"])
        self.source = Path(self.name).read_text().splitlines()
        self.lines = self.lines_hit = self.branches = self.branches_hit = 0
        self.missed = []
        for line in report["lines"]:
            if not line["gcovr/noncode"] and not line.get("gcovr/excluded"):
                self.take(line)

    def take(self, line):
        number, branches = line["line_number"], line["branches"]
        hit = sum(branch["count"] > 0 for branch in branches)
        self.lines += 1
        self.lines_hit += line["count"] > 0
        self.branches += len(branches)
        self.branches_hit += hit
        if line["count"] == 0:
            self.missed.append(("lines", number))
        elif hit < len(branches):
            self.missed.append(("branches", number))

    def function_at(self, number):
        names = [name for start, name in self.functions if start <= number]
        return names[-1] if names else "-"

    def text(self):
        """Its lines, each with the function in which it stands."""
        return [(self.function_at(number + 1), line.strip())
                for number, line in enumerate(self.source)]

    def unexplained(self, entries):
        for kind, number in self.missed:
            text, function = self.source[number - 1].strip(), self.function_at(number)
            if not any([entry.explains(kind, self.name, function, text) for entry in entries]):
                yield f"{kind:8} {self.name}:{number}: {function}: {text}"


def share(hit, all_of_them):
    return f"{hit:6}/{all_of_them:<6}{100 * hit / all_of_them if all_of_them else 100:6.1f} %"


def print_row(name, *files):
    lines = share(sum(file.lines_hit for file in files), sum(file.lines for file in files))
    branches = share(sum(file.branches_hit for file in files), sum(file.branches for file in files))
    print(f"{name:36}{lines}  {branches}")


def main(report, listing):
    files = [File(file) for file in json.loads(Path(report).read_text())["files"]]
    files = [file for file in files if file.lines > 0]
    entries = read_list(listing)
    print(f"{'':36}{'lines':>12}{'':9}  {'branches':>14}")
    for file in files:
        print_row(file.name, file)
    print_row("in all", *files)
    unexplained = [line for file in files for line in file.unexplained(entries)]
    unused = [entry.line for entry in entries if not entry.is_used]
    gone = [entry.line for entry in entries if not entry.names_what_is_there(files)]
    if unused:
        print(f"\nin {listing}, and covered this time:", *unused, sep="\n")
    if gone:
        print(f"\nin {listing}, and not in the sources any more:", *gone, sep="\n")
    if unexplained:
        print(f"\nnot covered, and not in {listing}:", *unexplained, sep="\n")
    return 1 if unexplained or gone else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
