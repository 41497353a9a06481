"""Passages that an embedder would cut."""

from collections.abc import Iterator

import numpy as np
import pytest

from models.base import Embedding
from models.embedders.e5 import E5Embedder
from models.rerankers.late_interaction import encode
from retrieval.passages.windows import joined, passage_vectors, windows

LONG = "The otter 수달 swims along the river bank. " * 200


@pytest.fixture(scope="module")
def e5() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load(threads=1)
    yield loaded
    loaded.close()


@pytest.mark.parametrize("text", ["", "short", LONG, "x" * 5000, "👍" * 3000, "가나다 " * 2000])
def test_windows_join_to_the_text_and_each_fits(e5: E5Embedder, text: str) -> None:
    cut = windows(text, e5)
    assert "".join(cut) == text
    assert all(len(e5.token_spans(window)) <= e5.max_tokens - 6 for window in cut)


async def test_a_passage_that_fits_keeps_its_vectors(e5: E5Embedder) -> None:
    texts = ["The heron nests.", "왜가리"]
    dense, codes, weights = await passage_vectors(e5, texts)
    plain = await e5.embed_documents(texts, tokens=True)
    np.testing.assert_allclose(dense, plain.dense, atol=1e-2)
    assert len(codes) == 2
    assert weights is None


async def test_a_long_passage_has_the_token_vectors_of_all_its_windows(e5: E5Embedder) -> None:
    cut = windows(LONG, e5)
    assert len(cut) > 2
    dense, (code,), _ = await passage_vectors(e5, [LONG])
    parts = await e5.embed_documents(cut, tokens=True)
    assert parts.tokens is not None
    assert len(code) == len(encode(np.concatenate(parts.tokens)))
    assert np.linalg.norm(dense[0]) == pytest.approx(1, abs=1e-5)
    assert min(parts.dense @ dense[0]) > 0.8


def test_windows_weigh_by_their_tokens_and_lexical_weights_by_the_greatest() -> None:
    unit = np.eye(2, dtype=np.float32)
    embedding = Embedding(
        dense=np.concatenate([unit, unit[:1]]),
        sparse=[{1: 0.5, 2: 0.25}, {1: 0.125, 3: 1.0}, {4: 1.0}],
        tokens=[np.ones((3, 2), np.float32), np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)],
    )
    whole = joined(embedding, [2, 1])
    np.testing.assert_allclose(whole.dense, [[3 / np.sqrt(10), 1 / np.sqrt(10)], [1, 0]], rtol=1e-6)
    assert whole.sparse == [{1: 0.5, 2: 0.25, 3: 1.0}, {4: 1.0}]
    assert whole.tokens is not None
    assert [len(rows) for rows in whole.tokens] == [4, 2]
