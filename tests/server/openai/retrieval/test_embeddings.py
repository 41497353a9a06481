"""POST /v1/embeddings through the official SDK and raw."""

import asyncio
import base64

import numpy as np
import openai
import pytest
from openai.types import CreateEmbeddingResponse

from models.embedders.batcher import Batcher
from models.embedders.e5 import E5Embedder
from tests.server.house import House

pytestmark = pytest.mark.house("module")


def token_ids(home: House, text: str) -> list[int]:
    assert isinstance(home.parts.library.embedder, E5Embedder)
    ids: list[int] = home.parts.library.embedder._tokenizer.encode(text, add_special_tokens=False).ids
    return ids


async def test_the_sdk_gets_unit_vectors_in_the_order_given(home: House) -> None:
    texts = ["배송은 며칠 걸리나요?", "lambda"]
    answer = await home.openai.embeddings.create(model="ragpod", input=texts, user="someone")
    vectors = np.array([row.embedding for row in answer.data], np.float32)
    assert [row.index for row in answer.data] == [0, 1]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    expected = (await home.parts.library.embedder.embed_queries(texts)).dense
    np.testing.assert_allclose(vectors, expected, atol=1e-3)


async def test_the_answer_is_valid_under_the_sdks_own_type(home: House) -> None:
    _, answer = await home.post("/v1/embeddings", {"model": "ragpod", "input": ["lambda"]})
    CreateEmbeddingResponse.model_validate(answer, strict=True)


async def test_usage_counts_the_tokens_that_were_embedded(home: House) -> None:
    texts = ["배송은 며칠 걸리나요?", "lambda expression"]
    counts = [len(home.parts.library.embedder.token_spans(text)) for text in texts]
    answer = await home.openai.embeddings.create(model="ragpod", input=texts)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (sum(counts), sum(counts))
    _, cut = await home.post("/v1/embeddings", {"model": "ragpod", "input": "word " * 3000, "truncate": True})
    assert cut["usage"]["total_tokens"] < home.parts.library.embedder.max_tokens


async def test_token_ids_of_its_vocabulary_are_embedded_as_their_text(home: House) -> None:
    texts = ["배송은 며칠 걸리나요?", "the with statement closes a file"]
    ids = [token_ids(home, text) for text in texts]
    by_text = await home.openai.embeddings.create(model="ragpod", input=texts)
    by_ids = await home.openai.embeddings.create(model="ragpod", input=ids)
    alone = await home.openai.embeddings.create(model="ragpod", input=ids[1])
    expected = np.array([row.embedding for row in by_text.data])
    np.testing.assert_allclose(np.array([row.embedding for row in by_ids.data]), expected, atol=1e-2)
    np.testing.assert_allclose(np.array(alone.data[0].embedding), expected[1], atol=1e-2)
    assert by_ids.usage.prompt_tokens == sum(map(len, ids))


async def test_special_ids_stand_for_nothing(home: House) -> None:
    ids = token_ids(home, "lambda expression")
    plain = await home.openai.embeddings.create(model="ragpod", input=ids)
    marked = await home.openai.embeddings.create(model="ragpod", input=[0, *ids, 2])
    assert marked.data[0].embedding == plain.data[0].embedding


async def test_floats_and_base64_are_the_same_numbers(home: House) -> None:
    body = {"model": home.parts.library.embedder.name, "input": "lambda"}
    _, floats = await home.post("/v1/embeddings", body)
    _, packed = await home.post("/v1/embeddings", body | {"encoding_format": "base64"})
    decoded = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(decoded, np.array(floats["data"][0]["embedding"], np.float32))


async def test_fewer_dimensions_are_normalised_again(home: House) -> None:
    _, answer = await home.post("/v1/embeddings", {"model": "ragpod", "input": "lambda", "dimensions": 64})
    vector = np.array(answer["data"][0]["embedding"])
    assert vector.shape == (64,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


async def test_documents_and_queries_are_embedded_each_in_its_role(home: House) -> None:
    _, query = await home.post("/v1/embeddings", {"model": "ragpod", "input": "lambda"})
    _, document = await home.post("/v1/embeddings", {"model": "ragpod", "input": "lambda", "input_type": "document"})
    assert query["data"][0]["embedding"] != document["data"][0]["embedding"]


async def test_many_callers_share_forward_passes(home: House) -> None:
    assert isinstance(home.parts.library.embedder, E5Embedder)
    batcher: Batcher[object, object] = home.parts.library.embedder._batcher  # type: ignore[assignment]
    passes, items = batcher.passes, batcher.items
    texts = [f"question number {i}" for i in range(48)]
    answers = await asyncio.gather(*[home.openai.embeddings.create(model="ragpod", input=text) for text in texts])
    assert batcher.items - items == len(texts)
    assert batcher.passes - passes <= len(texts) // 2
    expected = (await home.parts.library.embedder.embed_queries(texts)).dense
    found = np.array([answer.data[0].embedding for answer in answers])
    assert (found @ expected.T).argmax(axis=1).tolist() == list(range(len(texts)))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [250_002_000]}, "input"),
        ({"input": [[5], [6, -1]]}, "input[1]"),
        ({"input": [0, 2]}, "input"),
        ({"input": ["a", "word " * 3000]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"dimensions": 10_000}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"api_base": "http://x"}, "api_base"),
    ],
)
async def test_a_bad_request_names_its_parameter(home: House, change: dict[str, object], param: str) -> None:
    status, body = await home.post("/v1/embeddings", {"model": "ragpod", "input": "x"} | change)
    assert (status, body["error"]["param"]) == (400, param)


async def test_an_unknown_model_is_404(home: House) -> None:
    with pytest.raises(openai.NotFoundError):
        await home.openai.embeddings.create(model="text-embedding-3-small", input="x")
