#!/usr/bin/env python3
"""Measures what including aio.h costs: parsing, compiling, and the size of a small program.

Prints the figures with their bounds.  It judges nothing: a time depends on the machine.  Where `perf` can count the
compiler's instructions, they are given, too: they hardly depend on what else runs.
"""
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CC = shlex.split(os.environ.get("CC", "cc"))
PARSES, COMPILES = 21, 3


def seconds(*command):
    """The CPU time of one run, the compiler's own processes with it: other work on the machine is not in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*CC, *command], check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def declarations_ms(folder):
    """Parsing `#include "aio.h"` minus parsing nothing, pair by pair."""
    nothing, header = folder / "nothing.c", folder / "header.c"
    nothing.write_text("")
    header.write_text(f'#include "{ROOT}/aio.h"\n')
    pairs = [(seconds("-fsyntax-only", nothing), seconds("-fsyntax-only", header)) for _ in range(PARSES)]
    return statistics.median(h - n for n, h in pairs) * 1e3


def compile_s(folder, source, *switches):
    command = ("-O2", "-Wall", *switches, "-c", source, "-o", folder / "a.o")
    return statistics.median(seconds(*command) for _ in range(COMPILES))


def implementation_s(folder):
    source = folder / "implementation.c"
    source.write_text(f'#define AIO_IMPLEMENTATION\n#include "{ROOT}/aio.h"\n')
    return compile_s(folder, source)


def instructions(*command):
    """Those of one run in billions, as text; "" where nobody counts."""
    try:
        said = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", *CC, *command], cwd=ROOT, check=True,
                              capture_output=True, text=True).stderr
        return f"{int(said.split(',', 1)[0]) / 1e9:.2f} G instructions"
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def hello_kib(folder, *switches):
    """The stripped program, run once so that its size is that of one that works."""
    program = folder / "hello"
    seconds("-O2", "-s", "-DAIO_NO_TLS", *switches, HERE / "size_hello.c", "-o", program, "-lpthread")
    subprocess.run([program], check=True, stdout=subprocess.DEVNULL, timeout=10)
    return program.stat().st_size / 1024


def main():
    if not (ROOT / "aio.h").exists():
        print("size: not measured, there is no aio.h yet")
        return
    version = subprocess.run([*CC, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    print(f"\n## What including aio.h costs ({version})\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        hello, crawl = HERE / "size_hello.c", ROOT / "examples" / "crawl.c"
        alone, whole = ("-O2", "-Wall", "-DAIO_STATIC", "-o", folder / "a.o", "-c"), folder / "implementation.c"
        for what, measure, unit, bound, counted in [
                ("the declarations alone parse in", declarations_ms, "ms", "11 ms",
                 ("-fsyntax-only", folder / "header.c")),
                ("hello world compiles at -O2 with AIO_STATIC in", lambda f: compile_s(f, hello, "-DAIO_STATIC"), "s",
                 "1 s", (*alone, hello)),
                ("the crawler, a client and a server, the same way in", lambda f: compile_s(f, crawl, "-DAIO_STATIC"),
                 "s", "4 s", (*alone, crawl)),
                ("the whole implementation compiles at -O2 in", implementation_s, "s", "7 s",
                 ("-O2", "-Wall", "-o", folder / "a.o", "-c", whole)),
                ("hello world, -O2, stripped, without TLS, AIO_STATIC", lambda f: hello_kib(f, "-DAIO_STATIC"), "KiB",
                 "120 KiB", None),
                ("the same with the whole library in it", hello_kib, "KiB", None, None)]:
            try:
                figure, count = measure(folder), instructions(*counted) if counted else ""
                notes = ", ".join(filter(None, (f"bound: {bound}" if bound else "", count)))
                print(f"{what:52} {figure:8.2f} {unit:4} {f'({notes})' if notes else ''}")
            except (subprocess.SubprocessError, OSError) as e:
                print(f"{what:52} not measured: {e}")


if __name__ == "__main__":
    main()
