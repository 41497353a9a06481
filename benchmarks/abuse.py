"""What callers cost who have not shown a key: one huge header, unfinished ones, half requests, too few descriptors.
Before them, what a start costs whoever asks /health.

    python -m benchmarks.abuse                # about a minute, loopback only
    python -m benchmarks.abuse --small        # a tenth of the sizes

Each row is a server of its own (`ragpod serve` in this checkout, a folder of its own, an engine that is not there).
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import note, options, report

PIECE = 1 << 18
WATCHED_SECONDS = 10.0
LONGEST_SECONDS = 25.0  # of any one measurement; what lasts longer is said to last so long
HEAD = b"GET /v1/models HTTP/1.1\r\nHost: h\r\nA: "
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    measured: str
    value: float


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    address: Address

    def cpu(self) -> float:
        """Seconds, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """What loads in the background after the start (2 s of CPU, the Korean analyser) is no caller's cost. On a busy
        machine it comes in pieces, and /health waits for each.
        """
        quiet = 0
        for _ in range(60):
            before = self.cpu()
            wait = self.health()
            time.sleep(1.0)
            calm = self.cpu() - before < 0.1 and wait is not None and wait < 0.5
            quiet = quiet + 1 if calm else 0
            if quiet == 4:
                return

    def resident(self) -> float:
        """MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def health(self, within: float = LONGEST_SECONDS) -> float | None:
        """Seconds until /health has answered; None where it does not."""
        since = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://{self.address[0]}:{self.address[1]}/health", timeout=within):
                return time.perf_counter() - since
        except OSError:
            return None


@contextlib.contextmanager
def served(descriptors: int | None = None, *, settled: bool = True) -> Iterator[Server]:
    def limit() -> None:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--engine-url", "http://127.0.0.1:9/v1"]
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {"PYTHONPATH": str(Path.cwd())}
        with subprocess.Popen(
            [*command, "--data", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=given,
            preexec_fn=limit,
        ) as process:
            assert process.stdout is not None
            host, port = process.stdout.readline().rpartition("/")[2].strip().split(":")
            server = Server(process.pid, (host, int(port)))
            if settled:
                server.settle()
            try:
                yield server
            finally:
                process.send_signal(signal.SIGKILL)


def start() -> list[Row]:
    """When it listens, and how long whoever asks then waits."""
    since = time.perf_counter()
    with served(settled=False) as server:
        ready, waits = time.perf_counter() - since, [0.0]
        while time.perf_counter() - since < ready + WATCHED_SECONDS:
            waits.append(server.health() or LONGEST_SECONDS)
            time.sleep(0.02)
    measured = f"longest wait of /health in the {WATCHED_SECONDS:g} s after it, s"
    return [Row("a start", "until it listens, s", ready), Row("a start", measured, max(waits))]


def sent(address: Address, start: bytes, size: int) -> socket.socket | None:
    """A connection over which `size` bytes more went out; None where it was ended before."""
    connection = socket.create_connection(address, timeout=LONGEST_SECONDS)
    try:
        connection.sendall(start)
        for _ in range(size // PIECE):
            connection.sendall(b"a" * PIECE)
    except OSError:
        connection.close()
        return None
    return connection


def one_header(size: int) -> list[Row]:
    """CPU until the answer or the end, and the longest that another caller waited meanwhile."""
    with served() as server:
        waits: list[float] = []
        over = threading.Event()

        def ask() -> None:
            while not waits or not over.wait(0.05):
                waits.append(server.health() or LONGEST_SECONDS)

        asking = threading.Thread(target=ask)
        before = server.cpu()
        asking.start()
        connection = sent(server.address, HEAD, size)
        if connection is not None:
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"\r\n\r\n")
                connection.recv(100)
        over.set()
        asking.join()
        what = f"one header of {size >> 20} MiB"
        return [Row(what, "CPU s", server.cpu() - before), Row(what, "longest wait of /health, s", max(waits))]


def unfinished_headers(count: int, size: int) -> list[Row]:
    with served() as server:
        before = server.resident()
        held = [sent(server.address, HEAD, size) for _ in range(count)]
        added = server.resident() - before
        for connection in filter(None, held):
            connection.close()
    return [Row(f"{count} unfinished headers of {size >> 20} MiB", "MB more resident", added)]


def half_requests(count: int) -> list[Row]:
    """How long until the server has ended all of them."""
    with served() as server:
        held = [sent(server.address, b"POST /v1/files HTTP/1.1\r\nHost: h\r\n", 0) for _ in range(count)]
        since = time.perf_counter()
        for connection in filter(None, held):
            left = since + LONGEST_SECONDS - time.perf_counter()
            connection.settimeout(max(left, 0.01))
            with contextlib.suppress(OSError), connection:
                while connection.recv(1000):
                    pass
        lasted = time.perf_counter() - since
        answered = server.health()
    what = f"{count} half requests"
    return [
        Row(what, f"held for s (at most {LONGEST_SECONDS:g} looked at)", lasted),
        Row(what, "/health afterwards, s", -1.0 if answered is None else answered),
    ]


def few_descriptors(descriptors: int, count: int) -> list[Row]:
    with served(descriptors) as server:
        held = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(sent(server.address, b"GET / HTTP/1.1\r\n", 0))
        time.sleep(0.5)
        answers = [server.health(within=3.0) for _ in range(5)]
        for connection in filter(None, held):
            connection.close()
    what = f"{descriptors} descriptors, {count} half headers"
    return [Row(what, "of 5 /health answered", float(sum(answer is not None for answer in answers)))]


def main() -> None:
    given = options(__doc__).parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    part = 10 if given.small else 1
    measurements: list[Callable[[], list[Row]]] = [
        start,
        lambda: one_header((100 << 20) // part),
        lambda: unfinished_headers(8, (60 << 20) // part),
        lambda: half_requests(1300 // part),
        lambda: few_descriptors(256, 260),
    ]
    rows: list[Row] = []
    for measure in measurements:
        for row in measure():
            note(row)
            rows.append(row)
    report("abuse", given, rows)


if __name__ == "__main__":
    main()
