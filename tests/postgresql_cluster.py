"""A PostgreSQL of the test's own, on a port of its own, which may be killed and started again.

It refuses to run as root: then it runs as the user `postgres`, whom Debian's package brings, else as `nobody`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from tests.databases import execute
from tests.ports import reserved_port
from tests.until import PATIENCE

# A cluster that is thrown away needs no durable initdb; what the server writes afterwards is flushed, as by default.
INITDB = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")


class Cluster:
    """Stopped at first. folder: of the user that it runs as, with a short path, for the socket."""

    def __init__(self, binaries: Path, folder: Path, port: int, user: str | None) -> None:
        self._binaries, self._folder, self._port = binaries, folder, port
        self._as_user = [] if user is None else ["setpriv", f"--reuid={user}", "--regid", user, "--clear-groups", "--"]
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", f"--pgdata={folder / 'data'}", *INITDB)

    def start(self) -> None:
        """Returns when it answers, with whatever a crash has left replayed."""
        assert self._process is None
        given = {"port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder}
        settings = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        command = [*self._as_user, self._binaries / "postgres", "-D", self._folder / "data", *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Fast: transactions are rolled back, everything is written."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Immediate: nothing is rolled back or written, connections are cut; the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Crashed, and started again afterwards."""
        self.crash()
        try:
            yield
        finally:
            self.start()

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"test_{uuid.uuid4().hex}"
        execute(self._url("postgres"), f"CREATE DATABASE {name}")
        return self._url(name).render_as_string(hide_password=False)

    def _url(self, database: str) -> URL:
        return URL.create("postgresql+psycopg", "postgres", None, "127.0.0.1", self._port, database)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            execute(self._url("postgres"), "SELECT 1")
            return True
        return False

    def close(self) -> None:
        if self._process is not None:
            self.stop()

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE)
        self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, self._binaries / program, *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @property
    def _log(self) -> Path:
        return self._folder / "log"


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Started. Skips the test where PostgreSQL's server is not installed."""
    binaries = _binaries()
    user = _other_user() if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="ragpod-pg-"))  # not pytest's, into which no other user may look
    try:
        if user is not None:
            shutil.chown(folder, user, user)
        with reserved_port() as port:
            cluster = Cluster(binaries, folder, port, user)
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.close()
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    """The newest version's: Debian keeps them outside of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("needs PostgreSQL's server, initdb and postgres: apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            pwd.getpwnam(name)
            return name
    pytest.skip("needs a user that is not root: PostgreSQL runs as no other")
