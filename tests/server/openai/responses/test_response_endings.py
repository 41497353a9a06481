"""How a response ends that does not end well: what the client hears, what is kept, and that the engine is freed."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest
from openai.types.responses import Response
from sqlalchemy import text

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.answering.events import Done
from server.http.sse import EventStream
from server.openai.responses.question import Responding, ResponseFrames
from server.openai.responses.request import ResponseRequest
from server.records.responses import Responses
from tests.server.house import QUESTION, House, house
from tests.stub_engine import Die, Finish, Hold, Status
from tests.until import PATIENCE, until

ANSWER = ("배송은 ", "이틀 [1]", " 걸립니다.", Finish())


async def kept(home: House) -> list[dict[str, Any]]:
    """Every response that is kept, the oldest first."""
    oldest_first = text("SELECT response FROM responses ORDER BY rowid")
    contents = await home.parts.database.read(lambda db: db.scalars(oldest_first).all())
    return [orjson.loads(content) for content in contents]


async def test_an_engine_that_dies_mid_stream_fails_the_response_which_keeps_its_part(home: House) -> None:
    home.stub.script("배송은 이틀", Die())
    events = [event async for event in await home.openai.responses.create(model="ragpod", input=QUESTION, stream=True)]
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    failed = events[-1].response  # type: ignore[union-attr]
    assert failed.error is not None
    assert (failed.status, failed.output_text) == ("failed", "배송은 이틀")
    assert (await home.openai.responses.retrieve(failed.id)).output_text == "배송은 이틀"


async def test_an_early_failure_keeps_its_http_status(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = (None, PATIENCE, PATIENCE, PATIENCE)  # a busy machine may take longer to fail than a status is held back
    monkeypatch.setattr(EventStream.__init__, "__defaults__", patient)
    home.stub.script(Status(400, "This model's maximum context length is 4096 tokens."))
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            await home.openai.responses.create(model="ragpod", input=QUESTION, stream=stream)
        assert caught.value.code == "context_length_exceeded"


async def test_a_client_that_leaves_frees_the_engine_and_the_response_is_kept_as_cancelled(home: House) -> None:
    home.stub.script("배송은 ", Hold())
    stream = await home.openai.responses.create(model="ragpod", input=QUESTION, stream=True)
    created = None
    async for event in stream:
        created = created or event
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    await home.stub.idle()
    assert created is not None
    responses, key = Responses(home.parts.database), created.response.id  # type: ignore[union-attr]

    async def kept() -> bool:
        async with home.http.get(f"{home.url}/v1/responses/{key}") as found:
            return found.status == 200

    await until(kept, PATIENCE)
    stored = (await responses.get("default", key)).response
    assert (stored["status"], stored["output"][-1]["status"]) == ("cancelled", "incomplete")
    assert Response.model_validate(stored).output_text == "배송은 "


async def test_a_whole_response_that_fails_is_kept_as_failed_with_what_had_been_written(home: House) -> None:
    home.stub.script("배송은 이틀", Die())
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            await home.openai.responses.create(model="ragpod", input=QUESTION)
    stored = await kept(home)
    assert [response["status"] for response in stored] == ["failed"] * 3
    assert {Response.model_validate(response).output_text for response in stored} == {"배송은 이틀"}


async def test_a_failed_response_can_be_gone_on_from(home: House) -> None:
    home.stub.script("배송은 이틀", Die())
    events = [event async for event in await home.openai.responses.create(model="ragpod", input=QUESTION, stream=True)]
    home.stub.script(*ANSWER)
    failed = events[-1].response.id  # type: ignore[union-attr]
    again = await home.openai.responses.create(model="ragpod", input="계속하세요.", previous_response_id=failed)
    assert again.status == "completed"
    assert "배송은 이틀" in [message["content"] for message in home.stub.requests[-1]["messages"]]


async def test_a_client_that_leaves_before_a_whole_response_frees_the_engine(home: House) -> None:
    home.stub.script("배송은 ", Hold())
    asked = asyncio.create_task(home.openai.responses.create(model="ragpod", input=QUESTION))
    await home.stub.started()
    asked.cancel()
    await home.stub.idle(within=1.0)

    async def cancelled() -> bool:
        return [response["status"] for response in await kept(home)] == ["cancelled"]

    await until(cancelled, PATIENCE)


async def test_a_stop_call_ends_a_whole_response_with_what_had_been_written(home: House) -> None:
    home.stub.script("배송은 ", Hold())
    asked = asyncio.create_task(home.openai.responses.create(model="ragpod", input=QUESTION))
    await home.stub.started()
    ((_, trace_id),) = home.parts.runs.ids()
    assert (await home.post(f"/api/v1/chat/{trace_id}/stop", {}))[0] == 200
    response = await asked
    assert response.status == "cancelled"
    Response.model_validate(response.model_dump(by_alias=True))
    assert (await home.openai.responses.retrieve(response.id)).status == "cancelled"


async def test_events_have_their_names_and_a_silent_engine_is_bridged_by_comments(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, heartbeat_seconds=0.05) as home:
        home.stub.script(Hold(), *ANSWER)
        body = {"model": "ragpod", "input": QUESTION, "stream": True}
        async with aiohttp.ClientSession() as client, client.post(f"{home.url}/v1/responses", json=body) as response:
            start = b""
            async with asyncio.timeout(PATIENCE):
                while b": ping" not in start:
                    start += await response.content.readany()
                assert b"event: response.created\ndata: " in start
                home.stub.release()
                rest = start + await response.content.read()
    assert b"event: response.completed\ndata: " in rest
    assert b"[DONE]" not in rest


async def test_a_response_that_is_cancelled_before_its_first_step_still_has_its_events(home: House) -> None:
    body = ResponseRequest(model="ragpod", input=QUESTION)
    responding: Responding = home.parts.provided()[Responding]
    question = await responding.question("default", body)
    running = responding.start(question, ResponseFrames(question.frame)).running
    running.cancel("stopped")
    ((event, frames),) = await running.next(PATIENCE) or []
    assert event == Done("cancelled")
    assert b"event: response.incomplete\ndata: " in frames
    assert await kept(home) == []
