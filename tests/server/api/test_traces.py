"""Deleting an answer over a real socket: everywhere, by bytes, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.records.upkeep import RecordsUpkeep
from tests.server.house import House, house
from tests.stub_engine import Finish, Hold

PASSAGE = "A quokkapassage lives on Rottnest Island and eats leaves."
QUESTION = "Where does the quokkapassage live, zebraquestion?"
ANSWER = ("On the giraffeanswer ", "island [1].", Finish())
MARKS = (b"quokkapassage", b"zebraquestion", b"giraffeanswer")


async def delete(home: House, trace_id: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with home.http.delete(f"{home.url}/api/v1/traces/{trace_id}", headers=headers) as response:
        return response.status, await response.json()


async def ask(home: House) -> tuple[str, str]:
    """Trace id and response id."""
    response = await home.openai.responses.create(model="ragpod", input=QUESTION, metadata={"of": "zebraquestion"})
    return (response.model_extra or {})["ragpod"]["trace_id"], response.id


@pytest.mark.parametrize("way", ["response", "trace"])
async def test_nothing_of_a_deleted_answer_is_left_in_any_file(home: House, way: str) -> None:
    home.stub.script(*ANSWER)
    await home.ingest("default", {"quokka.md": PASSAGE})
    (file,) = [file async for file in home.openai.files.list() if file.filename == "quokka.md"]
    answers = [await ask(home) for _ in range(3)]
    _, said = await home.post("/api/v1/chat", {"question": QUESTION})
    await home.openai.files.delete(file.id)
    for trace_id, response_id in answers:
        if way == "response":
            await home.openai.responses.delete(response_id)
        else:
            assert (await delete(home, trace_id))[0] == 200
        assert (await home.get(f"/api/v1/traces/{trace_id}"))[0] == 404
        with pytest.raises(openai.NotFoundError):
            await home.openai.responses.retrieve(response_id)
    await delete(home, said["metadata"]["trace_id"])
    await asyncio.to_thread(home.parts.library.upkeep.run)
    await RecordsUpkeep(home.parts.database, home.parts.turns).run()
    held = {path.name: path.read_bytes() for path in home.parts.settings.data_dir.rglob("*") if path.is_file()}
    assert "turns.db" in held
    assert [(name, mark) for name, content in held.items() for mark in MARKS if mark in content] == []


async def test_a_running_answer_is_stopped_and_then_deleted(home: House) -> None:
    home.stub.script("Half an answer", Hold())
    asking = asyncio.create_task(home.post("/v1/responses", {"model": "ragpod", "input": QUESTION}))
    await home.stub.started()
    ((_, trace_id),) = home.parts.runs.ids()
    assert await delete(home, trace_id) == (200, {"success": True, "trace_id": trace_id, "deleted": True})
    _, response = await asking
    assert response["status"] == "cancelled"
    assert (await home.get(f"/api/v1/traces/{trace_id}"))[0] == 404
    assert (await home.get(f"/v1/responses/{response['id']}"))[0] == 404
    assert (await delete(home, trace_id))[0] == 404


@pytest.mark.parametrize("body", [{"model": "stub"}, {"model": "ragpod", "store": False}])
async def test_deleting_one_that_keeps_nothing_ends_it(home: House, body: dict[str, Any]) -> None:
    home.stub.script(Hold())
    request = {"messages": [{"role": "user", "content": QUESTION}], **body}
    asking = asyncio.create_task(home.post("/v1/chat/completions", request))
    await home.stub.started()
    ((_, trace_id),) = home.parts.runs.ids()
    assert (await delete(home, trace_id))[0] == 200
    await asking
    assert (await delete(home, trace_id))[0] == 404


@pytest.fixture
async def two(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, keys={"mine": "default", "theirs": "other"}) as opened:
        yield opened


async def test_anothers_trace_is_as_unknown_as_one_that_never_was(two: House) -> None:
    trace_id, response_id = await ask(two)
    status, refused = await delete(two, trace_id, "theirs")
    unknown = "trace_" + "0" * 32
    assert (status, refused["error"]["code"]) == (404, "trace_not_found")
    told = orjson.loads(orjson.dumps(refused).replace(trace_id.encode(), unknown.encode()))
    assert await delete(two, unknown, "theirs") == (404, told)
    assert (await two.get(f"/api/v1/traces/{trace_id}"))[0] == 200
    assert (await two.openai.responses.retrieve(response_id)).id == response_id
    two.stub.script(Hold())
    asking = asyncio.create_task(two.post("/v1/responses", {"model": "ragpod", "input": QUESTION}))
    await two.stub.started()
    ((_, running),) = two.parts.runs.ids()
    assert (await delete(two, running, "theirs"))[0] == 404
    assert two.parts.runs.ids() == [("default", running)]
    two.stub.release()
    await asking


async def test_deleting_a_trace_is_documented(home: House) -> None:
    _, page = await home.get("/openapi.json")
    assert "stopped first" in page["paths"]["/api/v1/traces/{trace_id}"]["delete"]["description"]
