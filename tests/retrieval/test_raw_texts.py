from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.e5 import E5Embedder
from retrieval.bm25 import Bm25Index
from retrieval.ranker import Ranker
from retrieval.raw_texts import bm25, inverse_frequency, relevance
from retrieval.stages import Plan
from retrieval.tokenize import Tokenizer

TEXTS = [
    "Delivery takes two days, four on islands.",
    "Returns are free within a week of delivery.",
    "비밀번호는 보안 메뉴에서 바꿀 수 있습니다.",
]


@pytest.fixture(scope="module")
def embedder() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load(threads=1)
    yield loaded
    loaded.close()


@pytest.mark.parametrize(("query", "best"), [("How many days until it is delivered?", 0), ("비밀번호 변경", 2)])
async def test_the_text_that_answers_comes_first(embedder: E5Embedder, query: str, best: int) -> None:
    scores = await relevance(query, TEXTS, embedder, Tokenizer.load(), Plan(Ranker.load()))
    assert scores.shape == (3,)
    assert int(np.argmax(scores)) == best
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("texts", [[], ["only one"], ["", "  "], ["same", "same"]])
async def test_few_empty_and_equal_texts_are_ranked_too(embedder: E5Embedder, texts: list[str]) -> None:
    scores = await relevance("a question", texts, embedder, Tokenizer.load(), Plan(Ranker.load()))
    assert scores.shape == (len(texts),)
    assert np.isfinite(scores).all()


def test_idf_and_bm25_are_the_lexical_legs_own(tmp_path: Path) -> None:
    words = [["a", "b", "b"], ["b", "c"], ["d", "e", "f", "g"]]
    index = Bm25Index(tmp_path / "bm25")
    index.apply(1, [(key, " ".join(text)) for key, text in enumerate(words)], [])
    weights = inverse_frequency(["a", "b", "z"], words)
    np.testing.assert_allclose(weights, index.idf(["a", "b", "z"]), rtol=1e-5)
    own = bm25(["b", "a"], dict(zip(["a", "b"], weights.tolist(), strict=False)), words)
    np.testing.assert_allclose(own, index.scores(["b", "a"], [0, 1, 2]), rtol=1e-4)
