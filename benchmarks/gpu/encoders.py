"""BGE-M3 and its reranker: our path, FlagEmbedding and sentence-transformers over the same texts in one run.

    python -m benchmarks.gpu.encoders [--only embed|rerank] [--checkpoints .bench/checkpoints] [--small]

Random weights of the real shapes. Every cell is one call with `batch` texts of `tokens` tokens (pairs, for the
reranker), as an application makes it: tokenising and moving to and from the device are in it. `share` is of the matrix
peak measured in this run, by the operations that the shape needs without padding. sentence-transformers gives the dense
vector alone; FlagEmbedding and ours the lexical weights too, and where it says so the token vectors. Last line: JSON.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu import checkpoints
from benchmarks.gpu.checkpoints import Shape
from benchmarks.gpu.device import Device
from benchmarks.gpu.libraries import Run, embedders, rerankers
from benchmarks.gpu.matrix import peak
from benchmarks.harness import Effort, alternated, median_ms, note, options, report

BATCHES, LENGTHS = (1, 8, 32, 128, 256), (64, 256, 512)
BRIEF = ((1, 64), (32, 256), (128, 512))
LONGEST = (1, 8192)
QUERY = 16  # tokens of the query in a pair, its two special tokens included
SPECIAL = 4  # tokens of a pair that are of neither side


@dataclass(frozen=True, slots=True)
class Cell:
    """lengths: tokens of each text, or pair. name: of the kind of lengths."""

    name: str
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """differs: largest difference to our numbers, of the dense vectors' components or of the logits."""

    model: str
    path: str
    batch: int
    tokens: str
    p50_ms: float
    texts_s: float
    tokens_s: float
    tflops: float
    share: float
    differs: float
    repeats: int


def cells(given: argparse.Namespace, shape: Shape) -> list[Cell]:
    """Equal lengths, one text as long as may be, and lengths spread evenly over the powers of two."""
    small, rng = given.small, random.Random(given.seed)
    most = 64 if small else 512
    every = BRIEF if given.brief else [(b, n) for n in LENGTHS for b in BATCHES] + [LONGEST]
    sizes = [(1, 32), (8, 64)] if small else every
    equal = [Cell(str(length), (length,) * batch) for batch, length in sizes if length <= shape.tokens]
    spread = tuple(round(math.exp(rng.uniform(math.log(24), math.log(most)))) for _ in range(8 if small else 256))
    return [*equal, Cell(f"24 to {most}", spread)]


def measure(
    model: str, runs_of: Callable[[Cell], dict[str, Run]], shape: Shape, given: argparse.Namespace, tflops: float
) -> list[Row]:
    device = Device.find()
    effort = Effort(repeats=3 if given.small else 30, warm_up=1, least=2, seconds=2.0 if given.brief else 4.0)
    rows: list[Row] = []
    for cell in cells(given, shape):
        runs = runs_of(cell)
        ours = next(iter(runs.values()))()
        differs = {name: float(np.abs(np.asarray(run()) - ours).max()) for name, run in runs.items()}
        tokens = sum(cell.lengths)
        work = sum(shape.flops(length, length) for length in cell.lengths) / 1e12
        for name, seconds in alternated(runs, effort, device.synchronize).items():
            ms = median_ms(seconds)
            speeds = round(len(cell.lengths) / ms * 1000, 1), round(tokens / ms * 1000), round(work / ms * 1000, 4)
            share = round(work / ms * 1000 / tflops, 4)
            rows.append(Row(model, name, len(cell.lengths), cell.name, ms, *speeds, share, differs[name], len(seconds)))
            note(rows[-1])
    return rows


def embedding_rows(shape: Shape, given: argparse.Namespace, tflops: float, absent: dict[str, str]) -> list[Row]:
    checkpoint = checkpoints.embedder(given.checkpoints, shape, given.seed)
    with embedders(checkpoint, Device.find(), absent) as runs:

        def of(cell: Cell) -> dict[str, Run]:
            texts = checkpoints.texts(checkpoint, cell.lengths, given.seed)
            return {name: _bound(run, texts) for name, run in runs.items()}

        return measure("bge-m3", of, shape, given, tflops)


def reranking_rows(shape: Shape, given: argparse.Namespace, tflops: float, absent: dict[str, str]) -> list[Row]:
    checkpoint = checkpoints.reranker(given.checkpoints, shape, given.seed)
    query = checkpoints.texts(checkpoint, [QUERY], given.seed + 1)[0]
    with rerankers(checkpoint, Device.find(), absent) as runs:

        def of(cell: Cell) -> dict[str, Run]:
            lengths = [length - QUERY - SPECIAL + 4 for length in cell.lengths]
            texts = checkpoints.texts(checkpoint, lengths, given.seed)
            return {name: _bound(lambda some, run=run: run(query, some), texts) for name, run in runs.items()}

        return measure("bge-reranker-v2-m3", of, shape, given, tflops)


def _bound(run: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]) -> Run:
    return lambda: run(texts)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--only", choices=["embed", "rerank"])
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given, device = parser.parse_args(), Device.find()
    shape = checkpoints.SMALL if given.small else checkpoints.LARGE
    tflops = peak(device, device.dtype, small=given.small, seed=given.seed)
    rows: list[Row] = []
    absent: dict[str, str] = {}
    if given.only != "rerank":
        rows += embedding_rows(shape, given, tflops, absent)
    if given.only != "embed":
        rows += reranking_rows(shape, given, tflops, absent)
    for name, reason in absent.items():
        print(f"{name} is not compared: {reason}")
    more = {"dtype": device.dtype, "matrix_peak_tflops": tflops, "absent": absent, "memory_gib": device.memory_gib()}
    report("gpu.encoders", given, rows, device=device.name, **more)


if __name__ == "__main__":
    main()
