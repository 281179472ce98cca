#!/usr/bin/env python3
"""Measures what including aio.h costs: parsing, compiling, and the size of a small program.

Prints the figures with their targets.  It judges nothing: a time depends on the machine.
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


def implementation_s(folder):
    source = folder / "implementation.c"
    source.write_text(f'#define AIO_IMPLEMENTATION\n#include "{ROOT}/aio.h"\n')
    return statistics.median(seconds("-O2", "-c", source, "-o", folder / "implementation.o") for _ in range(COMPILES))


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
        for what, measure, unit, target in [
                ("the declarations alone parse in", declarations_ms, "ms", "10 ms"),
                ("the implementation compiles at -O2 in", implementation_s, "s", "3 s"),
                ("hello world, -O2, stripped, without TLS, AIO_STATIC", lambda f: hello_kib(f, "-DAIO_STATIC"), "KiB", "120 KiB"),
                ("the same with the whole library in it", hello_kib, "KiB", None)]:
            try:
                print(f"{what:52} {measure(folder):8.2f} {unit:4} {f'(target: under {target})' if target else ''}")
            except (subprocess.SubprocessError, OSError) as e:
                print(f"{what:52} not measured: {e}")


if __name__ == "__main__":
    main()
