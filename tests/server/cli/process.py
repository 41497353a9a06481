"""The commands as processes of their own, the way people run them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-m", "server.cli"]
PATIENCE_SECONDS = 240
UNHURRIED = {
    f"RAGPOD_{name}": str(PATIENCE_SECONDS)
    for name in ("RETRIEVAL_RERANK_SECONDS", "LIMITS_SEARCH_SECONDS", "LIMITS_FIRST_TOKEN_SECONDS")
}


def environment(**settings: str) -> dict[str, str]:
    """The caller's, without its ragpod settings; no limit on time that a busy machine can miss."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAGPOD_")}
    here = {"PYTHONPATH": str(Path(__file__).resolve().parents[3]), "RAGPOD_STORE_RESERVE_BYTES": "1000000"}
    return ours | here | UNHURRIED | settings


def ragpod(*arguments: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Server:
    process: subprocess.Popen[str]
    url: str

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def server(data: Path, **settings: str) -> Iterator[Server]:
    """`ragpod serve` on a free port, once it is ready; ended with the context if it still runs."""
    command = [*COMMAND, "serve", "--port", "0", "--data", str(data)]
    log = (data.parent / f"{data.name}.log").open("a")
    with (
        log,
        subprocess.Popen(
            command, cwd=data.parent, env=environment(**settings), stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ragpod is ready at http://"), Path(log.name).read_text()
            yield Server(process, line.split()[-1])
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE_SECONDS)
