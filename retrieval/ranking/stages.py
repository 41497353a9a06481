"""The two rerank stages over one query's candidates: late interaction, then the learned order or a cross-encoder."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.base import FloatArray, Reranker
from models.errors import Unavailable
from models.rerankers.late_interaction import maxsim
from retrieval.clock import Clock
from retrieval.ranking.features import Candidates, Query
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.rerank import Positions, RerankStage
from retrieval.store.base.values import Passage
from retrieval.types import indexed_text

STAGE_1_KEEPS = 30
STAGE_2_KEEPS = 12

MaxSim = Callable[[FloatArray, Sequence[bytes]], FloatArray]


@dataclass(frozen=True, slots=True)
class RerankPlan:
    """What the stages are made of.

    reranker: a cross-encoder for stage 2; None: the ranker's learned order. late_interaction: MaxSim over stored codes.
    seconds: latency budget of both stages together; 0 runs none. margin: stage 2 is not run where the best passage's
    probability after stage 1 leads the next one's by this much; None: always run.
    """

    ranker: Ranker
    reranker: Reranker | None = None
    late_interaction: MaxSim = maxsim
    seconds: float = 1.0
    margin: float | None = None

    @property
    def floor(self) -> float:
        """The default no-answer threshold on the calibrated score."""
        return self.ranker.floor


class Stages:
    """Scores by stage over all n candidates; stage 2 reads what stage 1 has found."""

    def __init__(
        self,
        plan: RerankPlan,
        text: str,
        tokens: FloatArray,
        passages: Sequence[Passage],
        query: Query,
        candidates: Candidates,
        fused: FloatArray,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._text = text
        self._tokens = tokens
        self._passages = passages
        self._query = query
        self._candidates = candidates
        self._clock = clock
        self._orders: dict[str, FloatArray] = {"fused": fused}
        # Of the cross-encoder: (n,), NaN for a candidate that it has not read.
        self._read: FloatArray | None = None

    def of(self, keep: int) -> list[RerankStage]:
        """Stage 2 is left out where there is neither a cross-encoder nor a learned order for this embedder."""
        first = RerankStage("rerank1", self._late_interaction, max(STAGE_1_KEEPS, keep))
        if self._plan.reranker is None and "rerank2" not in self._plan.ranker.stages:
            return [first]
        second = self._cross_encoder if self._plan.reranker else self._learned
        return [first, RerankStage("rerank2", second, max(STAGE_2_KEEPS, keep), self._needless)]

    async def _late_interaction(self, positions: Positions) -> FloatArray:
        if not self._tokens.shape[1]:
            raise Unavailable("the embedder of these vectors is not loaded here")
        with self._clock.stage("rerank1"):
            codes = [passage.token_code for passage in self._passages]
            late = await asyncio.to_thread(self._plan.late_interaction, self._tokens, codes)
            self._candidates = replace(self._candidates, scores={**self._candidates.scores, "late": late})
            return self._order("rerank1")[positions]

    def _needless(self) -> str | None:
        if self._plan.margin is None or "rerank1" not in self._orders:
            return None
        best = np.sort(self.probability("rerank1"))[::-1]
        lead = float(best[0] - best[1]) if len(best) > 1 else 0.0
        return f"the first passage leads by {lead:.2f}" if lead >= self._plan.margin else None

    async def _learned(self, positions: Positions) -> FloatArray:
        if "late" not in self._candidates.scores:
            raise Unavailable("it builds on the stage before it")
        with self._clock.stage("rerank2"):
            return self._order("rerank2")[positions]

    async def _cross_encoder(self, positions: Positions) -> FloatArray:
        assert self._plan.reranker is not None
        chunks = [self._passages[i].chunk for i in positions]
        texts = [indexed_text(chunk.title, chunk.headings, chunk.text, chunk.blocks) for chunk in chunks]
        with self._clock.stage("rerank2"):
            logits = await self._plan.reranker.score(self._text, texts)
        read = np.full(len(self._passages), np.nan, np.float32)
        read[positions] = self._plan.reranker.probability(logits)
        self._read = read
        return logits

    def _order(self, stage: str) -> FloatArray:
        self._orders[stage] = self._plan.ranker.stages[stage].order(self._candidates)
        return self._orders[stage]

    def probability(self, stage: str) -> FloatArray:
        """(n,) in 0..1 by `stage`. What a cross-encoder has not read stands no higher than the least that it has."""
        if stage == "rerank2" and self._read is not None:
            before = self.probability("rerank1" if "rerank1" in self._orders else "fused")
            return np.where(np.isnan(self._read), np.minimum(before, np.nanmin(self._read)), self._read)
        ranker = self._plan.ranker.stages[stage]
        return ranker.probability(self._orders[stage], self._query, self._candidates)

    def scores(self) -> list[dict[str, float]]:
        """Each candidate's own scores, only those it was given; rerank1 is the late interaction itself."""
        columns = {name: scores for name, scores in self._candidates.scores.items() if name != "late"}
        columns["fused"] = self._orders["fused"]
        if "late" in self._candidates.scores:
            columns["rerank1"] = self._candidates.scores["late"]
        if self._read is not None:
            columns["rerank2"] = self._read
        elif "rerank2" in self._orders:
            columns["rerank2"] = self.probability("rerank2")
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [{name: value for name, value in zip(columns, row, strict=True) if value == value} for row in rows]
