"""The tour with the official Python SDK: python_sdk.py URL KEY. The synchronous client, and in short the other one."""

import asyncio
import base64
import json
import sys
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from report import cosine, doing, refused

SUITE = f"openai-python {openai.__version__}"
DELIVERY = "# 배송\n\n배송은 결제 후 이틀 안에 도착합니다. 제주도는 나흘이 걸립니다.\n"
RETURNS = "# 반품\n\n반품은 물건을 받은 날부터 7일 안에 신청할 수 있습니다. 반품 배송비는 3000원입니다.\n"
LOGIN = "# Password\n\nThe password is changed in the settings, under security. It needs twelve characters.\n"
QUESTION = "배송은 며칠 걸리나요?"
ASKED: Any = [{"role": "user", "content": QUESTION}]
COUNT: Any = [{"role": "user", "content": "Count from 1 to 20."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(BaseModel):
    name: str
    inhabitants: int


class Tour:
    """Each stop uses what the stops before it made."""

    def __init__(self, url: str, key: str) -> None:
        self.client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)
        self.stranger = OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)

    def run(self) -> None:
        for name in (
            "models", "files", "stores", "store_files", "batches", "search",
            "chat", "chat_stream", "chat_stream_helper", "chat_over_engine", "tools", "structured_output",
            "embeddings", "responses", "responses_stream", "responses_conversation", "responses_functions",
            "raw_responses", "errors", "deletes",
        ):  # fmt: skip
            with doing(SUITE, name.replace("_", " ")):
                getattr(self, name)()

    def models(self) -> None:
        cards = list(self.client.models.list())
        assert {"ragpod"} < {card.id for card in cards}
        self.engine = next(card.id for card in cards if card.owned_by == "engine")
        assert self.client.models.retrieve("ragpod").id == "ragpod"

    def files(self) -> None:
        self.file = self.client.files.create(file=("delivery.md", DELIVERY.encode()), purpose="assistants")
        assert (self.file.object, self.file.bytes, self.file.filename) == (
            "file",
            len(DELIVERY.encode()),
            "delivery.md",
        )
        assert self.client.files.retrieve(self.file.id).purpose == "assistants"
        assert self.file.id in {file.id for file in self.client.files.list(purpose="assistants")}
        assert self.client.files.content(self.file.id).text == DELIVERY
        assert self.client.files.wait_for_processing(self.file.id).id == self.file.id

    def stores(self) -> None:
        self.store = self.client.vector_stores.create(name="tour", metadata={"made_by": "tour"})
        assert self.store.file_counts.total == 0
        changed = self.client.vector_stores.update(self.store.id, name="tour", metadata={"made_by": "the tour"})
        assert changed.metadata == {"made_by": "the tour"}
        assert self.store.id in {store.id for store in self.client.vector_stores.list(limit=1)}

    def store_files(self) -> None:
        files = self.client.vector_stores.files
        added = files.create_and_poll(
            self.file.id, vector_store_id=self.store.id, attributes={"topic": "delivery", "year": 2026}
        )
        assert (added.status, added.last_error) == ("completed", None)
        assert added.attributes == {"topic": "delivery", "year": 2026}
        changed = files.update(
            self.file.id, vector_store_id=self.store.id, attributes={"topic": "delivery", "new": True}
        )
        assert changed.attributes == {"topic": "delivery", "new": True}
        assert "이틀" in "".join(part.text or "" for part in files.content(self.file.id, vector_store_id=self.store.id))
        assert [file.id for file in files.list(self.store.id, filter="completed")] == [self.file.id]
        assert self.client.vector_stores.retrieve(self.store.id).file_counts.completed == 1

    def batches(self) -> None:
        batches = self.client.vector_stores.file_batches
        done = batches.upload_and_poll(
            self.store.id, files=[("returns.md", RETURNS.encode()), ("login.md", LOGIN.encode())]
        )
        assert (done.status, done.file_counts.completed, done.file_counts.failed) == ("completed", 2, 0)
        assert batches.retrieve(done.id, vector_store_id=self.store.id).status == "completed"
        assert len(list(batches.list_files(done.id, vector_store_id=self.store.id))) == 2

    def search(self) -> None:
        found = self.client.vector_stores.search(
            self.store.id, query=QUESTION, max_num_results=2, ranking_options={"score_threshold": 0.0}
        ).data
        assert (found[0].file_id, found[0].filename) == (self.file.id, "delivery.md")
        assert found[0].score >= found[-1].score
        assert "이틀" in found[0].content[0].text
        filtered: Any = {"type": "eq", "key": "topic", "value": "delivery"}
        only = self.client.vector_stores.search(self.store.id, query="password", filters=filtered).data
        assert {hit.file_id for hit in only} <= {self.file.id}

    def chat(self) -> None:
        answer = self.client.chat.completions.create(model="ragpod:tour", messages=ASKED)
        message = answer.choices[0].message
        extra = message.model_extra or {}
        assert "이틀" in (message.content or "")
        assert extra["context"]["citations"][0]["filepath"] == "delivery.md", extra
        assert message.annotations is not None
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
        self.text = message.content

    def chat_stream(self) -> None:
        stream = self.client.chat.completions.create(
            model="ragpod:tour", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == self.text
        assert (last.choices, last.usage is None) == ([], False)
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert len({chunk.id for chunk in [*chunks, last]}) == 1

    def chat_stream_helper(self) -> None:
        with self.client.chat.completions.stream(model="ragpod:tour", messages=ASKED) as stream:
            kinds = {event.type for event in stream}
            answer = stream.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} <= kinds
        assert answer.choices[0].message.content == self.text

    def chat_over_engine(self) -> None:
        answer = self.client.chat.completions.create(
            model=self.engine, messages=COUNT, max_completion_tokens=12, temperature=0, seed=1, n=2, logprobs=True
        )
        assert len(answer.choices) == 2
        assert answer.choices[0].finish_reason == "length"
        assert answer.choices[0].logprobs is not None
        assert answer.choices[0].logprobs.content

    def tools(self) -> None:
        asked: Any = [{"role": "user", "content": "What is the weather in Seoul?"}]
        answer = self.client.chat.completions.create(
            model="ragpod:tour", messages=asked, tools=[WEATHER], tool_choice="required"
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        call: Any = (answer.choices[0].message.tool_calls or [])[0]
        assert (call.type, call.function.name) == ("function", "get_weather")
        assert "city" in json.loads(call.function.arguments)
        returned = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees."}
        history = [*asked, answer.choices[0].message.model_dump(exclude_none=True), returned]
        told = self.client.chat.completions.create(model="ragpod:tour", messages=history)
        assert told.choices[0].message.content

    def structured_output(self) -> None:
        told: Any = self.client.chat.completions.parse(
            model=self.engine,
            messages=[{"role": "user", "content": "Seoul as JSON."}],
            response_format=City,
            max_tokens=200,
        )
        assert isinstance(told.choices[0].message.parsed, City)

    def embeddings(self) -> None:
        both = self.client.embeddings.create(model="ragpod", input=[QUESTION, "password"])
        floats = self.client.embeddings.create(model="ragpod", input=[QUESTION, "password"], encoding_format="float")
        assert [row.index for row in both.data] == [0, 1]
        assert cosine(both.data[0].embedding, floats.data[0].embedding) > 0.9999
        raw = self.client.embeddings.with_raw_response.create(model="ragpod", input=QUESTION, encoding_format="base64")
        first = json.loads(raw.content)["data"][0]["embedding"]
        assert len(base64.b64decode(first)) == 4 * len(both.data[0].embedding)
        assert both.usage.prompt_tokens > 0

    def _ask(self, **more: Any) -> Any:
        tool = {"type": "file_search", "vector_store_ids": [self.store.id], "max_num_results": 3}
        return self.client.responses.create(model="ragpod", input=QUESTION, tools=[tool], **more)

    def responses(self) -> None:
        told = self._ask(include=["file_search_call.results"])
        self.response = told
        assert (told.status, told.error) == ("completed", None)
        call = next(item for item in told.output if item.type == "file_search_call")
        assert call.status == "completed"
        assert call.results[0].file_id == self.file.id
        assert told.output_text
        notes = [
            note for item in told.output if item.type == "message" for part in item.content for note in part.annotations
        ]
        assert {note.type for note in notes} == {"file_citation"}
        assert self.file.id in {note.file_id for note in notes}
        assert told.usage.total_tokens == told.usage.input_tokens + told.usage.output_tokens > 0
        assert self.client.responses.retrieve(told.id).output_text == told.output_text
        assert [item.role for item in self.client.responses.input_items.list(told.id)] == ["user"]

    def responses_stream(self) -> None:
        events = list(self._ask(stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text == events[-1].response.output_text == self.response.output_text
        kinds = {event.type for event in events}
        assert {"response.file_search_call.completed", "response.output_text.annotation.added"} <= kinds
        tool: Any = {"type": "file_search", "vector_store_ids": [self.store.id]}
        with self.client.responses.stream(model="ragpod", input=QUESTION, tools=[tool]) as stream:
            assert stream.get_final_response().output_text == text

    def responses_conversation(self) -> None:
        told = self.client.responses.create(
            model="ragpod", input="제주도는요?", previous_response_id=self.response.id, instructions="Answer briefly."
        )
        assert told.previous_response_id == self.response.id
        self.client.responses.delete(told.id)
        with refused(openai.NotFoundError, 404):
            self.client.responses.retrieve(told.id)

    def responses_functions(self) -> None:
        tool: Any = {"type": "function", "strict": False} | WEATHER["function"]
        told = self.client.responses.create(
            model="ragpod:tour", input="What is the weather in Seoul?", tools=[tool], tool_choice="required"
        )
        call = next(item for item in told.output if item.type == "function_call")
        assert call.name == "get_weather"
        assert "city" in json.loads(call.arguments)

    def raw_responses(self) -> None:
        raw = self.client.chat.completions.with_raw_response.create(model="ragpod:tour", messages=ASKED)
        assert raw.headers["x-request-id"]
        assert raw.parse().choices[0].message.content == self.text
        with self.client.chat.completions.with_streaming_response.create(
            model="ragpod:tour", messages=ASKED, stream=True
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert "data: [DONE]" in list(response.iter_lines())

    def errors(self) -> None:
        chat = self.client.chat.completions
        with refused(openai.BadRequestError, 400):
            chat.create(model="ragpod", messages=[])
        with refused(openai.BadRequestError, 400):
            chat.create(model="ragpod", messages=ASKED, temperature=9)
        with refused(openai.AuthenticationError, 401, "invalid_api_key"):
            self.stranger.models.list()
        with refused(openai.NotFoundError, 404, "model_not_found"):
            chat.create(model="gpt-4o", messages=ASKED)
        with refused(openai.NotFoundError, 404):
            self.client.vector_stores.retrieve("vs_nobodys")
        with refused(openai.APIStatusError, 413):
            self.client.files.create(file=("big.txt", b"x" * 300_000), purpose="assistants")

    def deletes(self) -> None:
        files = [file.id for file in self.client.vector_stores.files.list(self.store.id)]
        assert len(files) == 3
        assert self.client.vector_stores.files.delete(files[0], vector_store_id=self.store.id).deleted
        assert self.client.vector_stores.delete(self.store.id).deleted
        for file in files:
            assert self.client.files.delete(file).deleted
        with refused(openai.NotFoundError, 404):
            self.client.files.retrieve(self.file.id)
        with refused(openai.NotFoundError, 404):
            self.client.vector_stores.search(self.store.id, query=QUESTION)


async def asynchronous(url: str, key: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120) as client:
        store = await client.vector_stores.create(name="async-tour")
        added = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("delivery.md", DELIVERY.encode())
        )
        assert added.status == "completed"

        async def ask() -> str:
            stream = await client.chat.completions.create(model="ragpod:async-tour", messages=ASKED, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        first, second = await asyncio.gather(ask(), ask())
        assert first == second
        assert "이틀" in first
        stream = await client.chat.completions.create(model="ragpod:async-tour", messages=ASKED, stream=True)
        async for _ in stream:
            break
        await stream.close()
        hits = [hit async for hit in client.vector_stores.search(store.id, query=QUESTION)]
        assert hits[0].file_id == added.id
        assert (await client.files.delete(added.id)).deleted
        assert (await client.vector_stores.delete(store.id)).deleted


def main() -> None:
    url, key = sys.argv[1:3]
    Tour(url, key).run()
    with doing(SUITE, "asynchronous client"):
        asyncio.run(asynchronous(url, key))


if __name__ == "__main__":
    main()
