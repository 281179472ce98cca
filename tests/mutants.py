#!/usr/bin/env python3
"""Changes aio.h in one small place, many times, and shows which changes no test sees.

usage: mutants.py [--count N] [--seed N] [--minutes N] [--jobs N] [--rooms N[-N]] [--tests PATTERN] [--list]

A sample of places over all rooms, the same for the same seed and text: a condition negated, one of its parts left out,
a comparison moved by one, a number changed, a call or an assignment left out, the other truth returned. All changes are
compiled into one test binary, each behind a switch that the environment turns on. A first run of every test tells which
tests reach which change; then each change is switched on, and the tests that reach it run, the quick ones first, until
one fails. This is done twice: in the way `epoll` alone, which is quick, and with what that leaves alive in all ways.
Not every survivor is a missing test: some changes have no effect that can be seen.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "mutants"
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "layout"))
import check  # noqa: E402

PRELUDE = """\
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
static unsigned char mutant_none[%d], *mutant_seen = mutant_none;
static int mutant_on = -1;
__attribute__((constructor(101))) static void mutant_begin(void)
{
    const char *number = getenv("MUTANT"), *file = getenv("MUTANT_SEEN");
    int fd = file ? open(file, O_RDWR) : -1;
    if (number) mutant_on = atoi(number);
    if (fd < 0) return;
    void *seen = mmap(NULL, sizeof mutant_none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (seen != MAP_FAILED) mutant_seen = (unsigned char *)seen;
}
static inline int mutant(int number)
{
    mutant_seen[number] = 1;
    return mutant_on == number;
}
"""

MOVED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
COMPARISON = re.compile(r" (<=|>=|==|!=|<|>) ")
NUMBER = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
CONDITION = re.compile(r"\b(if|while) \(")
# At the start of a statement: a call of ours whose value nobody takes, or an assignment.
BEFORE = r"(?:(?<=[;{}]\n)|(?<=\)\n)|(?<=else\n)|(?<=[;{}] )|(?<=\) )|(?<=else ))[ \t]*"
CALL = re.compile(BEFORE + r"((?:aio_\w+|aio__os\.\w+|memset|memmove|memcpy)\([^;{}]*\);)")
ASSIGNMENT = re.compile(BEFORE + r"((?:\*?\w+(?:->|\.)[\w>.\[\]-]*|\w+) [-+|&]?= [^;{}]*;)")
RETURN = re.compile(r"\breturn (true|false);")
ANSWER = re.compile(r"\breturn ([^;{}?]*(?:&&|\|\||[<>!=]=? )[^;{}?]*);")

LATE = ", not all in time"
Mutant = collections.namedtuple("Mutant", "start end text what room line")


def parts(text):
    """What stands between && or || outside of brackets, with the offsets; the operators are between them."""
    found, depth, start = [], 0, 0
    for at, mark in enumerate(text):
        depth += (mark in "([{") - (mark in ")]}")
        if depth == 0 and text[at:at + 2] in ("&&", "||"):
            found.append((start, at))
            start = at + 2
    return found + [(start, len(text))]


def changes(plain, text):
    """Each way to change an expression: the new text, and words for it. Strings and comments are blank in `plain`."""
    for moved in COMPARISON.finditer(plain):
        new = " %s " % MOVED[moved.group(1)]
        yield text[:moved.start()] + new + text[moved.end():], "%s for %s" % (new.strip(), moved.group(1))
    for number in NUMBER.finditer(plain):
        new = str(int(number.group(1)) + 1)
        yield text[:number.start()] + new + text[number.end():], "%s for %s" % (new, number.group(1))
    pieces = parts(plain)
    for i, (start, end) in enumerate(pieces if len(pieces) > 1 else ()):
        lines = "\n" * text[start:end].count("\n")
        new = text[:start] + (text[end + 2:] if i == 0 else "")
        if i:
            new = text[:start - 2] + lines + text[end:]
        yield new + ("" if i else lines), "without `%s`" % " ".join(text[start:end].split())


def without_branches(plain, text, given):
    """Blanks what stands between two lines for the preprocessor that let none of it through."""
    rows, first = plain.split("\n"), 0
    for at in [at for at, row in enumerate(text.split("\n")) if row.startswith("#")] + [len(rows)]:
        if not any(line + 1 in given for line in range(first, at)):
            rows[first:at] = [" " * len(row) for row in rows[first:at]]
        first = at + 1
    return "\n".join(rows)


def sites(checker):
    """Every change that can be made, of what the compiler is given: CC="cc -DAIO_NO_LINUX" has other places."""
    text = checker.text
    plain = check.NO_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    tokens, errors = check.preprocessed(checker.compiler, checker.header, [])
    if tokens is None:
        sys.exit("mutants: " + errors)
    plain = without_branches(plain, text, {line for _, line in tokens})
    offsets = [0]
    for row in checker.lines:
        offsets.append(offsets[-1] + len(row) + 1)
    for function in check.parse(tokens).functions:
        if function.first < checker.divide or function.last == function.first:
            continue
        begin, end = plain.find("{", offsets[function.first - 1]), offsets[function.last]
        body = (begin, min(end, len(text)))
        room = checker.section(function.first)

        def made(start, stop, new, what):
            return Mutant(start, stop, new, what, room, checker.line_of(start))

        for found in CONDITION.finditer(plain, *body):
            stop = found.end() - 1 + length_of_brackets(plain[found.end() - 1:body[1]])
            old = text[found.end():stop - 1]
            ways = list(changes(plain[found.end():stop - 1], old))
            if found.group(1) == "if":
                ways.append(("!(%s)" % old, "negated"))
            for new, what in ways:
                yield made(found.end(), stop - 1, "(mutant(@) ? (%s) : (%s))" % (new, old),
                           "%s (%s): %s" % (found.group(1), " ".join(old.split()), what))
        for pattern in (CALL, ASSIGNMENT):
            for found in pattern.finditer(plain, *body):
                old = text[found.start(1):found.end(1)]
                if old.count("(") == old.count(")") and not re.match(r"(return|else|case|goto|break|continue)\b", old):
                    yield made(found.start(1), found.end(1), "{ if (!mutant(@)) %s }" % old,
                               "without %s" % " ".join(old.split()))
        for found in RETURN.finditer(plain, *body):
            value = "!" * (found.group(1) == "true") + "mutant(@)"
            yield made(found.start(1), found.end(1), value, "return %s: the other" % found.group(1))
        for found in ANSWER.finditer(plain, *body):
            old = text[found.start(1):found.end(1)]
            for new, what in changes(found.group(1), old):
                yield made(found.start(1), found.end(1), "(mutant(@) ? (%s) : (%s))" % (new, old),
                           "return %s: %s" % (" ".join(old.split()), what))


def length_of_brackets(plain):
    depth = 0
    for at, mark in enumerate(plain):
        depth += (mark == "(") - (mark == ")")
        if depth == 0:
            return at + 1
    return len(plain)


def sample(all_sites, count, seed):
    """One of each room, and the rest by chance; no two overlap."""
    dice = random.Random(seed)
    rooms = collections.defaultdict(list)
    for site in all_sites:
        rooms[site.room].append(site)
    order = [dice.choice(rooms[room]) for room in sorted(rooms)]
    dice.shuffle(order)
    order += dice.sample(all_sites, len(all_sites))
    chosen = []
    for site in order:
        if len(chosen) == count:
            break
        if all(site.end <= other.start or other.end <= site.start for other in chosen):
            chosen.append(site)
    return chosen


def compiled(checker, mutants):
    """Builds the tests with all of them; drops those that do not compile. The mutants that are in it, by number."""
    mutants = dict(enumerate(mutants))
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "tests", OUT / "tests", ignore=shutil.ignore_patterns("bench", "integration"))
    shutil.copytree(ROOT / "examples", OUT / "examples")
    (OUT / "prelude.h").write_text(PRELUDE % max(1, len(mutants)))
    command = [*checker.compiler, "-std=gnu11", "-O1", "-g0", "-w", "-D_GNU_SOURCE", "-include", str(OUT / "prelude.h"),
               "-fmacro-prefix-map=%s/=" % OUT,  # __FILE__, which tests compare, as in build/test
               "-o", str(OUT / "test"), str(OUT / "tests" / "main.c"), "-lssl", "-lcrypto", "-lpthread"]
    for _ in range(10):
        text, last, row, rows = [], 0, 1, {}
        for number, m in sorted(mutants.items(), key=lambda item: item[1].start):
            before, change = checker.text[last:m.start], m.text.replace("mutant(@)", "mutant(%d)" % number)
            first = row + before.count("\n")
            row = first + change.count("\n")
            rows[number] = range(first, row + 1)
            text += [before, change]
            last = m.end
        (OUT / "aio.h").write_text("".join(text) + checker.text[last:])
        code, _, errors = check.run(command)
        if code == 0:
            return mutants
        wrong = {int(line) for line in re.findall(r"aio\.h:(\d+):(?:\d+:)? error", errors)}
        broken = [number for number in mutants if wrong.intersection(rows[number])]
        if not broken:
            sys.exit("mutants: the tests do not compile: " + check.first_error(errors))
        for number in broken:
            del mutants[number]
    sys.exit("mutants: too many changes do not compile")


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setsid()


def tests_run(names, seconds, way, **environment):
    """None if all of them pass within the time, else what failed first. In that way, or in all."""
    command = [str(OUT / "test"), "--jobs", "1", "--seconds", "10", *(["--way", way] if way else []), *names]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, preexec_fn=limits, text=True, errors="replace")
    alarm = [False]

    def ring():
        alarm[0] = True
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, ring)
    timer.start()
    failed = "it ends without a word"  # as when a change has it kill its own group
    for row in process.stdout:
        if row.startswith("not ok"):
            failed = row.strip()
            break
        if re.match(r"\d+ passed, 0 failed", row):
            failed = None
    if alarm[0]:
        failed = None
    timer.cancel()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    return failed, alarm[0]


def reach(name, mutants, way):
    """Which mutants a test comes by, and how long it takes; None if it fails as it is."""
    seen = OUT / "seen" / name
    seen.write_bytes(bytes(max(mutants, default=0) + 1))
    started = time.monotonic()
    failed, late = tests_run([name], 60, way, MUTANT_SEEN=str(seen))
    took = time.monotonic() - started
    return None if failed or late else ([n for n, hit in enumerate(seen.read_bytes()) if hit], took)


def verdict(number, tests, deadline, each, way=""):
    """"died", "survived", "unreached" or "untried", and by what."""
    if not tests:
        return "unreached", ""
    if time.monotonic() > deadline:
        return "untried", ""
    failed, late = tests_run(tests, min(each, max(1.0, deadline - time.monotonic())), way, MUTANT=str(number))
    if failed:
        return "died", failed
    return "survived", "%d tests reach it%s" % (len(tests), LATE if late else "")


def stage(pool, names, mutants, deadline, way):
    """The verdict on each of them, in that way or in all, and the tests that reach it, the quick ones first."""
    started = time.monotonic()
    reached = dict(zip(names, pool.map(lambda name: reach(name, mutants, way), names)))
    print("%d mutants, %d tests, looked at in %s in %.0f s" % (
        len(mutants), len(names), "the way " + way if way else "all ways", time.monotonic() - started), flush=True)
    for name in [name for name in names if reached[name] is None]:
        print("left out, as it fails unchanged: " + name)
        del reached[name]
    quick = sorted(reached, key=lambda name: reached[name][1])
    tests = {n: [name for name in quick if n in reached[name][0]] for n in mutants}
    return dict(zip(mutants, pool.map(lambda n: verdict(n, tests[n], deadline, 20, way), mutants))), tests


def sections(words):
    """"77" or "61-77": their numbers, as a range."""
    first, _, last = words.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--rooms", type=sections, default=range(1000), help="only of these sections: 77, 61-77")
    options.add_argument("--tests", default="", help="only the tests whose names match")
    options.add_argument("--list", action="store_true", help="the changes, without trying them")
    options = options.parse_args()
    started = time.monotonic()
    deadline = started + 60 * options.minutes
    checker = check.Checker(str(ROOT / "aio.h"), shlex.split(os.environ.get("CC", "cc")))
    possible = [site for site in sites(checker) if site.room in options.rooms]
    mutants = sample(possible, options.count, options.seed)
    if options.list:
        for m in sorted(mutants):
            print("aio.h:%d: %s" % (m.line, m.what))
        print("%d of %d" % (len(mutants), len(possible)))
        return
    mutants = compiled(checker, mutants)
    (OUT / "seen").mkdir()
    names = check.run([str(OUT / "test"), "--list"])[1].split()
    names = [name for name in names if re.search(options.tests, name)]
    print("%d of %d places" % (len(mutants), len(possible)))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        said, _ = stage(pool, names, mutants, deadline, "epoll")
        alive = {n: m for n, m in mutants.items() if said[n][0] != "died"}
        report(mutants, said, checker)
        again, tests = stage(pool, names, alive, deadline, "")
        said.update(again)
        # Those that many tests reach have the rest of the time, from the slowest test on.
        late = [n for n in alive if said[n][0] == "survived" and said[n][1].endswith(LATE)]
        left = [n for n in late if time.monotonic() < deadline]
        said.update(zip(left, pool.map(lambda n: verdict(n, tests[n][::-1], deadline + 150, 150), left)))
    report(mutants, said, checker)
    print("%.0f s" % (time.monotonic() - started))


def report(mutants, said, checker):
    count = collections.Counter(how for how, _ in said.values())
    for number, m in sorted(mutants.items(), key=lambda item: item[1].line):
        how, why = said[number]
        if how in ("survived", "unreached"):
            print("aio.h:%d: %s: %s%s\n    in `%s`" % (m.line, how, m.what, "; " + why if why else "",
                                                     checker.title(m.room)))
    tried = count["died"] + count["survived"] + count["unreached"]
    print("%d died, %d survived, %d reached by no test%s: %.0f %% died" % (
        count["died"], count["survived"], count["unreached"],
        ", %d not tried for want of time" % count["untried"] if count["untried"] else "",
        100 * count["died"] / max(1, tried)), flush=True)


if __name__ == "__main__":
    main()
