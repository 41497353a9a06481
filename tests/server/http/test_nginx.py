"""Streams through a real nginx, as scripts/verify_streaming.py sees them."""

from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.conftest import Llama
from tests.nginx import nginx
from tests.scripts.verifying import Verdict, verified
from tests.server.house import QUESTION, House, house
from tests.stub_engine import Finish, Sleep, Step

BUFFERED, UNBUFFERED = "proxy_buffering on;", "proxy_buffering off;"
IGNORED = "proxy_ignore_headers X-Accel-Buffering;"
COMPRESSED = "gzip_types *;"
ASKED = ("--model", "ragpod", "--prompt", QUESTION)


def spoken(silence: float = 0.0) -> list[Step]:
    """Thirty words, one by one, after so many seconds."""
    words = [step for n in range(30) for step in (f"단어{n} ", Sleep(0.006))]
    return [Sleep(silence), *words, Finish()]


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {name: check["outcome"] for name, check in verdict.told["checks"].items()}


async def test_an_answer_from_documents_passes_without_a_proxy(home: House) -> None:
    home.stub.script(*spoken())
    verdict = await verified(home.url, *ASKED, "--metrics", f"{home.url}/metrics")
    assert outcomes(verdict) == dict.fromkeys(outcomes(verdict), "ok") | {"pings": "n/a"}, verdict.lines


@pytest.mark.parametrize("buffering", [BUFFERED, UNBUFFERED])
async def test_tokens_come_through_nginx_as_they_are_made(home: House, tmp_path: Path, buffering: str) -> None:
    """Our X-Accel-Buffering wins over `proxy_buffering on`; nginx takes the header away."""
    home.stub.script(*spoken())
    async with nginx(tmp_path / "nginx", home.url, buffering) as url:
        verdict = await verified(url, *ASKED, "--metrics", f"{home.url}/metrics")
    expected = dict.fromkeys(outcomes(verdict), "ok") | {"headers": "warn", "pings": "n/a"}
    assert outcomes(verdict) == expected, verdict.lines
    assert "X-Accel-Buffering" in verdict.detail("headers")


@pytest.mark.parametrize(
    ("directives", "failed"),
    [
        ((BUFFERED, COMPRESSED), ["headers"]),
        ((BUFFERED, COMPRESSED, IGNORED), ["headers", "as-made"]),
    ],
)
async def test_an_nginx_that_compresses_event_streams_is_caught(
    home: House, tmp_path: Path, directives: tuple[str, ...], failed: list[str]
) -> None:
    """It flushes what it compresses as long as it obeys our X-Accel-Buffering."""
    home.stub.script(*spoken())
    async with nginx(tmp_path / "nginx", home.url, *directives) as url:
        verdict = await verified(url, *ASKED)
    assert verdict.failed == failed, verdict.lines


@pytest.mark.parametrize("buffering", [BUFFERED, UNBUFFERED])
async def test_heartbeats_keep_nginx_from_giving_up_on_a_silent_engine(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, tmp_path: Path, buffering: str
) -> None:
    async with house(data_dir, embedder, tokenizer, heartbeat_seconds=1.0) as home:
        home.stub.script(*spoken(silence=3.5))
        async with nginx(tmp_path / "nginx", home.url, buffering, "proxy_read_timeout 2s;") as url:
            events = await home.openai.with_options(base_url=f"{url}/v1").chat.completions.create(
                model="ragpod", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in events])
    assert text == "".join(f"단어{n} " for n in range(30))


async def test_an_engine_that_is_silent_longer_than_nginx_waits_passes(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Whole answers have no heartbeat: nginx waits for those, as ten times their length is its default."""
    async with house(data_dir, embedder, tokenizer, heartbeat_seconds=0.2) as home:
        home.stub.script(*spoken(silence=1.2))
        async with nginx(tmp_path / "nginx", home.url, BUFFERED) as url:
            verdict = await verified(url, *ASKED, "--ping-after", "1", "--metrics", f"{home.url}/metrics")
    assert outcomes(verdict) == dict.fromkeys(outcomes(verdict), "ok") | {"headers": "warn"}, verdict.lines


@pytest.mark.engine
async def test_a_real_engine_streams_through_nginx_under_its_own_id(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, llama: Llama, tmp_path: Path
) -> None:
    async with (
        house(data_dir, embedder, tokenizer, real=llama) as home,
        nginx(tmp_path / "nginx", home.url, BUFFERED) as url,
    ):
        verdict = await verified(url, "--metrics", f"{home.url}/metrics")
    expected = dict.fromkeys(outcomes(verdict), "ok") | {"headers": "warn", "pings": "n/a"}
    assert outcomes(verdict) == expected, verdict.lines
