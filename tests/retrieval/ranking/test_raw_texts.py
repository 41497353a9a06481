from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.base import FloatArray
from models.embedders.e5 import E5Embedder
from retrieval.indexes.bm25 import Bm25Index
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.raw_texts import (
    CROSS,
    LATE,
    LEARNED,
    UnknownStages,
    bm25,
    inverse_frequency,
    known_stages,
    relevance,
)
from retrieval.ranking.stages import STAGE_1_KEEPS, RerankPlan

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
    scores = (await relevance(query, TEXTS, embedder, Tokenizer.load(), RerankPlan(Ranker.load()))).scores
    assert scores.shape == (3,)
    assert int(np.argmax(scores)) == best
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("texts", [[], ["only one"], ["", "  "], ["same", "same"]])
async def test_few_empty_and_equal_texts_are_ranked_too(embedder: E5Embedder, texts: list[str]) -> None:
    scores = (await relevance("a question", texts, embedder, Tokenizer.load(), RerankPlan(Ranker.load()))).scores
    assert scores.shape == (len(texts),)
    assert np.isfinite(scores).all()


class Backwards:
    """A cross-encoder that likes what stands last among the texts that it reads."""

    name = "backwards"

    def __init__(self) -> None:
        self.read: list[str] = []

    async def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        self.read += texts
        return np.arange(len(texts), dtype=np.float32)

    def probability(self, logits: FloatArray) -> FloatArray:
        return (logits + 1) / (len(logits) + 1)

    async def aclose(self) -> None: ...


async def test_each_stage_can_be_asked_for_alone_and_says_that_it_ran(embedder: E5Embedder) -> None:
    reranker = Backwards()
    plan = RerankPlan(Ranker.load(), reranker)
    found = {}
    for stages in known_stages(plan):
        found[stages] = await relevance(TEXTS[0], TEXTS, embedder, Tokenizer.load(), plan, stages)
        assert found[stages].stages == stages
    assert list(found) == [(LATE,), (LATE, LEARNED), (CROSS,), (LATE, CROSS)]
    assert int(np.argmax(found[LATE,].scores)) == int(np.argmax(found[LATE, LEARNED].scores)) == 0
    assert int(np.argmax(found[CROSS,].scores)) == 2
    with pytest.raises(UnknownStages, match="late_interaction"):
        await relevance("x", TEXTS, embedder, Tokenizer.load(), RerankPlan(Ranker.load()), [CROSS])


async def test_a_cross_encoder_behind_stage_1_reads_its_best_and_leads(embedder: E5Embedder) -> None:
    texts = [f"Number {i} is about something else." for i in range(STAGE_1_KEEPS + 10)] + [TEXTS[0]]
    reranker = Backwards()
    found = await relevance(TEXTS[0], texts, embedder, Tokenizer.load(), RerankPlan(Ranker.load(), reranker))
    assert found.stages == (LATE, CROSS)
    assert len(reranker.read) == STAGE_1_KEEPS
    assert reranker.read[0] == TEXTS[0]
    unread = [score for text, score in zip(texts, found.scores.tolist(), strict=True) if text not in reranker.read]
    assert len(unread) == 11
    assert max(unread) <= min(s for t, s in zip(texts, found.scores.tolist(), strict=True) if t in reranker.read)


def test_idf_and_bm25_are_the_lexical_legs_own(tmp_path: Path) -> None:
    words = [["a", "b", "b"], ["b", "c"], ["d", "e", "f", "g"]]
    index = Bm25Index(tmp_path / "bm25")
    index.apply(1, [(key, " ".join(text)) for key, text in enumerate(words)], [])
    weights = inverse_frequency(["a", "b", "z"], words)
    np.testing.assert_allclose(weights, index.frequencies(["a", "b", "z"]).idf(), rtol=1e-5)
    own = bm25(["b", "a"], dict(zip(["a", "b"], weights.tolist(), strict=False)), words)
    np.testing.assert_allclose(own, index.scores(["b", "a"], [0, 1, 2]), rtol=1e-4)
