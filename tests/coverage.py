#!/usr/bin/env python3
"""Prints how many lines and branches of each section of a header the tests reached.

usage: coverage.py HEADER FOLDER, with FOLDER holding what a program built with --coverage left behind.
"""
import bisect
import glob
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "layout"))
from check import BANNER  # noqa: E402


def covered(header, folder):
    """Of each line: how often it ran, and how often each of its branches was taken."""
    lines, branches = {}, {}
    for data in glob.glob(os.path.join(folder, "*.gcda")):
        report = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", data], check=True,
                                stdout=subprocess.PIPE, universal_newlines=True).stdout
        for row in report.splitlines():
            for file in json.loads(row)["files"] if row.startswith("{") else ():
                if os.path.realpath(file["file"]) != os.path.realpath(header):
                    continue
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
                    counts = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                    branches.setdefault(number, []).extend(counts)
    return lines, branches


def share(counts):
    reached = sum(1 for count in counts if count)
    return "%6d of %6d  %5.1f %%" % (reached, len(counts), 100.0 * reached / len(counts)) if counts else ""


def main(header, folder):
    with open(header, encoding="utf-8") as file:
        text = file.read()
    banners = [(text.count("\n", 0, m.start()) + 1, "%s. %s" % m.groups()[:2]) for m in BANNER.finditer(text)]
    starts = [line for line, _ in banners]
    lines, branches = covered(header, folder)
    if not lines:
        sys.exit("coverage: nothing of %s was measured" % header)
    table = [([], []) for _ in range(len(banners) + 1)]
    for number in lines:
        place = bisect.bisect(starts, number)
        table[place][0].append(lines[number])
        table[place][1].extend(branches[number])
    titles = ["before the first section"] + [title for _, title in banners]
    print("%-44s %25s   %25s" % ("", "lines", "branches"))
    for title, (of_lines, of_branches) in zip(titles, table):
        if of_lines:
            print("%-44.44s %25s   %25s" % (title, share(of_lines), share(of_branches)))
    print("%-44s %25s   %25s" % ("all", share([n for row in table for n in row[0]]),
                                 share([n for row in table for n in row[1]])))


if __name__ == "__main__":
    main(*sys.argv[1:])
