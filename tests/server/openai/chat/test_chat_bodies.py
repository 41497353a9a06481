"""Bodies and messages that are wrong in some way: never a 500, always OpenAI's envelope with the place named."""

import json
from typing import Any

import aiohttp
import orjson
import pytest

from tests.server.house import QUESTION, House
from tests.stub_engine import Finish

pytestmark = pytest.mark.house("module")
PATH = "/v1/chat/completions"
QUESTIONS = [{"role": "user", "content": QUESTION}]
ASK: dict[str, Any] = {"model": "ragpod", "messages": QUESTIONS}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "x"}
MODELS = pytest.mark.parametrize("model", ["ragpod", "stub"])


async def sent(home: House, body: bytes, content_type: str | None = "application/json") -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": content_type} if content_type else {}
    skip = None if content_type else ["Content-Type"]
    async with home.http.post(home.url + PATH, data=body, headers=headers, skip_auto_headers=skip) as response:
        answer = orjson.loads(await response.read())
        assert answer["error"].keys() == {"message", "type", "param", "code"}
        return response.status, answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"NaN",
        b"\xff\xfe",
        b"[" * 2000 + b"]" * 2000,
        b'{"model": "ragpod", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "ragpod", "messages": [{"role": "user", "content": "a\\u0000b"}]}',
        b'{"model": "ragpod", "messages": [{"role": "user", "content": "a"}], "seed": 123456789012345678901234567890}',
        b'{"model": "ragpod", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1e400}',
        b'{"model": 5, "messages": "x"}',
    ],
)
async def test_what_is_not_a_request_is_400(home: House, body: bytes) -> None:
    status, error = await sent(home, body)
    assert (status, error["type"]) == (400, "invalid_request_error")


@MODELS
async def test_a_schema_nested_too_deeply_is_400_and_not_a_failure_of_the_writer(home: House, model: str) -> None:
    nested: dict[str, Any] = {}
    for _ in range(300):
        nested = {"properties": nested}
    tool = {"type": "function", "function": {"name": "f", "parameters": nested}}
    status, error = await sent(home, json.dumps(ASK | {"model": model, "tools": [tool]}).encode())
    assert (status, error["code"]) == (400, "nested_too_deeply")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_another_content_type_is_415(home: House, content_type: str | None) -> None:
    assert (await sent(home, orjson.dumps(ASK), content_type))[0] == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
async def test_json_by_any_of_its_names_is_read(home: House, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with home.http.post(home.url + PATH, data=orjson.dumps(ASK), headers=headers) as response:
        assert response.status == 200


async def test_another_method_is_405_and_says_which_is_allowed(home: House) -> None:
    async with home.http.get(home.url + PATH) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages"),
        ([*QUESTIONS, {"role": "user", "content": ""}], "messages"),
        ([{"role": "system", "content": "x"}], "messages"),
        ([*QUESTIONS, {"role": "assistant"}], "messages[1].content"),
        ([{"role": "function", "name": "f", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": "x", "colour": 1}], "messages[0].colour"),
        ([{"role": "user", "content": "x", "context": {}}], "messages[0].context"),
        ([{"role": "user", "content": "x", "name": ""}], "messages[0].name"),
        ([{"role": "user", "content": "x", "tool_calls": [CALL]}], "messages[0].tool_calls"),
        ([{"role": "assistant", "content": "x", "audio": {"id": "a"}}, *QUESTIONS], "messages[0].audio"),
        (
            [{"role": "assistant", "content": "x", "function_call": {"name": "f"}}, *QUESTIONS],
            "messages[0].function_call",
        ),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}], "messages[0].content[0]"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}],
            "messages[0].content[0]",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}],
                }
            ],
            "messages[0].content[0].prompt_cache_breakpoint",
        ),
        ([*QUESTIONS, CALLED], "messages"),
        ([*QUESTIONS, RESULT], "messages[1].tool_call_id"),
        ([*QUESTIONS, {"role": "tool", "content": "x"}], "messages[1].tool_call_id"),
        ([*QUESTIONS, CALLED, *QUESTIONS], "messages[2].role"),
        ([*QUESTIONS, CALLED, RESULT, RESULT], "messages[3].tool_call_id"),
        ([*QUESTIONS, CALLED | {"tool_calls": [CALL | {"type": "custom"}]}], "messages[1].tool_calls[0].type"),
    ],
)
async def test_a_wrong_message_is_named_by_its_place(home: House, messages: list[Any], param: str) -> None:
    status, error = await sent(home, orjson.dumps({"model": "ragpod", "messages": messages}))
    assert (status, error["param"]) == (400, param)
    assert home.stub.requests == []


async def test_what_the_sdk_sends_back_of_an_answer_is_taken_as_history(home: House) -> None:
    home.stub.script("이틀 [1].", Finish())
    answer = await home.openai.chat.completions.create(**ASK)
    told = answer.choices[0].message.model_dump()
    assert {"annotations", "context", "refusal", "audio", "function_call"} <= told.keys()
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "한"}, {"type": "text", "text": "둘"}]},
        QUESTIONS[0] | {"name": "kim"},
        told,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "거절"}]},
        {"role": "assistant", "content": None, "refusal": "또 거절"},
        {"role": "user", "content": "제주는요?", "name": "lee"},
    ]
    status, _ = await home.post(PATH, ASK | {"messages": messages})
    assert status == 200
    system, *rest = home.stub.requests[-1]["messages"]
    assert system["content"].endswith("한\n둘")
    assert [message.get("name") for message in rest] == ["kim", None, None, None, "lee"]
    assert [message["content"] for message in rest[1:4]] == ["이틀.", "거절", "또 거절"]


@MODELS
@pytest.mark.parametrize(
    "change",
    [
        {"functions": [{"name": "f"}]},
        {"web_search_options": {}},
        {"audio": {"voice": "x", "format": "wav"}},
        {"prediction": {"type": "content", "content": "x"}},
        {"service_tier": "flex"},
    ],
)
async def test_what_no_engine_has_is_refused_with_every_model(home: House, model: str, change: dict[str, Any]) -> None:
    status, body = await home.post(PATH, ASK | {"model": model} | change)
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, *change, "unsupported_parameter")
    assert home.stub.requests == []


async def test_obfuscation_makes_deltas_of_one_length_and_is_off_by_default(home: House) -> None:
    home.stub.script("가", "나다라", "a", Finish())
    body = ASK | {"stream": True, "stream_options": {"include_obfuscation": True, "include_usage": True}}
    async with home.http.post(home.url + PATH, json=body) as response:
        lines = [line for line in (await response.read()).split(b"\n\n") if b'"delta":{"content":' in line]
    deltas = [line for line in lines if b'"obfuscation"' in line]
    assert len(deltas) == 3
    assert len({len(line) for line in deltas}) == 1
    assert all("obfuscation" not in event for event in await home.stream(PATH, ASK | {"stream": True}))


async def test_a_stream_ends_properly_for_a_client_that_reads_lines(home: House) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(home.url + PATH, json=ASK | {"stream": True}) as response,
    ):
        lines = [line async for line in response.content]
    assert lines[-2:] == [b"data: [DONE]\n", b"\n"]
    assert all(line == b"\n" or line.startswith((b"data: ", b": ")) for line in lines)
