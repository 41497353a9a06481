"""S3 servers on real sockets: a whole one as a child process, and one that answers as it is told."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.ports import reserved_port
from tests.until import PATIENCE

BUCKET = "originals"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAOFNOBODY", "AWS_SECRET_ACCESS_KEY": "not-to-be-told"}


@dataclass(frozen=True)
class Server:
    """folder: of its objects, files by their names."""

    endpoint: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/kept/here?endpoint={self.endpoint}&region=nowhere-1"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Connections are made, and nobody answers on them."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    objects = folder / BUCKET / "kept/here"
    objects.mkdir(parents=True)
    (objects / "another").touch()  # localbucket removes a folder with its last object, even while another one comes
    with reserved_port() as port:
        command = [sys.executable, "-m", "localbucket", str(folder), "--port", str(port)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port)
                yield Server(f"http://127.0.0.1:{port}", objects, process)
            finally:
                process.kill()


def _wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)
        else:
            return


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request by `answer`: its URL of a bucket, and "METHOD PATH" of what came."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65_537)
            if self.raw_requestline and self.parse_request():
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                came.append(f"{self.command} {self.path}")
                answer(self)
            else:
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that went away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"s3://{BUCKET}?endpoint=http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", /, **headers: str) -> None:
    """headers: _ for -; Content-Length is the body's unless it is given."""
    request.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()
