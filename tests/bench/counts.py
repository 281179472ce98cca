#!/usr/bin/env python3
"""Counts the system calls that an echo server makes for one message.

Each server runs twice under `strace -c -f`, with a small and with a large number of messages; the
difference is divided by the difference in messages, so that start-up, accepting and closing cancel out.
Waiting is shared by all connections that are ready at once, so its figure depends on the load; reading
and writing do not, and one of each is the least there can be.
"""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # nothing is built beside the sources
import run  # noqa: E402

FEW, MANY = 2000, 12000
KINDS = {
    "read": {"read", "readv", "recv", "recvfrom", "recvmsg"},
    "write": {"write", "writev", "send", "sendto", "sendmsg"},
    "wait": {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"},
}


def stop_traced(strace):
    """Ends the server; strace itself ignores signals while it has one, and writes its counts after it."""
    with contextlib.suppress(OSError):  # it has ended already
        for child in pathlib.Path(f"/proc/{strace.pid}/task/{strace.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
    try:
        strace.wait(5)
    except subprocess.TimeoutExpired:
        run.stop(strace)


def traced(peer, task, messages, python):
    """Runs the server under strace for so many messages; gives {system call: (calls, errors)}."""
    port, = run.free_ports(1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out, cert, key = (pathlib.Path(folder) / name for name in ("counts", "cert.pem", "key.pem"))
        if task.get("tls"):
            run.make_certificate(pathlib.Path(folder))
        server = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,errors,name", "-o", out,
                                   *run.fill(peer, port=port, cert=cert, key=key, python=python)],
                                  cwd=peer["dir"], stdout=subprocess.DEVNULL, preexec_fn=run.pinned(run.SERVER_CPU))
        try:
            run.wait_for_port(port, server, "the server")
            run.launch([run.BUILD / "echo_load", str(port), str(server.pid), str(task["conns"]),
                        str(task["active"]), str(task["size"]), str(messages),
                        *([cert] if task.get("tls") else [])], run.HERE)
            time.sleep(0.3)  # the server sees every connection closed, both times
        finally:
            stop_traced(server)
        return {name: (int(calls), int(errors or 0)) for calls, errors, name in
                re.findall(r"^ *(\d+) +(\d*) +(\w+)$", out.read_text(), re.M) if name != "total"}


def per_message(peer, task, python):
    few, many = traced(peer, task, FEW, python), traced(peer, task, MANY, python)
    if not few or not many:
        raise run.Failed("strace wrote no counts")
    return {name: tuple((many.get(name, (0, 0))[i] - few.get(name, (0, 0))[i]) / (MANY - FEW) for i in (0, 1))
            for name in {**few, **many}}


def row_of(name, counts):
    row = [name]
    for kind in ("read", "write", "wait"):
        calls = sum(c for call, (c, _) in counts.items() if call in KINDS[kind])
        failed = sum(e for call, (_, e) in counts.items() if call in KINDS[kind])
        row.append(f"{calls:.3f}" + (f" ({failed:.3f} in vain)" if failed >= 0.0005 else ""))
    known = set().union(*KINDS.values())
    rest = {call: c for call, (c, _) in counts.items() if call not in known and c >= 0.0005}
    row.append(", ".join(f"{call} {c:.3f}" for call, c in sorted(rest.items(), key=lambda p: -p[1])))
    return row


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("peers", nargs="*", metavar="PEER",
                    help="echo servers by a part of their name (default: aio.h and the raw reference)")
    ap.add_argument("--task", default="echo", choices=run.GROUPS["echo"] + run.GROUPS["echotls"])
    ap.add_argument("--config", action="append", default=[], metavar="FILE", help="more peers, as for run.py")
    args = ap.parse_args()
    if not shutil.which("strace"):
        print("system calls a message: not counted, strace is not installed")
        return
    run.raise_limit()
    python, task = run.find_python(), run.TASKS[args.task]
    rows = [["server", "read", "write", "wait", "anything else"]]
    for peer in run.load_peers([run.HERE / "peers.json", *args.config]):
        wanted = args.peers or ["aio.h", "raw"]
        if peer["task"] != args.task or not any(w in peer["name"] for w in wanted):
            continue
        if not run.usable(peer, python):
            print(f"counts: left out, not built or not installed: {peer['name']}", file=sys.stderr)
            continue
        try:
            rows.append(row_of(peer["name"], per_message(peer, task, python)))
        except (run.Failed, OSError) as e:
            print(f"counts: {peer['name']}: {e}", file=sys.stderr)
            rows.append([peer["name"], "failed", "", "", ""])
    print(f"\n## System calls for one message ({task['title']})\n")
    run.print_rows(rows, sys.stdout)


if __name__ == "__main__":
    main()
