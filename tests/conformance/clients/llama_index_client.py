"""LlamaIndex's OpenAI-like classes: llama_index_client.py URL KEY STORE, a store that has documents."""

import asyncio
import sys
from importlib.metadata import version
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from report import cosine, doing

SUITE = f"llama-index-llms-openai-like {version('llama-index-llms-openai-like')}"
QUESTION = "배송은 며칠 걸리나요?"


def main(url: str, key: str, store: str) -> None:
    common: Any = {"api_base": f"{url}/v1", "api_key": key, "max_retries": 0, "timeout": 120}
    model = OpenAILike(model=f"ragpod:{store}", is_chat_model=True, context_window=4096, **common)
    asked = [ChatMessage(role="user", content=QUESTION)]
    text = ""
    with doing(SUITE, "OpenAILike.chat"):
        text = str(model.chat(asked).message.content)
        assert "이틀" in text
    with doing(SUITE, "OpenAILike.complete"):
        assert model.complete(QUESTION).text == text
    with doing(SUITE, "OpenAILike.stream_chat"):
        assert "".join(piece.delta or "" for piece in model.stream_chat(asked)) == text
    with doing(SUITE, "OpenAILike.stream_complete"):
        assert list(model.stream_complete(QUESTION))[-1].text == text
    with doing(SUITE, "OpenAILike.achat"):
        assert asyncio.run(model.achat(asked)).message.content == text
    with doing(SUITE, "OpenAILikeEmbedding"):
        embedding = OpenAILikeEmbedding(model_name="ragpod", **common)
        one, many = embedding.get_text_embedding(QUESTION), embedding.get_text_embedding_batch([QUESTION, "password"])
        assert len(many) == 2
        assert cosine(one, many[0]) > 0.99


if __name__ == "__main__":
    main(*sys.argv[1:4])
