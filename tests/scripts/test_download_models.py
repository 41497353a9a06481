"""scripts/download_models.py as its own process, against a hub on a real socket."""

import asyncio
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scripts.fake_hub import COMMIT, FakeHub, serving
from tests.server.cli.process import environment
from tests.until import until

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "download_models.py"
WEIGHTS, CONFIG, ONNX = "model.safetensors", "config.json", "onnx/model.onnx"
SIZE = 3_000_000
BIG = random.Random(0).randbytes(SIZE)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    files = {WEIGHTS: BIG, CONFIG: b'{"a": 1}', ONNX: b"never wanted", "1_Pooling/config.json": b"{}"}
    async with serving(FakeHub(files, large={WEIGHTS, ONNX})) as served:
        yield served


async def started(hub: FakeHub, cache: Path, *arguments: str, **env: str) -> Process:
    command = [sys.executable, str(SCRIPT), *(arguments or ("BAAI/bge-m3@main",)), f"--cache={cache}"]
    settings = environment() | {"HF_ENDPOINT": hub.url} | env
    return await asyncio.create_subprocess_exec(*command, env=settings, stderr=PIPE)


async def ran(hub: FakeHub, cache: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit status, and what it said."""
    process = await started(hub, cache, *arguments, **env)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


def snapshot(cache: Path) -> Path:
    return cache / "models--BAAI--bge-m3" / "snapshots" / COMMIT


async def test_a_model_is_there_under_its_plain_name_and_is_not_asked_for_again(hub: FakeHub, tmp_path: Path) -> None:
    status, said = await ran(hub, tmp_path)
    assert (status, "every hash proven" in said) == (0, True)
    folder = snapshot(tmp_path)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "1_Pooling/config.json",
        CONFIG,
        WEIGHTS,
    ]
    assert (folder / WEIGHTS).read_bytes() == BIG
    assert (tmp_path / "models--BAAI--bge-m3" / "refs" / "main").read_text() == COMMIT
    hub.asked.clear()
    assert (await ran(hub, tmp_path))[0] == 0
    assert hub.asked == []
    assert (await ran(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:9"))[0] == 0


async def test_a_dropped_connection_goes_on_where_it_ended(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS] = [1_000_000, 2_000_000]
    assert (await ran(hub, tmp_path))[0] == 0
    first, *resumed = hub.ranges(WEIGHTS)
    starts = [int(header.removeprefix("bytes=").rstrip("-")) for header in resumed]
    assert (first, len(starts), sorted(set(starts)), starts[0] > 0) == ("", 2, starts, True)
    assert (snapshot(tmp_path) / WEIGHTS).read_bytes() == BIG


async def test_a_killed_download_goes_on_in_the_next_process(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold[WEIGHTS] = 2_000_000
    process = await started(hub, tmp_path)
    part = snapshot(tmp_path) / f"{WEIGHTS}.part"
    await until(lambda: part.is_file() and part.stat().st_size > 0, 30)
    process.kill()
    await process.communicate()
    kept = part.stat().st_size
    hub.hold.clear()
    assert (await ran(hub, tmp_path))[0] == 0
    assert hub.ranges(WEIGHTS) == ["", f"bytes={kept}-"]
    assert (snapshot(tmp_path) / WEIGHTS).read_bytes() == BIG
    assert not part.exists()


async def test_a_hub_that_ignores_ranges_still_gives_the_right_file(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS], hub.deaf = [1_000_000], True
    assert (await ran(hub, tmp_path))[0] == 0
    assert (snapshot(tmp_path) / WEIGHTS).read_bytes() == BIG


async def test_wrong_bytes_are_fetched_again_and_named_when_they_stay_wrong(hub: FakeHub, tmp_path: Path) -> None:
    hub.rotten[WEIGHTS] = 1
    assert (await ran(hub, tmp_path / "once"))[0] == 0
    hub.rotten[CONFIG] = 99
    status, said = await ran(hub, tmp_path / "always")
    assert status == 1
    assert f"BAAI/bge-m3: {CONFIG} is not what the hub's list says" in said
    assert WEIGHTS not in said
    assert not (snapshot(tmp_path / "always") / CONFIG).exists()


async def test_verify_names_the_damaged_file_and_the_next_run_mends_only_that(hub: FakeHub, tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert (await ran(hub, tmp_path, "BAAI/bge-m3@main", "--verify", **nowhere))[0] == 1
    assert (await ran(hub, tmp_path))[0] == 0
    assert (await ran(hub, tmp_path, "BAAI/bge-m3@main", "--verify", **nowhere))[0] == 0
    (snapshot(tmp_path) / WEIGHTS).write_bytes(bytes(SIZE))
    status, said = await ran(hub, tmp_path, "BAAI/bge-m3@main", "--verify", **nowhere)
    assert (status, f"{WEIGHTS} is missing or wrong" in said, CONFIG in said) == (1, True, False)
    hub.asked.clear()
    assert (await ran(hub, tmp_path))[0] == 0
    assert [name for name, _ in hub.asked] == [WEIGHTS]
    assert (snapshot(tmp_path) / WEIGHTS).read_bytes() == BIG


async def test_a_deleted_file_is_fetched_alone(hub: FakeHub, tmp_path: Path) -> None:
    assert (await ran(hub, tmp_path))[0] == 0
    (snapshot(tmp_path) / CONFIG).unlink()
    hub.asked.clear()
    assert (await ran(hub, tmp_path))[0] == 0
    assert [name for name, _ in hub.asked] == [CONFIG]


async def test_a_busy_hub_is_asked_again_and_the_token_stays_with_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    hub.busy, hub.token = 1, "secret-token"
    status, said = await ran(hub, tmp_path / "with", HF_TOKEN="secret-token")
    assert (status, "secret-token" in said) == (0, False)
    assert set(hub.keys_at_the_other_host) == {""}
    status, said = await ran(hub, tmp_path / "without")
    assert (status, "HF_TOKEN" in said) == (1, True)


async def test_one_model_that_fails_does_not_stop_the_others(hub: FakeHub, tmp_path: Path) -> None:
    status, said = await ran(hub, tmp_path, "BAAI/nothing", "BAAI/bge-m3@main")
    assert status == 1
    assert "BAAI/nothing@main: the hub answers HTTP 404" in said
    assert (snapshot(tmp_path) / WEIGHTS).read_bytes() == BIG


async def test_a_pinned_commit_is_that_commit_or_nothing(hub: FakeHub, tmp_path: Path) -> None:
    status, said = await ran(hub, tmp_path, "BAAI/bge-m3")
    assert (status, f"the hub gives {COMMIT}" in said, hub.asked) == (1, True, [])


async def test_two_downloads_of_one_model_do_not_mix(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold[WEIGHTS] = 1_000_000
    first = await started(hub, tmp_path)
    await until(lambda: bool(hub.asked), 30)
    status, said = await ran(hub, tmp_path)
    first.kill()
    await first.communicate()
    assert (status, "another process is downloading it" in said) == (1, True)


async def test_too_little_room_is_said_before_a_byte_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 10**18

    hub.files[WEIGHTS] = Huge(b"x")  # listed so
    status, said = await ran(hub, tmp_path)
    assert (status, "GB free" in said, hub.asked) == (1, True, [])


CARDS = {"RTX 4090": "24564, 8.9", "H200": "143771, 9.0", "T4": "15360, 7.5"}


@pytest.mark.parametrize(
    ("card", "count", "engine"),
    [
        ("", 0, "Qwen/Qwen3-32B-FP8"),
        ("RTX 4090", 2, "Qwen/Qwen3-32B-AWQ"),
        ("H200", 1, "Qwen/Qwen3-32B-FP8"),
        ("T4", 1, None),
    ],
)
async def test_unnamed_models_are_those_of_the_settings_and_the_card(
    hub: FakeHub, tmp_path: Path, card: str, count: int, engine: str | None
) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    lines = "".join(f"echo '{i}, GPU-{i}, NVIDIA {card}, {CARDS[card]}'\n" for i in range(count))
    tool.write_text(f"#!/bin/sh\n{lines}")
    tool.chmod(0o755)
    env = {"PATH": f"{tool.parent}:{os.environ['PATH']}", "RAGPOD_PROFILE": "cuda"}
    own = {"RAGPOD_MODELS_EMBEDDER": "BAAI/bge-m3@main", "RAGPOD_MODELS_RERANKER": ""}
    status, said = await ran(hub, tmp_path / "cache", "--verify", **env, **own)
    named = [line.partition(": not downloaded")[0] for line in said.splitlines() if ": not downloaded" in line]
    assert status == 1
    assert named == (["BAAI/bge-m3", engine] if engine else []), said
    if engine is None:
        assert "compute capability" in said


async def test_the_embedded_profile_needs_no_download_and_an_engine_elsewhere_no_weights(
    hub: FakeHub, tmp_path: Path
) -> None:
    status, said = await ran(hub, tmp_path, "--verify", RAGPOD_PROFILE="embedded")
    assert (status, "nothing to fetch" in said) == (0, True)
    env = {"RAGPOD_PROFILE": "cuda", "RAGPOD_ENGINE_URL": "http://127.0.0.1:9/v1"}
    _, said = await ran(hub, tmp_path, "--verify", **env)
    assert [line.partition(":")[0] for line in said.splitlines()] == ["BAAI/bge-m3", "BAAI/bge-reranker-v2-m3"]
