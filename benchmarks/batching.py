"""What sharing forward passes gains; what a small rerank request costs beside the libraries that run the same model.

    python -m benchmarks.batching [--shape small|e5|large] [--searches 32] [--pairs 4] [--threads N] [--small]

A search is a question's vectors and, where it says so, a cross-encoder's logits of some passages. First table: so many
searches one after another, by 8 users and all at once, in turns, through the same models. `gain` is in searches per
second; latencies are those of single searches; `bound_ms` is what all of them take one after another: none may wait
longer. Second table: one call with one small request: ours, FlagEmbedding's, sentence-transformers', in turns; `gain`
is ours over theirs. Questions alone are in benchmarks/encoders.py, full shapes in benchmarks/gpu. Random weights; the
first GPU where there is one. --threads: of torch on the CPU; on a machine that others use, 1 gives steadier figures.
Last line: JSON.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.gpu import checkpoints
from benchmarks.gpu.checkpoints import LARGE, SMALL, Shape
from benchmarks.gpu.device import Device
from benchmarks.gpu.libraries import rerankers
from benchmarks.harness import Effort, Spread, alternated, options, report, table
from models.embedders.bge_m3 import BgeM3Embedder
from models.rerankers.cross_encoder import CrossEncoderReranker
from models.torch.torch_device import import_torch

SHAPES = {"small": SMALL, "e5": Shape(hidden=384, layers=12, heads=12, tokens=512, spread=0.1), "large": LARGE}
REQUESTS = (1, 4, 16)  # pairs
QUESTION, PASSAGE = (8, 24), (40, 160)  # tokens, from and to


@dataclass(frozen=True, slots=True)
class Row:
    """passes: of either model, for all the searches. bound_ms: see above."""

    search: str
    at_once: int
    searches_s: float
    p50_ms: float
    p99_ms: float
    bound_ms: float
    passes: float
    gain: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Request:
    pairs: int
    path: str
    p50_ms: float
    p99_ms: float
    pairs_s: float
    gain: float
    repeats: int


class Models:
    """Both models, and the texts that are searched for."""

    def __init__(self, given: argparse.Namespace, shape: Shape, device: Device) -> None:
        embedder = checkpoints.embedder(given.checkpoints, shape, given.seed)
        self.checkpoint = checkpoints.reranker(given.checkpoints, shape, given.seed)
        self.embedder = BgeM3Embedder.load(str(embedder), device=device.name)
        self.reranker = CrossEncoderReranker.load(str(self.checkpoint), device=device.name)
        rng = random.Random(given.seed)
        texts = partial(checkpoints.texts, embedder)
        self.questions = texts([rng.randint(*QUESTION) for _ in range(given.searches)], given.seed)
        self.passages = texts(
            [rng.randint(*PASSAGE) for _ in range(max(given.pairs * given.searches, REQUESTS[-1]))], given.seed + 1
        )

    @property
    def passes(self) -> int:
        return self.embedder._batcher.passes + self.reranker._batcher.passes

    async def search(self, number: int, pairs: int) -> float:
        """Seconds of one search."""
        since = time.perf_counter()
        await self.embedder.embed_queries([self.questions[number]], tokens=True)
        if pairs:
            await self.reranker.score(self.questions[number], self.passages[number * pairs : (number + 1) * pairs])
        return time.perf_counter() - since

    async def searches(self, users: int, pairs: int) -> list[float]:
        """Every question once, by users of whom each searches for one after another."""
        numbers = iter(range(len(self.questions)))

        async def user() -> list[float]:
            return [await self.search(number, pairs) for number in numbers]

        return [seconds for one in await asyncio.gather(*(user() for _ in range(users))) for seconds in one]


class Round:
    """One run of all the searches by so many users, and what its searches took."""

    def __init__(self, models: Models, loop: asyncio.Runner, users: int, pairs: int) -> None:
        self._models, self._loop = models, loop
        self.users, self.pairs = users, pairs
        self.took: list[float] = []
        self.passes: list[int] = []

    def __call__(self) -> None:
        before = self._models.passes
        self.took += self._loop.run(self._models.searches(self.users, self.pairs))
        self.passes.append(self._models.passes - before)


def shared(models: Models, given: argparse.Namespace, loop: asyncio.Runner) -> Iterator[Row]:
    effort = Effort(repeats=3 if given.small else 20, warm_up=1, seconds=5.0 if given.small else 60.0)
    for pairs in sorted({0, given.pairs}):
        rounds = {str(n): Round(models, loop, n, pairs) for n in (1, 8, given.searches)}
        seconds = alternated(rounds, effort)
        alone = median(seconds["1"])
        for name, one in rounds.items():
            took, spread = median(seconds[name]), Spread.of(one.took)
            speed, gain = round(given.searches / took, 1), round(alone / took, 2)
            search = f"question, {pairs} pairs" if pairs else "question"
            bound, passes = round(alone * 1000, 1), median(one.passes)
            yield Row(search, one.users, speed, spread.p50, spread.p99, bound, passes, gain, len(seconds[name]))


def requests(models: Models, given: argparse.Namespace, device: Device, absent: dict[str, str]) -> Iterator[Request]:
    effort = Effort(repeats=5 if given.small else 60, warm_up=3, seconds=5.0 if given.small else 40.0)
    question = models.questions[0]
    with rerankers(models.checkpoint, device, absent) as paths:
        for pairs in REQUESTS:
            runs = {name: partial(run, question, models.passages[:pairs]) for name, run in paths.items()}
            spreads = {name: Spread.of(took) for name, took in alternated(runs, effort, device.synchronize).items()}
            for name, spread in spreads.items():
                speed, gain = round(1000 * pairs / spread.p50, 1), round(spread.p50 / spreads["ours"].p50, 2)
                yield Request(pairs, name, spread.p50, spread.p99, speed, gain, spread.repeats)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--shape", choices=list(SHAPES))
    parser.add_argument("--searches", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    parser.add_argument("--threads", type=int)
    given, device = parser.parse_args(), Device.find()
    if given.threads:
        import_torch().set_num_threads(given.threads)
    shape = given.shape or ("small" if given.small else "large" if device.cuda else "e5")
    absent: dict[str, str] = {}
    with asyncio.Runner() as loop:
        models = Models(given, SHAPES[shape], device)
        rows = list(shared(models, given, loop))
        models.embedder.close()
        loop.run(models.reranker.aclose())
    singles = list(requests(models, given, device, absent))
    print(table(singles), "\n")
    report(
        "batching",
        given,
        rows,
        shape=shape,
        device=device.name,
        requests=[asdict(one) for one in singles],
        absent=absent,
    )


if __name__ == "__main__":
    main()
