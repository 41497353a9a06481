"""What users of such servers complain of in their streams (PEERS.md, section 1), each over real sockets."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.base import Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import QUESTION, House, house
from tests.stub_engine import Die, Finish, Hold, Raw, Reasoning
from tests.until import PATIENCE

PATH = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "ragpod", "messages": [{"role": "user", "content": QUESTION}]}
STREAM = ASK | {"stream": True}


def text_of(events: list[dict[str, Any]], field: str = "content") -> str:
    return "".join(choice["delta"].get(field) or "" for event in events for choice in event["choices"])


async def test_the_last_chunk_repeats_nothing(home: House) -> None:
    home.stub.script("배송은 ", "이틀 [1]", Finish())
    events = await home.stream(PATH, STREAM)
    assert text_of(events) == "배송은 이틀 [1]"
    assert "content" not in events[-1]["choices"][0]["delta"]


async def test_ids_are_unique_over_answers_and_one_within_an_answer(home: House) -> None:
    answers = [await home.stream(PATH, STREAM) for _ in range(3)]
    ids = [{event["id"] for event in events} for events in answers]
    assert [len(found) for found in ids] == [1, 1, 1]
    assert len(set.union(*ids)) == 3


async def test_a_chunk_has_usage_only_where_it_was_asked_for(home: House) -> None:
    assert all("usage" not in event for event in await home.stream(PATH, STREAM))
    *events, last = await home.stream(PATH, STREAM | {"stream_options": {"include_usage": True}})
    assert all(event["usage"] is None for event in events)
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], home.stub.usage["prompt_tokens"])


async def test_a_stream_is_never_compressed_and_no_proxy_is_to_hold_it_back(home: House) -> None:
    headers = {"Accept-Encoding": "gzip, br"}
    async with home.http.post(home.url + PATH, json=STREAM, headers=headers) as response:
        assert "Content-Encoding" not in response.headers
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Request-Id"].startswith("trace_")


@pytest.mark.parametrize("model", ["ragpod", "stub"])
async def test_an_answer_that_waits_for_its_place_has_its_first_byte_in_time(
    data_dir: Path, embedder: Embedder, tokenizer: Tokenizer, model: str
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"answers": 1, "queue_seconds": PATIENCE}) as home:
        home.stub.script("이틀", Hold(), Finish())
        first = asyncio.create_task(home.post(PATH, ASK))
        await home.stub.started()
        async with home.http.post(home.url + PATH, json=STREAM | {"model": model}) as response:
            assert response.status == 200
            assert await response.content.readline() == b": retrieving\n"
            home.stub.release()
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        await first


async def test_comments_come_while_the_engine_is_silent(
    data_dir: Path, embedder: Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, heartbeat_seconds=0.1) as home:
        home.stub.script("이틀", Hold())
        async with home.http.post(home.url + PATH, json=STREAM) as response:
            async for line in response.content:
                if line == b": ping\n":
                    break
            else:
                pytest.fail("the stream ended without a comment")
        await home.stub.idle()


async def test_an_error_in_mid_stream_is_one_event_then_done(home: House) -> None:
    home.stub.script("이틀", Die())
    async with home.http.post(home.url + PATH, json=STREAM) as response:
        *_, error, done, end = (await response.read()).split(b"\n\n")
    assert error.startswith(b'data: {"error":{"message":')
    assert (done, end) == (b"data: [DONE]", b"")


async def test_a_mark_that_the_engine_stops_in_is_sent_as_it_stands(home: House) -> None:
    for reason in ("stop", "length"):
        home.stub.script("이틀 [1", Finish(reason))
        events = await home.stream(PATH, STREAM | {"stop": ["]"]})
        assert text_of(events) == "이틀 [1"
        assert events[-1]["choices"][0]["finish_reason"] == reason
        assert home.stub.requests[-1]["stop"] == ["]"]


async def test_quoting_stops_at_a_stop_sequence_too(home: House) -> None:
    home.stub.script(Die())
    whole = (await home.openai.chat.completions.create(**ASK)).choices[0].message.content or ""
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    cut = await home.openai.chat.completions.create(**ASK, stop=[stop])
    assert cut.choices[0].message.content == whole[: whole.index(stop)]


async def test_an_answer_that_went_into_the_thoughts_is_still_content(home: House) -> None:
    home.stub.script(Reasoning("이틀 [1]"), Finish())
    assert (await home.openai.chat.completions.create(**ASK)).choices[0].message.content == "이틀 [1]"


@pytest.mark.parametrize("cut", range(1, 8))
async def test_thoughts_never_reach_content_however_their_tag_is_cut(home: House, cut: int) -> None:
    text = "<think>속으로</think>이틀"
    parts = [text[start : start + cut] for start in range(0, len(text), cut)]
    home.stub.script(*parts, Finish())
    events = await home.stream(PATH, STREAM | {"reasoning_effort": "low"})
    assert (text_of(events), text_of(events, "reasoning")) == ("이틀", "속으로")


async def test_an_empty_answer_is_an_answer(home: House) -> None:
    home.stub.script(Raw(b": nothing\n\n"), Finish())
    choice = (await home.openai.chat.completions.create(**ASK)).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("", "stop")
