"""POST /v1/responses and what is kept of it, driven by the official SDK over a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.records.responses import Responses, Stored
from tests.conftest import Llama
from tests.server.house import ENGLISH, OFF_TOPIC, QUESTION, House, house
from tests.stub_engine import Call, Finish, Reasoning

ANSWER = ("배송은 ", "이틀 [1]", " 걸립니다.", Finish())
TEXT = "배송은 이틀 [1] 걸립니다."
TOOL: Any = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}, "strict": False}


async def whole(home: House, **given: Any) -> Response:
    """Checked against the SDK's own types, strictly."""
    response = await home.openai.responses.create(**{"model": "ragpod", "input": QUESTION, **given})
    Response.model_validate(response.model_dump(by_alias=True))
    return response


async def store_id(home: House) -> str:
    return next(iter([store.id async for store in home.openai.vector_stores.list() if store.name == "default"]))


async def test_file_search_gives_a_call_its_results_and_a_cited_message(home: House) -> None:
    home.stub.script(*ANSWER)
    tools: Any = [{"type": "file_search", "vector_store_ids": [await store_id(home)], "max_num_results": 2}]
    response = await whole(home, tools=tools, include=["file_search_call.results"])
    search, message = response.output
    assert (search.type, search.status, len(search.results or ())) == ("file_search_call", "completed", 2)
    assert isinstance(message, ResponseOutputMessage)
    assert response.output_text == TEXT
    (cited,) = message.content[0].annotations  # type: ignore[union-attr]
    assert cited.type == "file_citation"
    assert cited.filename == "delivery.md"
    assert TEXT[cited.start_index : cited.end_index] == "[1]"  # type: ignore[attr-defined]
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11, 3)
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)


async def test_results_stay_away_where_they_are_not_asked_for(home: House) -> None:
    assert (await whole(home)).output[0].results is None  # type: ignore[union-attr]


async def test_the_stream_adds_up_to_what_is_stored(home: House) -> None:
    home.stub.script(Reasoning("음"), *ANSWER)
    async with home.openai.responses.stream(model="ragpod", input=QUESTION) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == final.output_text == TEXT
    again = await home.openai.responses.retrieve(final.id)
    assert again.output_text == TEXT
    assert [item.type for item in again.output] == ["file_search_call", "reasoning", "message"]
    assert [item.id for item in again.output] == [item.id for item in final.output]


async def test_the_filter_of_file_search_is_evaluated_inside_the_search(home: House) -> None:
    store = await store_id(home)
    file = next(iter([file async for file in home.openai.vector_stores.files.list(store)]))
    await home.openai.vector_stores.files.update(file.id, vector_store_id=store, attributes={"year": 2024})
    tool: Any = {
        "type": "file_search",
        "vector_store_ids": [store],
        "filters": {"type": "eq", "key": "year", "value": 2024},
        "ranking_options": {"score_threshold": 0},
    }
    response = await whole(home, tools=[tool], include=["file_search_call.results"])
    found = response.output[0].results  # type: ignore[union-attr]
    assert {result.file_id for result in found or ()} == {file.id}
    usual = {"ragpod": {"filters": tool["filters"]}}  # that of the tool goes before it, also where it asks for nothing
    response = await home.openai.responses.create(
        model="ragpod",
        input=QUESTION,
        tools=[tool | {"filters": {}}],
        include=["file_search_call.results"],
        extra_body=usual,
    )
    found = response.output[0].results  # type: ignore[union-attr]
    assert {result.file_id for result in found or ()} > {file.id}


async def test_a_later_response_goes_on_from_an_earlier_one_but_not_from_its_instructions(home: House) -> None:
    home.stub.script(*ANSWER)
    first = await whole(home, instructions="존댓말로.")
    second = await whole(home, input="그럼 반품은요?", previous_response_id=first.id, instructions="짧게.")
    sent = home.stub.requests[-1]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert "짧게." in sent[0]["content"]
    assert "존댓말로." not in sent[0]["content"]
    assert sent[1]["content"] == QUESTION
    third = await whole(home, input="끝", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    await home.openai.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as caught:
        await whole(home, previous_response_id=second.id)
    assert caught.value.param == "previous_response_id"


async def conversation(home: House, links: int) -> str:
    """The id of the last of so many kept responses, each with a question and an answer."""
    responses, previous = Responses(home.parts.database), None
    for number in range(links):
        text = [{"type": "input_text", "text": f"question {number}"}]
        asked = {"id": f"msg_q{number}", "type": "message", "role": "user", "content": text}
        said = asked | {"id": f"msg_a{number}", "role": "assistant"}
        stored = Stored(f"resp_{number}", previous, [asked], {"created_at": number, "output": [said]})
        await responses.save("default", stored)
        previous = stored.id
    return f"resp_{links - 1}"


async def test_a_conversation_of_300_responses_is_asked_from_its_beginning_on_or_refused(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    body: Any = {"model": "stub", "input": "And now?", "store": False}
    async with house(data_dir, embedder, tokenizer, limits={"messages": 601}) as home:
        last = await conversation(home, 300)
        await whole(home, **body, previous_response_id=last)
        sent = [message["content"] for message in home.stub.requests[-1]["messages"]]
        assert sent == [f"question {number}" for number in range(300) for _ in "qa"] + ["And now?"]
    for limit, param in ((600, "previous_response_id"), (299, "previous_response_id"), (2, "input")):
        async with house(data_dir, embedder, tokenizer, limits={"messages": limit}) as home:
            given = [{"role": "user", "content": f"{number}"} for number in range(3)] if limit == 2 else "And now?"
            previous = "resp_0" if limit == 2 else last
            with pytest.raises(openai.BadRequestError) as refused:
                await whole(home, **{**body, "input": given}, previous_response_id=previous)
            assert refused.value.param == param
            assert home.stub.requests == []


async def test_an_item_can_be_referred_to(home: House) -> None:
    home.stub.script(*ANSWER)
    first = await whole(home)
    items: Any = [{"type": "item_reference", "id": first.output[-1].id}, {"role": "user", "content": "왜요?"}]
    await whole(home, input=items)
    assert TEXT.replace(" [1]", "") in [message["content"] for message in home.stub.requests[-1]["messages"]]
    with pytest.raises(openai.NotFoundError):
        await whole(home, input=[{"type": "item_reference", "id": "msg_nowhere"}])


async def test_a_function_is_called_and_its_output_reaches_the_engine(home: House) -> None:
    home.stub.script(Call('{"order"', "call_1", "look_up"), Call(":7}"), Finish("tool_calls"))
    first = await whole(home, tools=[TOOL], tool_choice="required")
    call = first.output[-1]
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look_up", '{"order":7}')
    assert home.stub.requests[-1]["tools"][0]["function"]["name"] == "look_up"
    assert home.stub.requests[-1]["tool_choice"] == "required"
    home.stub.script(*ANSWER)
    output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "어제 도착"}]
    await whole(home, input=output, previous_response_id=first.id, tools=[TOOL])
    sent = home.stub.requests[-1]["messages"]
    assert [message["role"] for message in sent][-3:] == ["user", "assistant", "tool"]
    assert (sent[-1]["content"], sent[-1]["tool_call_id"]) == ("어제 도착", "call_1")


async def test_a_json_schema_reaches_the_engine_as_its_response_format(home: House) -> None:
    class Days(BaseModel):
        days: int

    home.stub.script('{"days": 2}', Finish())
    parsed = await home.openai.responses.parse(model="ragpod", input=QUESTION, text_format=Days)
    assert parsed.output_parsed == Days(days=2)
    assert home.stub.requests[-1]["response_format"]["json_schema"]["name"] == "Days"


async def test_the_engines_own_id_answers_without_documents(home: House) -> None:
    response = await whole(home, model="stub", instructions="Be brief.")
    assert [item.type for item in response.output] == ["message"]
    sent = home.stub.requests[-1]["messages"]
    assert sent == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    tools: Any = [{"type": "file_search", "vector_store_ids": [await store_id(home)]}]
    assert (await whole(home, model="stub", tools=tools)).output[0].type == "file_search_call"
    assert [item.type for item in (await whole(home, model="stub", tools=tools, tool_choice="none")).output] == [
        "message"
    ]


async def test_no_evidence_is_refused_and_flagged(home: House) -> None:
    response = await whole(home, input=OFF_TOPIC, extra_body={"ragpod": {"min_score": 1.0}})
    assert (response.model_extra or {})["ragpod"]["no_evidence"] is True
    assert response.output_text
    assert home.stub.requests == []


async def test_an_answer_that_is_cut_short_is_incomplete(home: House) -> None:
    home.stub.script("배송은", Finish("length"))
    response = await whole(home, max_output_tokens=16)
    assert (response.status, response.output[-1].status) == ("incomplete", "incomplete")  # type: ignore[union-attr]
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert home.stub.requests[-1]["max_tokens"] == 16


async def test_store_false_keeps_nothing(home: House) -> None:
    response = await whole(home, store=False)
    with pytest.raises(openai.NotFoundError):
        await home.openai.responses.retrieve(response.id)


async def test_input_items_are_listed_page_by_page(home: House) -> None:
    items: Any = [{"role": "user", "content": f"질문 {n}"} for n in range(5)]
    response = await whole(home, input=items)
    for order, first in (("asc", "질문 0"), ("desc", "질문 4")):
        listed = [item async for item in home.openai.responses.input_items.list(response.id, limit=2, order=order)]
        assert len({item.id for item in listed}) == 5
        assert listed[0].content[0].text == first  # type: ignore[union-attr,index]


async def test_cancelling_a_synchronous_response_is_400_and_an_unknown_one_404(home: House) -> None:
    response = await whole(home)
    with pytest.raises(openai.BadRequestError):
        await home.openai.responses.cancel(response.id)
    with pytest.raises(openai.NotFoundError):
        await home.openai.responses.cancel("resp_nowhere")
    with pytest.raises(openai.BadRequestError):
        await home.openai.responses.retrieve(response.id, stream=True)


async def test_what_the_earlier_response_has_is_not_sent_again(home: House) -> None:
    first = await whole(home)
    given: Any = [*first.output, {"role": "user", "content": "왜요?"}]
    assert (await whole(home, input=given)).status == "completed"
    with pytest.raises(openai.BadRequestError, match="duplicate item"):
        await whole(home, input=given, previous_response_id=first.id)


async def test_truncation_leaves_early_turns_out_or_is_refused(home: House) -> None:
    turns = [{"role": role, "content": "word " * 900} for _ in range(4) for role in ("user", "assistant")]
    items: Any = [*turns, {"role": "user", "content": QUESTION}]
    for model, truncation in (("ragpod", "auto"), ("stub", "auto")):
        response = await whole(home, model=model, input=items, truncation=truncation)
        assert response.truncation == "auto"
        assert len(home.stub.requests[-1]["messages"]) < len(items)
    assert (await whole(home)).truncation == "auto"
    assert (await whole(home, model="stub", input=items)).truncation == "disabled"
    assert len(home.stub.requests[-1]["messages"]) == len(items)
    with pytest.raises(openai.BadRequestError) as caught:
        await whole(home, input=items, truncation="disabled")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


async def test_a_whole_response_names_its_trace_in_a_header_as_the_stream_does(home: House) -> None:
    raw = await home.openai.responses.with_raw_response.create(model="ragpod", input=QUESTION)
    told = raw.parse().model_extra or {}
    assert raw.headers["x-request-id"] == told["ragpod"]["trace_id"]


async def test_tokens_of_an_input_are_counted(home: House) -> None:
    home.stub.tokenize = 7
    assert (await home.openai.responses.input_tokens.count(model="ragpod", input=QUESTION)).input_tokens > 0


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        ({"temperature": 3}, "temperature"),
        ({"api_base": "http://127.0.0.1:1"}, "api_base"),
        ({"input": []}, "input"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["reasoning.encrypted_content"]}, "include[0]"),
        ({"previous_response_id": "resp_nowhere"}, "previous_response_id"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_nowhere"]}]}, "tools"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_name(home: House, change: dict[str, Any], param: str) -> None:
    status, body = await home.post("/v1/responses", {"model": "ragpod", "input": QUESTION} | change)
    assert status in (400, 404)
    assert body["error"]["param"] == param
    assert home.stub.requests == []


async def test_an_unknown_model_is_404(home: House) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await whole(home, model="gpt-5")
    assert caught.value.code == "model_not_found"


@pytest.fixture
async def two(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, keys={"mine": "default", "theirs": "other"}) as opened:
        yield opened


async def test_another_owners_response_is_unknown(two: House) -> None:
    mine = await whole(two)
    theirs = two.openai.with_options(api_key="theirs")
    body: Any = {"model": "stub", "input": "hi"}
    with pytest.raises(openai.NotFoundError):
        await theirs.responses.retrieve(mine.id)
    with pytest.raises(openai.NotFoundError):
        await theirs.responses.delete(mine.id)
    with pytest.raises(openai.NotFoundError):
        await theirs.responses.create(**body, previous_response_id=mine.id)
    with pytest.raises(openai.NotFoundError):
        await theirs.responses.create(model="stub", input=[{"type": "item_reference", "id": mine.output[-1].id or ""}])
    with pytest.raises(openai.NotFoundError):
        [item async for item in theirs.responses.input_items.list(mine.id)]
    assert (await two.openai.responses.retrieve(mine.id)).id == mine.id


@pytest.mark.engine
async def test_a_real_engine_answers_and_goes_on(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer, llama: Llama
) -> None:
    async with house(tmp_path / "data", embedder, tokenizer, real=llama) as home:
        await home.ingest("default", ENGLISH)
        first = await whole(home, input="What does a lambda expression create?", max_output_tokens=60)
        assert first.output_text
        second = await whole(home, input="What closes a file?", previous_response_id=first.id, max_output_tokens=60)
        assert second.output_text
        assert second.usage is not None
        assert second.usage.input_tokens > 50
