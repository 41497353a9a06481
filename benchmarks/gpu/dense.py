"""Dense search on the GPU against FAISS on the CPU: exact, 1M vectors of 1024 dimensions, with and without a filter.

    python -m benchmarks.gpu.dense [--vectors 1000000] [--dim 1024] [--k 100] [--small]

The server's own index (retrieval/indexes/dense), its device copy on and off, searched by 1, 8 and 32 threads at
once, as by requests; beside it, what both libraries give for the same queries as one batch: FAISS on every core,
and one torch product with a top-k, which is the floor. `agree` is the share of the CPU's results that a variant gives.
Random unit vectors; variants take turns. Last line: JSON.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.device import Device
from benchmarks.harness import Effort, Spread, alternated, note, options, report, table
from models.base import FloatArray
from retrieval.indexes.dense.device_copy import on_torch
from retrieval.indexes.dense.index import DenseConfig, DenseIndex

PART = 50_000
BATCHES = (1, 8, 32)
ALL, TENTH = "none", "a tenth"
Search = Callable[[FloatArray], Sequence[Sequence[int]]]  # (batch, dim) -> keys of the k best of each


@dataclass(frozen=True, slots=True)
class Row:
    """p50_ms, p95_ms: until all of the batch are answered."""

    variant: str
    filter: str
    batch: int
    p50_ms: float
    p95_ms: float
    queries_s: float
    agree: float
    repeats: int


@dataclass(frozen=True, slots=True)
class Built:
    """seconds: until the index can be searched. host_gb, device_gib: by how much the use of memory grew."""

    variant: str
    seconds: float
    host_gb: float
    device_gib: float | None
    search: Search
    filtered: Search | None = None


def unit_vectors(count: int, dim: int, seed: int) -> FloatArray:
    """(count, dim) float32 of length 1, the same on every machine."""
    starts = range(0, count, PART)
    vectors = np.empty((count, dim), np.float32)

    def fill(start: int) -> None:
        part = vectors[start : start + PART]
        np.random.default_rng([seed, start]).standard_normal(out=part, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, starts))
    return vectors


def our_index(name: str, config: DenseConfig, vectors: FloatArray, k: int, device: Device, pool: Any) -> Built:
    """Searched by as many threads as there are queries; a tenth of the keys passes the filter."""
    since, before = time.perf_counter(), memory(device)
    index = DenseIndex(vectors.shape[1], config, lambda dim, _: on_torch(dim, device.name))
    for start in range(0, len(vectors), PART):
        part = vectors[start : start + PART]
        index.apply(1, (range(start + 1, start + len(part) + 1), part), ())
    seconds = time.perf_counter() - since
    if config.device != "cpu" and not index.on_device:
        raise RuntimeError("the device copy gave up; the log says why")
    passing = frozenset(range(1, len(vectors) + 1, 10))

    def search(queries: FloatArray, allowed: frozenset[int] | None = None) -> list[list[int]]:
        found = pool.map(lambda query: [hit.key for hit in index.search(query, k, allowed)], queries)
        return list(found)

    return Built(name, round(seconds, 1), *grown(before, device), search, lambda some: search(some, passing))


def faiss_batch(vectors: FloatArray, k: int, device: Device) -> Built:
    import faiss

    since, before = time.perf_counter(), memory(device)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexScalarQuantizer(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(vectors), PART):
        index.add(vectors[start : start + PART])

    def search(queries: FloatArray) -> Any:
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        return (index.search(queries, k)[1] + 1).tolist()

    seconds = round(time.perf_counter() - since, 1)
    return Built("FAISS, one batch, every core", seconds, *grown(before, device), search)


def torch_batch(vectors: FloatArray, k: int, device: Device) -> Built:
    import torch

    since, before = time.perf_counter(), memory(device)
    dtype = getattr(torch, device.dtype)
    rows = torch.cat([torch.from_numpy(part).to(device.name, dtype) for part in np.array_split(vectors, 16)])

    def search(queries: FloatArray) -> Any:
        with torch.inference_mode():
            scores = torch.from_numpy(queries).to(device.name, dtype) @ rows.T
            return (torch.topk(scores, k).indices + 1).tolist()

    device.synchronize()
    seconds = round(time.perf_counter() - since, 1)
    return Built(f"torch, one batch, {device.dtype} scores", seconds, *grown(before, device), search)


def measure(built: Sequence[Built], queries: FloatArray, given: argparse.Namespace) -> list[Row]:
    seconds = 4.0 if given.brief else 5.0 if given.small else 15.0
    effort = Effort(repeats=5 if given.small else 30, warm_up=1, least=2, seconds=seconds)
    rows: list[Row] = []
    for allowed in (ALL, TENTH):
        searches = {one.variant: one.search if allowed == ALL else one.filtered for one in built}
        for batch in BATCHES:
            asked = queries[:batch]
            runs = {name: _run(search, asked) for name, search in searches.items() if search}
            found = {name: run() for name, run in runs.items()}
            base = next(iter(found.values()))
            for name, seconds in alternated(runs, effort).items():
                spread, agree = Spread.of(seconds), overlap(base, found[name])
                rate = round(batch / spread.p50 * 1000, 1)
                rows.append(Row(name, allowed, batch, spread.p50, spread.p95, rate, agree, spread.repeats))
                note(rows[-1])
    return rows


def _run(search: Search, queries: FloatArray) -> Callable[[], Sequence[Sequence[int]]]:
    return lambda: search(queries)


def overlap(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> float:
    """Share of the first's keys that the other has, over all queries."""
    shared = sum(len(set(a) & set(b)) for a, b in zip(one, other, strict=True))
    return round(shared / max(sum(len(a) for a in one), 1), 5)


def memory(device: Device) -> tuple[float, float | None]:
    """GB resident in this process; GiB in use on the GPU."""
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    on_device = device.memory_gib()
    return resident, on_device["used"] if on_device else None


def grown(before: tuple[float, float | None], device: Device) -> tuple[float, float | None]:
    resident, used = memory(device)
    return round(resident - before[0], 2), None if used is None else round(used - (before[1] or 0.0), 2)


def build(given: argparse.Namespace, device: Device, pool: ThreadPoolExecutor) -> list[Built]:
    vectors = unit_vectors(given.vectors, given.dim, given.seed)
    exact = given.vectors + 1  # never in lists: exact search is what is compared
    on_cpu, on_device = DenseConfig("cpu", exact), DenseConfig("cuda", exact)
    return [
        our_index("ours on the CPU (FAISS)", on_cpu, vectors, given.k, device, pool),
        our_index(f"ours on {device.name} (torch)", on_device, vectors, given.k, device, pool),
        faiss_batch(vectors, given.k, device),
        torch_batch(vectors, given.k, device),
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--vectors", type=int, default=None)
    parser.add_argument("--dim", type=int, default=None)
    parser.add_argument("--k", type=int, default=100)
    given, device = parser.parse_args(), Device.find()
    given.vectors = given.vectors or (20_000 if given.small else 1_000_000)
    given.dim = given.dim or (64 if given.small else 1024)
    with ThreadPoolExecutor(max(BATCHES)) as pool:
        built = build(given, device, pool)
        rows = measure(built, unit_vectors(max(BATCHES), given.dim, given.seed + 1), given)
    sizes = [
        {"variant": one.variant, "build_s": one.seconds, "host_gb": one.host_gb, "device_gib": one.device_gib}
        for one in built
    ]
    print(f"{table(sizes)}\n")
    report("gpu.dense", given, rows, device=device.name, indexes=sizes)


if __name__ == "__main__":
    main()
