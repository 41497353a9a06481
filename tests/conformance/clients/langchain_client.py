"""LangChain's OpenAI classes: langchain_client.py URL KEY STORE, a store that has documents."""

import json
import sys
import urllib.request
from importlib.metadata import version
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel
from report import cosine, doing, told

SUITE = f"langchain-openai {version('langchain-openai')}"
QUESTION = "배송은 며칠 걸리나요?"


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def engine_of(url: str, key: str) -> str:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        return str(next(card["id"] for card in json.load(answer)["data"] if card["owned_by"] == "engine"))


def chat(url: str, key: str, store: str) -> None:
    common: Any = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0, "timeout": 120}
    model = ChatOpenAI(model=f"ragpod:{store}", stream_usage=True, **common)
    engine = ChatOpenAI(model=engine_of(url, key), max_completion_tokens=128, temperature=0, **common)
    with doing(SUITE, "ChatOpenAI.invoke"):
        answer = model.invoke([SystemMessage("Answer in Korean."), HumanMessage(QUESTION)])
        assert "이틀" in answer.text
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["input_tokens"] > 0
        assert answer.response_metadata["finish_reason"] == "stop"
    with doing(SUITE, "ChatOpenAI.stream"):
        chunks = list(model.stream(QUESTION))
        assert "이틀" in "".join(chunk.text for chunk in chunks)
        assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1
    with doing(SUITE, "ChatOpenAI.bind_tools"):
        called = model.bind_tools([get_weather], tool_choice="get_weather").invoke("What is the weather in Seoul?")
        assert called.tool_calls[0]["name"] == "get_weather"
        assert "city" in called.tool_calls[0]["args"]
    with doing(SUITE, "ChatOpenAI.with_structured_output"):
        city: Any = engine.with_structured_output(City, method="json_schema").invoke("Tell me of Seoul.")
        assert isinstance(city, City)
    with doing(SUITE, "ChatOpenAI over the Responses API"):
        over = ChatOpenAI(model=f"ragpod:{store}", use_responses_api=True, **common)
        assert "이틀" in over.invoke(QUESTION).text


def embeddings(url: str, key: str) -> None:
    common: Any = {"base_url": f"{url}/v1", "api_key": key, "model": "ragpod"}
    plain = OpenAIEmbeddings(check_embedding_ctx_length=False, **common)
    with doing(SUITE, "OpenAIEmbeddings, texts"):
        documents = plain.embed_documents([QUESTION, "password"])
        assert len(documents) == 2
        assert cosine(plain.embed_query(QUESTION), documents[0]) > 0.99
    default = OpenAIEmbeddings(**common)
    remark = "it sends ids of OpenAI's cl100k_base, other words in our vocabulary: set check_embedding_ctx_length=False"
    try:
        same = cosine(default.embed_query(QUESTION), plain.embed_query(QUESTION)) > 0.99
        told(SUITE, "OpenAIEmbeddings, token ids (its default)", "passed" if same else "differs", remark)
    except Exception as error:
        told(SUITE, "OpenAIEmbeddings, token ids (its default)", "refused", f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    chat(*sys.argv[1:4])
    embeddings(*sys.argv[1:3])
