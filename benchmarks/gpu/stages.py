"""The rerank stages on 20, 50 and 100 candidates, for 1 and for 8 users: late interaction, then the cross-encoder.

    python -m benchmarks.gpu.stages [--candidates 20,50,100] [--tokens 256] [--users 1,8] [--small]

What a question costs on the models once its candidates are known: its own vectors, stage 1 over the stored 4-bit token
vectors (numpy on the CPU, torch on the device; and what it would cost to compute those vectors at query time), stage 2
on as many passages, and both as the server runs them: stage 1 on all, stage 2 on the 30 that it keeps. Random weights
of the real shapes, passages of --tokens tokens, a question of 16. Last line: JSON.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu import checkpoints
from benchmarks.gpu.device import Device
from benchmarks.harness import Effort, Spread, alternated, note, options, report
from models.base import FloatArray
from models.embedders.bge_m3 import BgeM3Embedder
from models.rerankers.cross_encoder import CrossEncoderReranker
from models.rerankers.late_interaction import encode, maxsim
from models.rerankers.late_interaction_torch import maxsim_on
from retrieval.ranking.stages import STAGE_1_KEEPS

QUESTION = 16  # tokens
MaxSim = Callable[[FloatArray, Sequence[bytes]], FloatArray]
Stage = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Row:
    """p50_ms, p95_ms: until all users have their answer."""

    stage: str
    candidates: int | None
    users: int
    p50_ms: float
    p95_ms: float
    candidates_s: float | None
    repeats: int


@dataclass(frozen=True, slots=True)
class Passages:
    """One question's candidates: their texts and the codes of their token vectors."""

    question: str
    texts: list[str]
    codes: list[bytes]

    def first(self, count: int) -> "Passages":
        return Passages(self.question, self.texts[:count], self.codes[:count])


class Models:
    def __init__(self, given: argparse.Namespace, device: Device) -> None:
        shape = checkpoints.SMALL if given.small else checkpoints.LARGE
        self.checkpoint = checkpoints.embedder(given.checkpoints, shape, given.seed)
        self.embedder = BgeM3Embedder.load(str(self.checkpoint), device=device.name)
        reranker = checkpoints.reranker(given.checkpoints, shape, given.seed)
        self.reranker = CrossEncoderReranker.load(str(reranker), device=device.name)
        self.on_device: MaxSim = maxsim_on(device.name)

    def passages(self, count: int, tokens: int, seed: int) -> Passages:
        """Token vectors are random: what they are changes nothing in what they cost."""
        question, *texts = checkpoints.texts(self.checkpoint, [QUESTION] + [tokens] * count, seed)
        rng = np.random.default_rng(seed)
        return Passages(question, texts, [encode(self._unit(rng, tokens - 1)) for _ in texts])

    def _unit(self, rng: np.random.Generator, rows: int) -> FloatArray:
        vectors = rng.standard_normal((rows, self.embedder.dim), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    async def query(self, question: str) -> FloatArray:
        """(t, dim) token vectors; the dense vector and the weights come with them."""
        embedding = await self.embedder.embed_queries([question], tokens=True)
        assert embedding.tokens is not None
        return embedding.tokens[0]

    async def late(self, score: MaxSim, tokens: FloatArray, passages: Passages) -> FloatArray:
        return await asyncio.to_thread(score, tokens, passages.codes)

    async def late_unstored(self, tokens: FloatArray, passages: Passages) -> FloatArray:
        embedding = await self.embedder.embed_documents(passages.texts, tokens=True)
        return np.array([(tokens @ rows.T).max(axis=1).mean() for rows in embedding.tokens or ()], np.float32)

    async def cross(self, passages: Passages) -> FloatArray:
        return await self.reranker.score(passages.question, passages.texts)

    async def both(self, passages: Passages) -> FloatArray:
        """Question in, order out: the pipeline's two stages with the question's own pass before them."""
        tokens = await self.query(passages.question)
        order = np.argsort(-await self.late(self.on_device, tokens, passages))[:STAGE_1_KEEPS]
        return await self.reranker.score(passages.question, [passages.texts[i] for i in order])

    def close(self, loop: asyncio.Runner) -> None:
        self.embedder.close()
        loop.run(self.reranker.aclose())


def measure(models: Models, passages: Passages, given: argparse.Namespace, loop: asyncio.Runner) -> list[Row]:
    tokens = loop.run(models.query(passages.question))
    effort = Effort(repeats=3 if given.small else 30, warm_up=1, seconds=8.0 if given.brief else 15.0)
    rows: list[Row] = []
    for users in (int(count) for count in given.users.split(",")):
        stages: dict[tuple[str, int | None], Stage] = {
            ("question: vectors and weights", None): lambda: models.query(passages.question)
        }
        for count in (int(number) for number in given.candidates.split(",")):
            stages |= _stages(models, tokens, passages.first(count), count)
        runs = {f"{name}|{count or ''}": _together(stage, users, loop) for (name, count), stage in stages.items()}
        for (name, count), seconds in zip(stages, alternated(runs, effort).values(), strict=True):
            spread = Spread.of(seconds)
            rate = round(count * users / spread.p50 * 1000, 1) if count else None
            rows.append(Row(name, count, users, spread.p50, spread.p95, rate, spread.repeats))
            note(rows[-1])
    return rows


def _stages(models: Models, tokens: FloatArray, passages: Passages, count: int) -> dict[tuple[str, int | None], Stage]:
    return {
        ("stage 1, numpy", count): lambda: models.late(maxsim, tokens, passages),
        ("stage 1, torch", count): lambda: models.late(models.on_device, tokens, passages),
        ("stage 1, nothing stored", count): lambda: models.late_unstored(tokens, passages),
        ("stage 2, cross-encoder", count): lambda: models.cross(passages),
        (f"question, stage 1, stage 2 on {STAGE_1_KEEPS}", count): lambda: models.both(passages),
    }


def _together(stage: Stage, users: int, loop: asyncio.Runner) -> Callable[[], object]:
    async def run() -> None:
        await asyncio.gather(*(stage() for _ in range(users)))

    return lambda: loop.run(run())


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--candidates", default=None, help="20,50,100")
    parser.add_argument("--tokens", type=int, default=None, help="of a passage")
    parser.add_argument("--users", default="1,8")
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given, device = parser.parse_args(), Device.find()
    given.candidates = given.candidates or ("8,16" if given.small else "30,100" if given.brief else "20,50,100")
    given.tokens = given.tokens or (64 if given.small else 256)
    models = Models(given, device)
    most = max(int(number) for number in given.candidates.split(","))
    with asyncio.Runner() as loop:
        rows = measure(models, models.passages(most, given.tokens, given.seed), given, loop)
        models.close(loop)
    report("gpu.stages", given, rows, device=device.name, dtype=device.dtype, memory_gib=device.memory_gib())


if __name__ == "__main__":
    main()
