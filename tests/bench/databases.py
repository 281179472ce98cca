#!/usr/bin/env python3
"""The clients of examples/mysql and examples/redis beside libmariadb, hiredis and redis-benchmark.

Servers of its own on 127.0.0.1, on the first CPU; the clients, one thread each, take turns on the second. A figure is
ours divided by the peer's, round by round, and then the median: of what was done a second, and of CPU time for one.
mariadbd makes rows more slowly than either client reads them; from a recording they come as fast as they are read.

usage: tests/bench/databases.py [--rounds N] [PATTERN]     only the rows whose name contains it
"""
import argparse
import contextlib
import itertools
import os
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
PEERS = os.path.join(BUILD, "bench")
CPUS = sorted(os.sched_getaffinity(0))
TEXT = "'a text of some words that a row has'"
ROWS = (
    ("mysql: rows of one number", "SELECT seq FROM b.seq_1_to_1000000"),
    ("mysql: rows of 5 columns", f"SELECT seq, seq * 1.5, {TEXT}, NULL, 'x' FROM b.seq_1_to_500000"),
    ("mysql: rows of 1 KiB", "SELECT REPEAT('x', 1024) FROM b.seq_1_to_200000"),
)
GETS = (  # connections, depth, times, the peer
    ("redis: one at a time, 1 connection", 1, 1, 10000, "hiredis"),
    ("redis: one at a time, 50 connections", 50, 1, 30000, "hiredis"),
    ("redis: 16 at once, 1 connection", 1, 16, 400000, "redis-benchmark"),
    ("redis: 16 at once, 50 connections", 50, 16, 800000, "redis-benchmark"),
    ("redis: 100 at once, 50 connections", 50, 100, 1000000, "redis-benchmark"),
)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu):
    return lambda: os.sched_setaffinity(0, {CPUS[cpu % len(CPUS)]})


def served(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=pinned(0))
    for _ in range(500):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    raise SystemExit(f"{command[0]} does not listen")


def measured(command):
    """Operations a second, and CPU seconds for one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=pinned(1))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stdout}{done.stderr}")
    said = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
    if "n" in said:
        return float(said["n"]) / float(said["secs"]), (float(said["user"]) + float(said["sys"])) / float(said["n"])
    rate = float(done.stdout.splitlines()[1].split(",")[1].strip('"'))  # redis-benchmark --csv
    count = int(command[command.index("-n") + 1])
    return rate, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def compared(name, ours, peer, peer_name, rounds):
    rates, costs = [], []
    for _ in range(rounds):
        mine, other = measured(ours), measured(peer)
        rates.append(mine[0] / other[0])
        costs.append(mine[1] / other[1])
    print(f"{name:<40} {mine[0] / 1e3:8.0f} k/s, {statistics.median(rates):5.2f} x {peer_name}"
          f" [{min(rates):.2f}-{max(rates):.2f}], CPU {statistics.median(costs):5.2f} x", flush=True)


class Recording:
    """What a MySQL server says to one client, message by message; and a server that says it again to others."""

    def __init__(self, port):
        self.answers, self.far_port = [], port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # it is closed
            self.record(self.listener.accept()[0])
            while True:
                near = self.listener.accept()[0]
                with near, contextlib.suppress(ConnectionError):
                    self.play(near)

    def record(self, near):
        with near, socket.create_connection(("127.0.0.1", self.far_port)) as far:
            self.answers.append(bytearray())
            while ready := select.select([near, far], [], [])[0]:
                data = ready[0].recv(1 << 20)
                if not data:
                    return
                if ready[0] is near:
                    self.answers.append(bytearray())
                else:
                    self.answers[-1] += data
                (far if ready[0] is near else near).sendall(data)

    def play(self, near):
        """Says the last answer, that to the query, again and again."""
        answers = self.answers[:-1]  # nothing is said to the goodbye
        for i in itertools.count():
            near.sendall(answers[min(i, len(answers) - 1)])
            if near.recv(65536) in (b"", b"\1\0\0\0\1"):
                return


def mysql(rows, rounds, folder):
    port, path = free_port(), os.path.join(folder, "s")
    subprocess.run(["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={folder}/data", "--skip-test-db",
                    "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    process = served(["mariadbd", "--no-defaults", "--user=root", f"--datadir={folder}/data", f"--socket={path}",
                      f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid"], port)
    try:
        subprocess.run(["mariadb", "--no-defaults", "-S", path, "-u", "root", "-e", "CREATE DATABASE b; "
                        "CREATE USER ada IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO ada"], check=True)
        url = f"mysql://ada:secret@127.0.0.1:{port}"
        for name, sql in rows:
            clients = [f"{BUILD}/bench_mysql", url, sql, "1"], [f"{PEERS}/mysql_mariadb", url, sql, "1"]
            compared(name, *clients, "libmariadb", rounds)
            recordings = [Recording(port) for _ in clients]
            for recording, client in zip(recordings, clients):
                client[1] = f"mysql://ada:secret@127.0.0.1:{recording.port}"
                measured(client)
                client[3] = "5"
            compared(name + ", recorded", *clients, "libmariadb", rounds)
            for recording in recordings:
                recording.listener.close()
    finally:
        process.terminate()
        process.wait()


def redis(rows, rounds, folder):
    port = free_port()
    process = served(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""], port)
    try:
        url = f"redis://127.0.0.1:{port}"
        for name, connections, depth, count, peer in rows:
            numbers = [str(connections), str(depth), str(count)]
            benchmark = ["redis-benchmark", "-p", str(port), "-c", numbers[0], "-P", numbers[1], "-n", numbers[2],
                         "--csv", "GET", "key"]
            theirs = benchmark if peer == "redis-benchmark" else [f"{PEERS}/redis_hiredis", url, *numbers]
            compared(name, [f"{BUILD}/bench_redis", url, *numbers], theirs, peer, rounds)
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for each, needs, rows in (mysql, ("mariadbd", f"{PEERS}/mysql_mariadb"), ROWS), (
            redis, ("redis-server", f"{PEERS}/redis_hiredis"), GETS):
        rows = [row for row in rows if given.pattern in row[0]]
        missing = [need for need in needs if not shutil.which(need)]
        if missing:
            print("left out, as it is not there:", *missing)
        elif rows:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                each(rows, given.rounds, folder)


if __name__ == "__main__":
    main()
