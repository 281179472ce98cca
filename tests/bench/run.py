#!/usr/bin/env python3
"""Runs one or more benchmark tasks over all peers in interleaved rounds and prints tables.

Every round runs every peer once (A B C, A B C, ...), so a slow minute of a shared machine hits all
of them.  A cell shows the median, then [min-max] over the rounds, then the ratio to the reference:
the median of the ratios taken round by round.  Needs nothing but the standard library.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "bench"
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = CPUS[0], CPUS[min(1, len(CPUS) - 1)]
FILES = 10500         # descriptors that the task with the most connections needs, with some to spare
NGINX_PORTS = 6       # of each kind; runs take turns, so that TIME_WAIT does not pile up on one
BODY = "x" * 1024     # the small response
BIG = 256 << 20       # the download
LIMIT_S = 60          # no single run may take longer


class Failed(Exception):
    """One run of one peer did not produce a result."""


def metric(name, unit, fmt, better, value, compact=None):
    """`compact` puts it into the compact table: as a "ratio" to the reference, or as its "value"."""
    return {"name": name, "unit": unit, "fmt": fmt, "better": better, "value": value, "compact": compact}


# ---- what is measured -------------------------------------------------------------------------
# `value` takes the figures of one run (a dict) and gives a number.  CPU times are the whole process's,
# or, where the program prints its own user= and sys=, those of its timed part.

def cpu_of(r):
    return r["user"] + r["sys"]


ECHO = [
    metric("round trips", "/s", "{:,.0f}", "high", lambda r: r["n"] / r["secs"]),
    metric("server CPU", "us/rt", "{:.2f}", "low", lambda r: r["server_cpu"] / r["n"] * 1e6, "ratio"),
    metric("p99 latency", "us", "{:,.0f}", "low", lambda r: r["p99_us"]),
]
HTTP = [
    metric("requests", "/s", "{:,.0f}", "high", lambda r: r["n"] / r["secs"]),
    metric("client CPU", "s/100k", "{:.2f}", "low", lambda r: cpu_of(r) / r["n"] * 1e5, "ratio"),
    metric("of it user", "s/100k", "{:.2f}", "low", lambda r: r["user"] / r["n"] * 1e5, "ratio"),
    metric("peak RSS", "MB", "{:.1f}", "low", lambda r: r["maxrss_kb"] / 1024),
]
CONNECT = [
    metric("connections", "/s", "{:,.0f}", "high", lambda r: r["n"] / r["secs"]),
    metric("client CPU", "us/conn", "{:.1f}", "low", lambda r: cpu_of(r) / r["n"] * 1e6, "ratio"),
    metric("of it user", "us/conn", "{:.1f}", "low", lambda r: r["user"] / r["n"] * 1e6, "ratio"),
    metric("peak RSS", "MB", "{:.1f}", "low", lambda r: r["maxrss_kb"] / 1024),
]
DOWNLOAD = [
    metric("speed", "MB/s", "{:,.0f}", "high", lambda r: r["bytes"] / r["secs"] / 1e6),
    metric("client CPU", "s/256 MiB", "{:.3f}", "low", lambda r: cpu_of(r) / r["n"], "ratio"),
    metric("of it user", "s/256 MiB", "{:.3f}", "low", lambda r: r["user"] / r["n"], "ratio"),
    metric("peak RSS", "MB", "{:.1f}", "low", lambda r: r["maxrss_kb"] / 1024),
]
SITE = [
    metric("requests", "/s", "{:,.0f}", "high", lambda r: r["n"] / r["secs"]),
    metric("server CPU", "us/req", "{:.2f}", "low", lambda r: r["server_cpu"] / r["n"] * 1e6, "ratio"),
]
TIMERS = [
    metric("total time", "s", "{:.2f}", "low", lambda r: r["secs"]),
    metric("CPU", "us/timer", "{:.3f}", "low", lambda r: r["cpu"] / r["n"] * 1e6, "ratio"),
    metric("peak RSS", "B/timer", "{:,.0f}", "low", lambda r: r["rss_delta"] / r["n"], "value"),
]
SPAWN = [
    metric("wall", "ns/task", "{:,.1f}", "low", lambda r: r["secs"] / r["n"] * 1e9),
    metric("CPU", "ns/task", "{:,.1f}", "low", lambda r: r["cpu"] / r["n"] * 1e9, "ratio"),
]
SWITCH = [
    metric("wall", "ns/switch", "{:,.1f}", "low", lambda r: r["secs"] / r["n"] * 1e9),
    metric("CPU", "ns/switch", "{:,.1f}", "low", lambda r: r["cpu"] / r["n"] * 1e9, "ratio"),
]
LOCKS = [
    metric("wall", "ns/pair", "{:,.1f}", "low", lambda r: r["secs"] / r["n"] * 1e9),
    metric("CPU", "ns/pair", "{:,.1f}", "low", lambda r: r["cpu"] / r["n"] * 1e9, "ratio"),
]
YIELD = [
    metric("wall", "ns/value", "{:,.1f}", "low", lambda r: r["secs"] / r["n"] * 1e9),
    metric("CPU", "ns/value", "{:,.1f}", "low", lambda r: r["cpu"] / r["n"] * 1e9, "value"),
]
HOP = [
    metric("wall", "ns/hop", "{:,.0f}", "low", lambda r: r["secs"] / r["n"] * 1e9, "ratio"),
    metric("CPU", "ns/hop", "{:,.0f}", "low", lambda r: r["cpu"] / r["n"] * 1e9),
]
IDLE = [
    metric("memory", "B/task", "{:,.0f}", "low", lambda r: r["rss_delta"] / r["n"], "value"),
    metric("CPU", "ns/task", "{:,.0f}", "low", lambda r: r["cpu"] / r["n"] * 1e9),
]
CONNECTIONS = [
    metric("server RSS", "B/conn", "{:,.0f}", "low",
           lambda r: (r["rss_open"] - r["rss_before"]) / r["conns"], "value"),
    metric("round trips", "/s", "{:,.0f}", "high", lambda r: r["n"] / r["secs"]),
    metric("server CPU", "us/rt", "{:.2f}", "low", lambda r: r["server_cpu"] / r["n"] * 1e6),
]

# kind: "server" = the peer is a server that echo_load drives, "http" = the peer is a client of
# nginx, "site" = the peer is a web server that http_raw drives, "solo" = the peer runs alone.  n is multiplied by the peer's scale.
TASKS = {
    "echo": dict(kind="server", conns=64, active=64, size=64, n=200000, metrics=ECHO,
                 title="TCP echo, 64 connections, 64-byte messages"),
    "echo-1000": dict(kind="server", conns=1000, active=1000, size=64, n=200000, metrics=ECHO,
                      title="TCP echo, 1,000 connections, 64-byte messages"),
    "echo-16k": dict(kind="server", conns=64, active=64, size=16384, n=80000, metrics=ECHO,
                     title="TCP echo, 64 connections, 16 KiB messages"),
    "embed": dict(kind="server", conns=1, active=1, size=64, n=40000, metrics=ECHO,
                  title="TCP echo, one connection, our loop in another one and another one in ours"),
    "embed-64": dict(kind="server", conns=64, active=64, size=64, n=200000, metrics=ECHO,
                     title="the same with 64 connections"),
    "echo-ws": dict(kind="server", ws=True, conns=64, active=64, size=64, n=200000, metrics=ECHO,
                    title="WebSocket echo, 64 connections, 64-byte messages"),
    "echo-ws-16k": dict(kind="server", ws=True, conns=64, active=64, size=16384, n=80000, metrics=ECHO,
                        title="WebSocket echo, 64 connections, 16 KiB messages"),
    "echo-tls": dict(kind="server", tls=True, conns=64, active=64, size=64, n=200000, metrics=ECHO,
                     title="TLS 1.3 echo (AES-128-GCM), 64 connections, 64-byte messages"),
    "echo-tls-16k": dict(kind="server", tls=True, conns=64, active=64, size=16384, n=80000, metrics=ECHO,
                         title="TLS 1.3 echo (AES-128-GCM), 64 connections, 16 KiB messages"),
    "connections": dict(kind="server", conns=10000, active=100, size=64, n=80000, metrics=CONNECTIONS,
                        title="10,000 open connections, echo on 100 of them"),
    "connections-tls": dict(kind="server", tls=True, conns=10000, active=100, size=64, n=40000, metrics=CONNECTIONS,
                            title="10,000 open TLS 1.3 connections, echo on 100 of them"),
    "http": dict(kind="http", scheme="http", path="/1k", conns=64, n=200000, mode="keep", metrics=HTTP,
                 title="HTTP/1.1 keep-alive GET of 1 KiB, 64 connections"),
    "https": dict(kind="http", scheme="https", path="/1k", conns=64, n=100000, mode="keep", metrics=HTTP,
                  title="HTTP/1.1 keep-alive GET of 1 KiB over TLS 1.3 (AES-128-GCM), 64 connections"),
    "connect-http": dict(kind="http", scheme="http", path="/1k", conns=64, n=20000, mode="close",
                         metrics=CONNECT, title="new connection per GET of 1 KiB, 64 at a time"),
    "connect-https": dict(kind="http", scheme="https", path="/1k", conns=64, n=3000, mode="close",
                          metrics=CONNECT,
                          title="new TLS 1.3 connection per GET of 1 KiB (P-256, full handshakes, verified)"),
    "connect-https-resumed": dict(kind="http", scheme="https", path="/1k", conns=64, n=3000, mode="close", resumed=True,
                                  metrics=CONNECT,
                                  title="the same from a server that gives tickets: clients may resume, the reference "
                                        "makes full handshakes"),
    "download-http": dict(kind="http", scheme="http", path="/big", conns=1, n=4, mode="keep",
                          metrics=DOWNLOAD, title="a 256 MiB body over http, four times on one connection"),
    "download-https": dict(kind="http", scheme="https", path="/big", conns=1, n=4, mode="keep",
                           metrics=DOWNLOAD,
                           title="a 256 MiB body over TLS 1.3 (AES-128-GCM), four times on one connection"),
    "http-server": dict(kind="site", path="/1k", size=1024, conns=64, n=100000, metrics=SITE,
                        title="a server's answer of 1 KiB from memory, 64 kept connections"),
    "static-1k": dict(kind="site", path="/1k.bin", size=1024, conns=64, n=60000, metrics=SITE,
                      title="a server's answer of 1 KiB from a file"),
    "static-100k": dict(kind="site", path="/100k.bin", size=102400, conns=64, n=20000, metrics=SITE,
                        title="a server's answer of 100 KiB from a file"),
    "timers": dict(kind="solo", n=1000000, metrics=TIMERS,
                   title="1,000,000 sleepers of 0-2 s (tasks in Go and Python, bare timers in C)"),
    "spawn": dict(kind="solo", n=1000000, metrics=SPAWN,
                  title="spawn, run and join trivial tasks, 1,000 alive at a time"),
    "switch": dict(kind="solo", n=10000000, metrics=SWITCH, title="two tasks that yield to each other"),
    "locks": dict(kind="solo", n=10000000, metrics=LOCKS, title="a free lock acquired and released by one task"),
    "yield": dict(kind="solo", n=20000000, metrics=YIELD, title="a generator's values, taken by async for"),
    "hop": dict(kind="solo", n=200000, metrics=HOP,
                title="two threads with a loop each that wake each other in turn"),
    "idle": dict(kind="solo", n=1000000, metrics=IDLE,
                 title="1,000,000 tasks blocked on one event, then released and joined"),
}
GROUPS = {
    "echo": ["echo", "echo-1000", "echo-16k"],
    "echotls": ["echo-tls", "echo-tls-16k"],
    "echows": ["echo-ws", "echo-ws-16k"],
    "httpclient": ["http"],
    "httpsclient": ["https", "download-http", "download-https"],
    "download": ["download-http", "download-https"],
    "connect": ["connect-http", "connect-https", "connect-https-resumed"],
    "site": ["http-server", "static-1k", "static-100k"],
    "tasks": ["spawn", "switch", "locks", "yield", "idle"],
    "all": list(TASKS),
}


# ---- starting things --------------------------------------------------------------------------

def find_python():
    """A python3 with the packages of the Python peers: $BENCH_PYTHON, else the first on PATH or in /usr/bin."""
    if os.environ.get("BENCH_PYTHON"):
        return os.environ["BENCH_PYTHON"]
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]:
        exe = os.path.join(folder, "python3")
        if os.access(exe, os.X_OK) and subprocess.run(
                [exe, "-c", "import aiohttp, uvloop"], capture_output=True).returncode == 0:
            return exe
    return None


def free_ports(count):
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]


def wait_for_port(port, proc, what):
    for _ in range(500):
        if proc.poll() is not None:
            raise Failed(f"{what} ended with status {proc.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise Failed(f"{what} does not listen")


def stop(proc):
    proc.terminate()
    try:
        proc.wait(5)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


def pinned(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def parse(text):
    return {k: float(v) for k, v in re.findall(r"(\w+)=(-?[\d.]+)", text)}


def result_line(out):
    lines = [l for l in out.splitlines() if l.startswith("RESULT ")]
    if not lines:
        raise Failed("no RESULT line")
    return parse(lines[-1])


def launch(cmd, cwd, env=None):
    """Runs cmd on CLIENT_CPU; gives its RESULT figures and what the kernel says it cost."""
    proc = subprocess.Popen([BUILD / "launch", str(CLIENT_CPU), *cmd], cwd=cwd, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = proc.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        proc.terminate()  # launch kills its child and ends
        proc.communicate()
        raise Failed(f"took over {LIMIT_S} s") from None
    if proc.returncode != 0:
        said = " ".join(l for l in err.splitlines() if not l.startswith("LAUNCH "))
        raise Failed(f"status {proc.returncode}: {said[-300:]}")
    cost = parse([l for l in err.splitlines() if l.startswith("LAUNCH ")][-1])
    return {**cost, **result_line(out)}


def make_certificate(folder):
    """A P-256 key and its self-signed certificate for 127.0.0.1, as folder/key.pem and folder/cert.pem."""
    if not shutil.which("openssl"):
        raise Failed("openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


def configure_nginx(folder, listen, resumed):
    conf = (HERE / "nginx.conf.in").read_text()
    for key, value in {"DIR": str(folder), "BODY": BODY, "LISTEN": "\n        ".join(listen),
                       "LISTEN_RESUMED": "\n        ".join(resumed)}.items():
        conf = conf.replace(f"@{key}@", value)
    (folder / "nginx.conf").write_text(conf)
    os.chmod(folder, 0o755)


class Nginx:
    """The HTTP server of the client tasks, pinned to SERVER_CPU."""

    def __init__(self, stack):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        exe = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not exe:
            raise Failed("nginx is not installed")
        make_certificate(self.dir)
        (self.dir / "www").mkdir()
        with open(self.dir / "www" / "big", "wb") as f:
            block = os.urandom(1 << 20)
            for _ in range(BIG >> 20):
                f.write(block)
        ports = free_ports(3 * NGINX_PORTS)
        self.ports = {kind: ports[i::3] for i, kind in enumerate(("http", "https", "resumed"))}
        self.turn = 0
        listen = {kind: [f"listen 127.0.0.1:{p}{'' if kind == 'http' else ' ssl'} backlog=4096;" for p in some]
                  for kind, some in self.ports.items()}
        configure_nginx(self.dir, listen["http"] + listen["https"], listen["resumed"])
        self.proc = subprocess.Popen([exe, "-p", self.dir, "-c", self.dir / "nginx.conf"],
                                     preexec_fn=pinned(SERVER_CPU))
        stack.callback(stop, self.proc)
        wait_for_port(ports[-1], self.proc, "nginx")

    def url(self, task):
        self.turn += 1
        port = self.ports["resumed" if task.get("resumed") else task["scheme"]][self.turn % NGINX_PORTS]
        return f"{task['scheme']}://127.0.0.1:{port}{task['path']}"


# ---- one run of one peer ----------------------------------------------------------------------

def fill(peer, **values):
    cmd = [re.sub(r"\{(\w+)\}", lambda m: str(values.get(m[1], m[0])), word) for word in peer["cmd"]]
    if "/" in cmd[0]:
        cmd[0] = str((peer["dir"] / cmd[0]).resolve())
    return cmd


def run_server(peer, task, n, python):
    port, = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        cert, key = (pathlib.Path(folder) / name for name in ("cert.pem", "key.pem"))
        if task.get("tls"):
            make_certificate(pathlib.Path(folder))
        server = subprocess.Popen(fill(peer, port=port, cert=cert, key=key, python=python), cwd=peer["dir"],
                                  preexec_fn=pinned(SERVER_CPU), stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port, server, "the server")
            time.sleep(0.1)  # let it finish starting before its memory is looked at
            r = launch([BUILD / "echo_load", str(port), str(server.pid), str(task["conns"]), str(task["active"]),
                        str(task["size"]), str(n),
                        *(["ws"] if task.get("ws") else [cert] if task.get("tls") else [])], HERE)
            return {**r, "conns": task["conns"]}
        finally:
            stop(server)


def run_http(peer, task, n, python, nginx):
    url = nginx.url(task)
    env = {**os.environ, "BENCH_CA": str(nginx.dir / "cert.pem")}
    cmd = fill(peer, url=url, conns=task["conns"], n=n, mode=task["mode"], python=python)
    r = launch(cmd, peer["dir"], env)
    if r.get("errors"):
        raise Failed(f"{r['errors']:.0f} requests failed")
    if not peer.get("timed"):
        size = BIG if task["path"] == "/big" else len(BODY)
        if (r["n"], r["bytes"]) != (n, n * size):
            raise Failed(f"{r['n']:.0f} responses, {r['bytes']:.0f} bytes; expected {n}, {n * size}")
    return r


def cpu_seconds(pid):
    """What all threads of a process have used so far."""
    return sum(int((t / "schedstat").read_text().split()[0]) for t in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def run_site(peer, task, n):
    port, other = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        folder = pathlib.Path(folder)
        make_certificate(folder)
        configure_nginx(folder, [f"listen 127.0.0.1:{port} backlog=4096;"], [f"listen 127.0.0.1:{other} ssl;"])
        (folder / "www").mkdir()
        for size, name in (1024, "1k.bin"), (102400, "100k.bin"):
            (folder / "www" / name).write_bytes(os.urandom(size))
        server = subprocess.Popen(fill(peer, port=port, folder=folder), cwd=peer["dir"], preexec_fn=pinned(SERVER_CPU),
                                  stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port, server, "the server")
            url = f"http://127.0.0.1:{port}{task['path']}"
            launch([BUILD / "http_raw", url, str(task["conns"]), str(task["conns"]), "keep"], HERE)
            before = cpu_seconds(server.pid)
            r = launch([BUILD / "http_raw", url, str(task["conns"]), str(n), "keep"], HERE)
            if r["bytes"] != n * task["size"]:
                raise Failed(f"{r['bytes']:.0f} bytes; expected {n * task['size']}")
            return {**r, "server_cpu": cpu_seconds(server.pid) - before}
        finally:
            stop(server)


def run_solo(peer, n, python):
    return launch(fill(peer, n=n, python=python), peer["dir"])


# ---- tables -----------------------------------------------------------------------------------

def figures(m, runs, base):
    """The values of one metric over the rounds, and their ratios to the reference's, round by round."""
    values = [m["value"](r) for r in runs if r]
    ratios = [m["value"](r) / m["value"](b) for r, b in zip(runs, base) if r and b and m["value"](b)]
    return values, ratios


def cell(m, values, ratios):
    text = m["fmt"].format(statistics.median(values))
    text += f" [{m['fmt'].format(min(values))}-{m['fmt'].format(max(values))}]"
    return text, f"{statistics.median(ratios):.2f}" if ratios else ""


def print_table(name, task, results, reference, rounds):
    print(f"\n## {name}: {task['title']}\n\nmedian [min-max] of {rounds} rounds; x = ratio to {reference}")
    head = ["peer"]
    for m in task["metrics"]:
        head += [f"{m['name']} {m['unit']} ({'higher' if m['better'] == 'high' else 'lower'} is better)", "x"]
    rows = [head]
    for peer, runs in results.items():
        row = [peer]
        for m in task["metrics"]:
            values, ratios = figures(m, runs, results.get(reference, []))
            row += cell(m, values, ratios) if values else ["failed", ""]
        rows.append(row)
    print()
    print_rows(rows, sys.stdout)
    sys.stdout.flush()


def print_rows(rows, file):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for i, row in enumerate(rows):
        print("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |", file=file)
        if i == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|", file=file)


# ---- the compact table ------------------------------------------------------------------------

def compact_cell(m, runs, base):
    """A sort key and what the compact table shows of one peer."""
    values, ratios = figures(m, runs, base)
    if m["compact"] == "ratio":
        return (statistics.median(ratios), f"{statistics.median(ratios):.2f}") if ratios else None
    return (statistics.median(values), m["fmt"].format(statistics.median(values))) if values else None


def compact_rows(name, task, results, reference, column_of):
    """One dict (column -> text) for each metric of the task that the compact table shows."""
    base = results.get(reference, [])
    for m in task["metrics"]:
        if not m["compact"]:
            continue
        row, best = {"task": f"`{name}`: {m['name']}, {m['unit']}"}, {}
        values, _ = figures(m, base, base)
        row["raw"] = m["fmt"].format(statistics.median(values)) if values else "failed"
        for peer, runs in results.items():
            column = column_of[name, peer]
            got = compact_cell(m, runs, base)
            if peer == reference:
                continue
            if got and (column not in best or got[0] < best[column][0]):
                best[column] = got
            row[column] = best[column][1] if column in best else "failed"
        yield row


def write_compact(path, everything, reference_of, column_of, rounds, left_out):
    """Writes the Markdown tables: of the tasks of the runtime, of the HTTP client, and of web servers."""
    with open(path, "w") as f:
        for kinds, first in (("server", "solo"), "raw"), (("http",), "raw"), (("site",), "nginx"):
            rows = [row for name, results in everything.items() if TASKS[name]["kind"] in kinds
                    for row in compact_rows(name, TASKS[name], results, reference_of[name], column_of)]
            if not rows:
                continue
            shown = {column for row in rows for column in row}
            columns = ["task", "raw"] + [c for c in dict.fromkeys(column_of.values()) if c in shown]
            head = [first if c == "raw" else c for c in columns]
            print_rows([head] + [[row.get(c, "") for c in columns] for row in rows], f)
            print(file=f)
        print(f"CPU: the first program's own figure, then ratios to it, the median over {rounds} interleaved rounds. "
              "Memory: bytes.\nOf several ways to use a peer the best is shown. " + describe_machine() + ".", file=f)
        if left_out:
            print("Left out, not built or not installed: " + ", ".join(left_out) + ".", file=f)


def describe_machine():
    """One line about what the figures depend on."""
    facts = [f"Linux {os.uname().release.split('-')[0]}", f"{os.cpu_count()} CPUs"]
    with contextlib.suppress(OSError):
        facts.insert(1, re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())[1])
    with contextlib.suppress(OSError):
        cc = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
        facts.append(f"TCP congestion control {cc}")
    return ", ".join(facts)


def progress(text):
    if sys.stderr.isatty():
        print(text.ljust(70), end="\r", file=sys.stderr, flush=True)


def load_peers(files):
    peers = []
    for file in files:
        file = pathlib.Path(file).resolve()
        for peer in json.loads(file.read_text())["peers"]:
            peer["dir"] = (file.parent / peer.get("dir", ".")).resolve()
            for task in peer["task"] if isinstance(peer["task"], list) else [peer["task"]]:
                if task not in TASKS:
                    sys.exit(f"{file.name}: {peer['name']}: no task named {task}")
                peers.append({**peer, "task": task})
    return peers


def usable(peer, python):
    exe = peer["cmd"][0]
    if exe == "{python}":
        return python is not None
    return (peer["dir"] / exe).exists() if "/" in exe else shutil.which(exe) is not None


def raise_limit():
    """As many open files as the system lets us have; the servers and clients inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= FILES


def parse_args():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                 epilog="groups: " + ", ".join(GROUPS))
    ap.add_argument("tasks", nargs="*", metavar="TASK", help="a task or a group of tasks (default: all)")
    ap.add_argument("--list", action="store_true", help="list the tasks and their peers")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--peer", action="append", default=[], metavar="TEXT",
                    help="only peers whose name contains TEXT (and the reference); may be repeated")
    ap.add_argument("--config", action="append", default=[], metavar="FILE",
                    help="more peers, in the form of peers.json; may be repeated")
    ap.add_argument("--reference", metavar="NAME", help="take the ratios to this peer instead")
    ap.add_argument("--json", metavar="FILE", help="also write the figures of every single run")
    ap.add_argument("--markdown", metavar="FILE", help="also write the compact table, as the README shows it")
    args = ap.parse_args()
    names = []
    for t in args.tasks or ["all"]:
        if t not in GROUPS and t not in TASKS:
            ap.error(f"no task named {t}")
        names += [n for n in GROUPS.get(t, [t]) if n not in names]
    return args, names


def list_tasks(names, peers, python):
    for n in names:
        print(f"{n}: {TASKS[n]['title']}")
        for p in peers:
            if p["task"] == n:
                print(f"    {p['name']}" + ("" if usable(p, python) else "   (not built or not installed)"))


def run_once(peer, task, python, nginx):
    """The figures of one run, or None where it failed."""
    n = max(1, int(task["n"] * peer.get("scale", 1)))
    try:
        if task["kind"] == "server":
            return run_server(peer, task, n, python)
        if task["kind"] == "http":
            return run_http(peer, task, n, python, nginx)
        if task["kind"] == "site":
            return run_site(peer, task, n)
        return run_solo(peer, n, python)
    except Failed as e:
        print(f"\n{peer['task']}: {peer['name']}: {e}", file=sys.stderr)
        return None


def run_rounds(name, peers, rounds, python, nginx):
    results = {p["name"]: [] for p in peers}
    for round_ in range(rounds):
        for p in peers:
            progress(f"{name} {round_ + 1}/{rounds} {p['name']}")
            results[p["name"]].append(run_once(p, TASKS[name], python, nginx))
    progress("")
    return results


def main():
    args, names = parse_args()
    python = find_python()
    peers = load_peers([HERE / "peers.json", *args.config])
    if args.list:
        list_tasks(names, peers, python)
        return
    if not (BUILD / "launch").exists() or not (BUILD / "echo_load").exists():
        sys.exit("run make bench-peers first")
    if not raise_limit() and any(n.startswith("connections") for n in names):
        print(f"connections: left out, needs {FILES} descriptors (ulimit -Hn)", file=sys.stderr)
        names = [n for n in names if not n.startswith("connections")]

    print(describe_machine())
    everything, reference_of, left_out, began = {}, {}, {}, time.monotonic()
    column_of = {(p["task"], p["name"]): p.get("column", p["name"]) for p in peers}
    with contextlib.ExitStack() as stack:
        nginx = None
        if any(TASKS[n]["kind"] == "http" for n in names):
            try:
                nginx = Nginx(stack)
            except Failed as e:
                print(f"the HTTP tasks: left out: {e}", file=sys.stderr)
                names = [n for n in names if TASKS[n]["kind"] != "http"]
        for name in names:
            mine = [p for p in peers if p["task"] == name]
            reference = args.reference or next((p["name"] for p in mine if p.get("reference")), None)
            reference_of[name] = reference
            if args.peer:
                mine = [p for p in mine if p["name"] == reference or any(t in p["name"] for t in args.peer)]
            for p in [p for p in mine if not usable(p, python)]:
                print(f"{name}: left out, not built or not installed: {p['name']}", file=sys.stderr)
                left_out.setdefault(p["name"], None)
                mine.remove(p)
            everything[name] = run_rounds(name, mine, args.rounds, python, nginx)
            print_table(name, TASKS[name], everything[name], reference, args.rounds)
            if args.json:
                pathlib.Path(args.json).write_text(json.dumps(everything, indent=1) + "\n")
            if args.markdown:
                write_compact(args.markdown, everything, reference_of, column_of, args.rounds, left_out)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
