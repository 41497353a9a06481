import base64

import numpy as np
import openai
import pytest

from tests.server.house import House


async def test_the_sdk_gets_unit_vectors_in_the_order_given(home: House) -> None:
    texts = ["배송은 며칠 걸리나요?", "lambda"]
    answer = await home.openai.embeddings.create(model="ragpod", input=texts)
    vectors = np.array([row.embedding for row in answer.data], np.float32)
    assert [row.index for row in answer.data] == [0, 1]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    expected = (await home.state.embedder.embed_queries(texts)).dense
    np.testing.assert_allclose(vectors, expected, atol=1e-3)
    assert answer.usage.prompt_tokens > 5


async def test_floats_and_base64_are_the_same_numbers(home: House) -> None:
    body = {"model": home.state.embedder.name, "input": "lambda"}
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


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
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
