"""scripts/pod_start.sh, which the image runs, with a real server in the embedded profile."""

import asyncio
import os
import shutil
import signal
import stat
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from retrieval.database.lock import holder_of
from tests.ports import reserved_port
from tests.processes import alive
from tests.scripts.fake_hub import FakeHub, serving
from tests.server.cli.process import environment
from tests.stub_engine import Finish, Hold, StubEngine
from tests.until import until

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pod_start.sh"
KEY = "a-key-of-the-pod"
SOON = 60.0


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as number:
        yield number


def settings(volume: Path, port: int, **env: str) -> dict[str, str]:
    ours = {
        "POD_VOLUME": str(volume),
        "POD_PREFIX": sys.prefix,
        "POD_USER": "root",
        "RAGPOD_HOST": "127.0.0.1",
        "RAGPOD_PORT": str(port),
        "RAGPOD_PROFILE": "embedded",
        "RAGPOD_API_KEYS": KEY,
    }
    theirs = {name: value for name, value in environment().items() if not name.startswith(("HF_", "RUNPOD_"))}
    return {name: value for name, value in (theirs | ours | env).items() if value}


@asynccontextmanager
async def pod(volume: Path, port: int = 0, **env: str) -> AsyncIterator[Process]:
    os.makedirs(volume, exist_ok=True)
    with (volume / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(SCRIPT), env=settings(volume, port, **env), stdout=PIPE, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def ended(process: Process) -> tuple[int, str]:
    """Exit status, stdout."""
    out, _ = await asyncio.wait_for(process.communicate(), SOON)
    assert process.returncode is not None
    return process.returncode, out.decode()


def said(volume: Path) -> str:
    return (volume / "log").read_text()


async def healthy(port: int) -> bool:
    check = await asyncio.create_subprocess_exec(
        str(SCRIPT), "--healthy", env=settings(Path("/nowhere"), port), stdout=PIPE, stderr=PIPE
    )
    return await check.wait() == 0


def server_of(volume: Path) -> int:
    """The process that has the data folder open; 0 where none has."""
    holder = holder_of(volume / "ragpod")
    return holder.pid if holder and holder.url else 0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A prefix whose `ragpod serve` says with which environment and as whom it runs, then ends with status 3."""
    return stand_in(
        tmp_path / "image", 'env | grep -E "^(HF|RAGPOD|RUNPOD|PUBLIC|HOME)" ; echo "user=$(id -un)"; exit 3'
    )


def stand_in(prefix: Path, serve: str) -> Path:
    bin_folder = prefix / "bin"
    bin_folder.mkdir(parents=True)
    scripts = {
        "ragpod": f'#!/bin/sh\n[ "$1" = serve ] || exit 0\n{serve}\n',
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
    }
    for name, text in scripts.items():
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    return prefix


async def test_a_pod_without_a_usable_key_does_not_start(tmp_path: Path) -> None:
    async with pod(tmp_path, RAGPOD_API_KEYS="", RAGPOD_HOST="") as process:
        status, _ = await ended(process)
    assert (status, "RAGPOD_API_KEYS" in said(tmp_path)) == (1, True)
    async with pod(tmp_path, RAGPOD_API_KEYS="{{ RUNPOD_SECRET_ragpod }}") as process:
        status, _ = await ended(process)
    assert (status, "a RunPod secret that does not exist" in said(tmp_path)) == (1, True)
    assert server_of(tmp_path) == 0


HEALTHY = """exec "$(dirname "$0")/python" -c '
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
print(os.getpid(), flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["RAGPOD_PORT"])), Handler).serve_forever()'"""


async def test_a_server_that_hangs_is_killed_and_started_again(tmp_path: Path, port: int) -> None:
    prefix = stand_in(tmp_path / "image", HEALTHY)
    assert not await healthy(port)
    async with pod(tmp_path, port, POD_PREFIX=str(prefix), POD_WATCH_SECONDS="1") as process:
        assert process.stdout is not None
        pids: list[int] = []
        for fault in (signal.SIGSTOP, signal.SIGINT):
            pids.append(int(await asyncio.wait_for(process.stdout.readline(), SOON)))
            await until(lambda: said(tmp_path).count("the server answers") == len(pids), SOON)
            assert await healthy(port)
            os.kill(process.pid if fault == signal.SIGINT else pids[-1], fault)
        await ended(process)
    assert "no answer to a health check" in said(tmp_path)
    assert "failure 1 of 5" in said(tmp_path)
    assert [alive(pid) for pid in pids] == [False, False]


async def test_sigterm_lets_the_running_answer_finish(tmp_path: Path, port: int) -> None:
    body = {"model": "stub", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    url, key = f"http://127.0.0.1:{port}/v1/chat/completions", {"Authorization": f"Bearer {KEY}"}
    async with StubEngine() as stub, pod(tmp_path, port, RAGPOD_ENGINE_URL=stub.url) as process:
        stub.script("first", Hold(), " last", Finish())
        await until(lambda: healthy(port), SOON)
        async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=key) as response:
            read = await response.content.readuntil(b"first")
            process.terminate()
            await until(lambda: refuses(port), SOON)
            stub.release()
            read += await response.content.read()
        status, _ = await ended(process)
    assert b" last" in read
    assert read.endswith(b"data: [DONE]\n\n")
    assert status == 0


async def refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


async def test_a_server_that_keeps_ending_ends_the_pod_with_its_status(tmp_path: Path, image: Path) -> None:
    async with pod(tmp_path, POD_PREFIX=str(image), POD_RESTARTS="2") as process:
        status, out = await ended(process)
    assert (status, out.count("user=")) == (3, 2)
    assert "the server ended with status 3 (failure 2 of 2)" in said(tmp_path)


async def test_the_models_are_fetched_first_and_secrets_end_there(tmp_path: Path, image: Path) -> None:
    files = {"config.json": b"{}"}
    env = {"HF_TOKEN": "t0ken", "RUNPOD_API_KEY": "s3cret", "PUBLIC_KEY": "", "POD_MODELS": "BAAI/bge-m3@main"}
    async with serving(FakeHub(files, token="t0ken")) as hub:
        own = {"POD_PREFIX": str(image), "POD_RESTARTS": "1", "RAGPOD_PROFILE": "cuda", "HF_ENDPOINT": hub.url}
        async with pod(tmp_path, **own, **env) as process:
            status, out = await ended(process)
        seen = dict(line.split("=", 1) for line in out.splitlines())
        assert status == 3
        assert (seen["HF_HUB_OFFLINE"], seen["HF_HOME"]) == ("1", str(tmp_path / "huggingface"))
        assert seen["RAGPOD_DATA_DIR"] == str(tmp_path / "ragpod")
        assert not {"HF_TOKEN", "RUNPOD_API_KEY"} & seen.keys()
        assert "t0ken" not in said(tmp_path) + out
        assert "s3cret" not in said(tmp_path) + out
        async with pod(tmp_path / "refused", **own, **env | {"HF_TOKEN": "another"}) as process:
            status, out = await ended(process)
    assert (status, out) == (1, "")
    assert "the next start goes on" in said(tmp_path / "refused")


async def test_a_signal_ends_a_download(tmp_path: Path, image: Path) -> None:
    hub = FakeHub({"model.safetensors": bytes(100_000)}, hold={"model.safetensors": 50_000})
    async with serving(hub):
        env = {"POD_PREFIX": str(image), "RAGPOD_PROFILE": "cuda", "POD_MODELS": "BAAI/bge-m3@main"}
        async with pod(tmp_path, HF_ENDPOINT=hub.url, **env) as process:
            await until(lambda: bool(hub.asked), SOON)
            process.terminate()
            status, out = await ended(process)
    assert (status != 0, out) == (True, "")


async def test_settings_may_come_from_a_file_on_the_volume(tmp_path: Path) -> None:
    (tmp_path / "ragpod.toml").write_text("no_such_setting = 1\n")
    async with pod(tmp_path) as process:
        status, _ = await ended(process)
    assert status == 1
    assert "no_such_setting" in said(tmp_path)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    yield folder
    shutil.rmtree(folder)


async def test_root_becomes_the_user_that_owns_the_data_where_the_volume_allows(open_folder: Path, image: Path) -> None:
    prefix = stand_in(open_folder / "image", 'echo "user=$(id -un) home=$HOME"; exit 3')
    env = {"POD_PREFIX": str(prefix), "POD_RESTARTS": "1", "POD_USER": "nobody"}
    async with pod(open_folder / "volume", **env) as process:
        _, out = await ended(process)
    root = os.getuid() == 0
    assert out.startswith("user=nobody" if root else "user=")
    assert "runs as root" not in said(open_folder / "volume")
    if root:
        assert (open_folder / "volume" / "ragpod").owner() == "nobody"


async def test_root_stays_root_where_the_user_cannot_write_and_says_so(tmp_path: Path, image: Path) -> None:
    env = {"POD_PREFIX": str(image), "POD_RESTARTS": "1", "POD_USER": "nobody"}
    os.chmod(tmp_path, 0o700)
    async with pod(tmp_path / "volume", **env) as process:
        _, out = await ended(process)
    if os.getuid() == 0:
        assert "user=root" in out
        assert "the server runs as root" in said(tmp_path / "volume")
    assert (tmp_path / "volume" / "ragpod").is_dir()


async def test_a_pod_can_stay_up_without_a_server(tmp_path: Path) -> None:
    async with pod(tmp_path, POD_SERVE="0", RAGPOD_API_KEYS="") as process:
        await until(lambda: "no server is started" in said(tmp_path), SOON)
        process.terminate()
        status, _ = await ended(process)
    assert status == 0


async def test_the_development_loop_starts_the_server_of_the_working_copy(tmp_path: Path) -> None:
    handler = SCRIPT.with_name("runpod_handler.py")
    options = ("--rp_serve_api", "--rp_api_host=127.0.0.1", "--rp_api_port=0", "--rp_api_concurrency=1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(handler), *options, cwd=tmp_path, env=environment(RAGPOD_LOG_LEVEL="none"), stderr=PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), SOON)
    assert b"log_level" in err
