"""scripts/verify_streaming.py: a server that streams well passes, and each fault is caught by its own check."""

from collections.abc import Iterator

import pytest

from tests.scripts.faulty_engine import faulty_engine
from tests.scripts.verifying import verified
from tests.server.cli.process import server

pytestmark = pytest.mark.slow
CHECKS = 14


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("verify") / "data", RAGPOD_PROFILE="embedded") as running:
        yield running.url


@pytest.mark.engine
async def test_our_server_with_a_real_engine_passes_every_check(served: str) -> None:
    verdict = await verified(served, "--metrics", f"{served}/metrics")
    assert (verdict.status, verdict.failed) == (0, []), verdict.lines
    outcomes = {name: check["outcome"] for name, check in verdict.told["checks"].items()}
    assert outcomes == dict.fromkeys(outcomes, "ok") | {"pings": "n/a"}, verdict.lines
    assert len(outcomes) == CHECKS
    numbers = verdict.told["checks"]["as-made"]
    assert min(numbers["reads"], numbers["deltas"]) > 10  # the fewer, the busier the machine is
    assert numbers["share_in_last_tenth"] < 0.5


async def test_an_engine_that_streams_well_passes_and_one_with_newer_parameters_too() -> None:
    for fault in ("", "picky"):
        async with faulty_engine(fault) as url:
            verdict = await verified(f"{url}/v1", "--metrics", f"{url}/metrics")
        assert (verdict.status, verdict.failed) == (0, []), verdict.lines
        assert verdict.outcome("leave-whole") == "ok"


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        ("buffers", "as-made", "buffers"),
        ("doubles", "same-text", "doubled"),
        ("doubles", "last-delta", "repeats the whole text"),
        ("loses", "same-text", "lost: from character 46"),
        ("reorders", "same-text", "reordered"),
        ("other", "same-text", "another one"),
        ("no-done", "done", "0 times [DONE]"),
        ("gzip", "headers", "content-encoding gzip"),
        ("roles", "role", "assistant"),
        ("same-id", "id", "the same id"),
        ("id-only", "events", "without data"),
        ("no-finish", "finish", "no finish_reason"),
        ("usage-unasked", "usage", "not asked for usage"),
        ("half-characters", "characters", "half a character"),
    ],
)
async def test_a_fault_is_caught_by_its_own_check(fault: str, check: str, words: str) -> None:
    async with faulty_engine(fault) as url:
        verdict = await verified(url)
    assert verdict.status == 1
    assert check in verdict.failed, verdict.lines
    assert words in verdict.detail(check)


async def test_an_engine_that_goes_on_after_its_client_has_left_is_caught() -> None:
    async with faulty_engine("goes-on") as url:
        verdict = await verified(url, "--metrics", f"{url}/metrics")
    assert verdict.failed == ["leave-stream", "leave-whole"], verdict.lines


async def test_silence_without_a_comment_is_caught() -> None:
    async with faulty_engine(silent=1.2) as url:
        verdict = await verified(url, "--ping-after", "1")
    assert verdict.failed == ["pings"], verdict.lines


async def test_texts_of_an_engine_that_never_says_the_same_are_not_compared() -> None:
    async with faulty_engine("random") as url:
        verdict = await verified(url)
    assert (verdict.status, verdict.outcome("same-text")) == (0, "n/a"), verdict.lines
    assert "not comparable" in verdict.detail("same-text")


async def test_a_dead_address_ends_with_2() -> None:
    verdict = await verified("http://127.0.0.1:9", "--json")
    assert (verdict.status, verdict.told["ok"]) == (2, False)
    assert len(verdict.lines.splitlines()) == 1
