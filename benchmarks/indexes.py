"""The indexes of the legs side by side: dense vectors exact, in lists, and in torch; learned lexical weights.

    python -m benchmarks.indexes [--vectors 1000000] [--dim 384] [--documents 100000] [--small]

Dense: unit vectors made to be as hard to group as real ones; queries are new ones of the same kind, not vectors of the
index. torch (on a GPU, else on the CPU) takes part where it is installed. Lexical: Zipf token ids, about 120 weights a
passage, 15 a query. Every time is of the whole leg as a search calls it, filters given as the set that the store gives:
of half of the keys, and of one in a hundred. Last line: JSON.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.harness import Effort, Spread, alternated, options, report
from models.base import FloatArray
from models.torch.torch_device import choose_device
from retrieval.indexes.dense.device_copy import on_torch
from retrieval.indexes.dense.index import DenseConfig, DenseIndex
from retrieval.indexes.sparse.index import SparseIndex
from retrieval.passages.lexical_weights import encode_weights
from retrieval.types import Hit

BATCH = 50_000
K = 100
# As hard to group as multilingual-e5-small's vectors of 6,000 and 13,000 real passages: the same recall at most numbers
# of lists probed, to a few hundredths. Topics in 40 of the dimensions, 1.3 times the square root of the vectors many,
# and a little noise in all dimensions.
INTRINSIC, TOPICS, NOISE = 40, 1.3, 0.2


class Index(Protocol):
    def search(self, query: Any, k: int, allowed: Collection[int] | None = None) -> list[Hit]: ...

    def save(self, path: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Built:
    """build_s: from arrays in memory. rss_mb: what the process grew by. add_ms: one passage more, median."""

    index: Index
    build_s: float
    rss_mb: float
    add_ms: float
    load: Callable[[Path], object]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """half, hundredth: p50 under a filter that lets so much pass. recall: against the exact index of the same run."""

    index: str
    entries: int
    build_s: float
    rss_mb: float
    disk_mb: float
    save_s: float
    load_s: float
    add_ms: float
    p50_ms: float
    p99_ms: float
    half_p50_ms: float
    hundredth_p50_ms: float
    recall_10: float
    recall_100: float
    note: str


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    if given.small:
        given.vectors, given.documents, given.queries = 20_000, 2_000, 20
    rng = np.random.default_rng(given.seed)
    queries = vectors(given, rng, given.queries).astype(np.float32)
    rows = measured(dense_indexes(given, rng), list(queries), given.vectors, given)
    ranks = zipf()
    asked = [weights(rng, ranks, 15) for _ in range(given.queries)]
    rows += measured({"lexical": sparse_index(given, rng, ranks)}, asked, given.documents, given)
    report("indexes", given, rows)


def vectors(given: argparse.Namespace, rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """(count, dim) float16 unit rows."""
    fixed = np.random.default_rng(given.seed)
    plane = fixed.standard_normal((INTRINSIC, given.dim), np.float32) / np.sqrt(INTRINSIC)
    topics = fixed.standard_normal((round(TOPICS * given.vectors**0.5), INTRINSIC), np.float32)
    rows = np.empty((count, given.dim), np.float16)
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        inner = topics[rng.integers(0, len(topics), size)] + rng.standard_normal((size, INTRINSIC), np.float32)
        made = inner @ plane + NOISE * rng.standard_normal((size, given.dim), np.float32)
        rows[first : first + size] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return rows


def dense_indexes(given: argparse.Namespace, rng: np.random.Generator) -> dict[str, Built]:
    rows = vectors(given, rng, given.vectors)
    never = 10**9
    built = {"dense, exact": dense(rows, DenseConfig(exact_up_to=never))}
    built["dense, lists"] = dense(rows, DenseConfig(exact_up_to=0))
    if find_spec("torch") is not None:
        device = choose_device("auto").type
        built[f"dense, torch {device}"] = dense(rows, DenseConfig(device="cuda", exact_up_to=never), device)
    return built


def dense(rows: np.ndarray[Any, Any], config: DenseConfig, device: str = "cpu") -> Built:
    before, since = resident_mb(), time.perf_counter()
    index = DenseIndex(rows.shape[1], config, lambda dim, _: on_torch(dim, device))
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH].astype(np.float32)
        index.apply(1, (range(first + 1, first + 1 + len(some)), some), [])
    note = ""
    if index.outgrown and index.regroup() and index.recall:
        note = f"{index.layout}; of its own vectors recall@10 {index.recall.at_10}, @100 {index.recall.at_100}"
    build, grown = time.perf_counter() - since, resident_mb() - before
    one = rows[:1].astype(np.float32)
    added = [timed(lambda key=key: index.apply(2, ([key], one), [])) for key in range(len(rows) + 1, len(rows) + 21)]
    index.apply(3, ([], one[:0]), range(len(rows) + 1, len(rows) + 21))
    dim = rows.shape[1]
    return Built(index, build, grown, 1000 * float(np.median(added)), lambda path: DenseIndex.load(path, dim), note)


def sparse_index(given: argparse.Namespace, rng: np.random.Generator, ranks: FloatArray) -> Built:
    codes = [encode_weights(weights(rng, ranks, 140)) for _ in range(given.documents + 20)]
    before, since = resident_mb(), time.perf_counter()
    index = SparseIndex()
    for first in range(0, given.documents, 5000):
        last = min(given.documents, first + 5000)
        index.apply(1, [(key + 1, codes[key]) for key in range(first, last)], [])
    build, grown = time.perf_counter() - since, resident_mb() - before
    added = [
        timed(lambda key=key: index.apply(2, [(key + 1, codes[key])], []))
        for key in range(given.documents, given.documents + 20)
    ]
    mean = np.mean([len(code) / 6 for code in codes])
    note = f"{mean:.0f} weights a passage"
    return Built(index, build, grown, 1000 * float(np.median(added)), SparseIndex.load, note)


def zipf(vocabulary: int = 250_000) -> FloatArray:
    """(vocabulary,) cumulated probabilities of the tokens, the commonest first."""
    shares = 1 / np.arange(1, vocabulary + 1) ** 0.9
    return np.cumsum(shares / shares.sum())


def weights(rng: np.random.Generator, ranks: FloatArray, draws: int) -> Mapping[int, float]:
    tokens = np.unique(np.searchsorted(ranks, rng.random(draws)))
    return dict(zip(tokens.tolist(), (0.3 * rng.random(len(tokens)) + 0.001).tolist(), strict=True))


def measured(built: Mapping[str, Built], queries: Sequence[Any], entries: int, given: argparse.Namespace) -> list[Row]:
    """One row an index. The first one is exact."""
    rng = np.random.default_rng(given.seed)
    keys = rng.permutation(entries) + 1
    half, hundredth = set(keys[: entries // 2].tolist()), set(keys[: max(1, entries // 100)].tolist())
    spreads = {
        allowed_name: searched(built, queries, allowed)
        for allowed_name, allowed in (("all", None), ("half", half), ("hundredth", hundredth))
    }
    exact = [found(next(iter(built.values())).index, query) for query in queries]
    rows = []
    for name, each in built.items():
        for query in queries[:20]:
            assert all({hit.key for hit in each.index.search(query, K, keys)} <= keys for keys in (half, hundredth)), (
                name
            )
        own = [found(each.index, query) for query in queries]
        plain = spreads["all"][name]
        rows.append(
            Row(
                index=name,
                entries=entries,
                build_s=round(each.build_s, 1),
                rss_mb=round(each.rss_mb),
                **stored(each),
                add_ms=round(each.add_ms, 2),
                p50_ms=plain.p50,
                p99_ms=plain.p99,
                half_p50_ms=spreads["half"][name].p50,
                hundredth_p50_ms=spreads["hundredth"][name].p50,
                recall_10=overlap(exact, own, 10),
                recall_100=overlap(exact, own, K),
                note=each.note,
            )
        )
    return rows


def searched(built: Mapping[str, Built], queries: Sequence[Any], allowed: Collection[int] | None) -> dict[str, Spread]:
    """Every query once on every index, in turns."""

    def asking(index: Index) -> Callable[[], object]:
        turn = iter([*queries[:2], *queries])
        return lambda: index.search(next(turn), K, allowed)

    effort = Effort(repeats=len(queries), warm_up=2, seconds=120)
    took = alternated({name: asking(each.index) for name, each in built.items()}, effort)
    return {name: Spread.of(seconds) for name, seconds in took.items()}


def stored(each: Built) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="ragpod-indexes-") as folder:
        path = Path(folder) / "index.file"
        save = timed(lambda: each.index.save(path))
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        load = timed(lambda: each.load(path))
    return {"disk_mb": round(size / 1e6, 1), "save_s": round(save, 2), "load_s": round(load, 2)}


def found(index: Index, query: Any) -> list[int]:
    return [hit.key for hit in index.search(query, K)]


def overlap(exact: Sequence[Sequence[int]], own: Sequence[Sequence[int]], k: int) -> float:
    shares = [len({*a[:k]} & {*b[:k]}) / max(1, len(a[:k])) for a, b in zip(exact, own, strict=True)]
    return round(float(np.mean(shares)), 4)


def timed(run: Callable[[], object]) -> float:
    since = time.perf_counter()
    run()
    return time.perf_counter() - since


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
