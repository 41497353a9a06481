"""For benchmarks.store: the real server of two checkouts, each over documents that its own code has ingested."""

import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.serving import post, resident_mb, serving
from benchmarks.store.checkouts import cpu_seconds, ran
from retrieval.evaluation.evaluation import load_set

WARM_UP = 20
STARTED = ("ready, s", "ready, s of cpu", "resident, idle, MB")
Figures = dict[str, float]


def served(
    corpus: Path, documents: int, code: Mapping[str, Path], folder: Path, starts: int, searches: int
) -> dict[str, Figures]:
    """Of each checkout: measure -> figure, its unit in the measure."""
    found: dict[str, Figures] = {way: {} for way in code}
    few = folder / "few.jsonl"
    beir = load_set(corpus.resolve())
    with beir.corpus.open(encoding="utf-8") as lines:
        few.write_text("".join(islice(lines, documents)), "utf-8")
    data = {way: folder / f"served {way}" for way in code}
    for way, path in code.items():
        since = time.perf_counter()
        ran(path, "server.cli", "ingest", str(few), "--store", "main", "--data", str(data[way]))
        found[way][f"`ragpod ingest`, {documents} documents, s"] = time.perf_counter() - since
    _start(found, code, data, starts)
    _search(found, code, data, list(islice(beir.queries.values(), searches + WARM_UP)))
    return found


def _start(found: dict[str, Figures], code: Mapping[str, Path], data: Mapping[str, Path], starts: int) -> None:
    """The first of each is not counted: it may find indexes that its ingest left to be written."""
    took: dict[str, list[tuple[float, float, float]]] = {way: [] for way in code}
    for number in range(starts + 1):
        for way, path in code.items():
            with serving(data[way], path) as (_, pid, seconds):
                spent = cpu_seconds(pid)
                time.sleep(2)  # what loads after `ready` is in memory then
                if number:
                    took[way].append((seconds, spent, resident_mb(pid)))
    for way, each in took.items():
        for measure, values in zip(STARTED, zip(*each, strict=True), strict=True):
            found[way][measure] = median(values)


def _search(found: dict[str, Figures], code: Mapping[str, Path], data: Mapping[str, Path], queries: list[str]) -> None:
    """Both servers at once, one query after the other, each asked of both in turns."""
    with ExitStack() as stack:
        servers = {way: stack.enter_context(serving(data[way], path)) for way, path in code.items()}
        told: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in code}
        for number, query in enumerate(queries):
            for way in sorted(servers, reverse=bool(number % 2)):
                url, pid, _ = servers[way]
                since, spent = time.perf_counter(), cpu_seconds(pid)
                answer = post(f"{url}/v1/vector_stores/main/search", {"query": query})
                if number < WARM_UP:
                    continue
                told[way]["search over HTTP"].append((time.perf_counter() - since) * 1000)
                told[way]["cpu"].append((cpu_seconds(pid) - spent) * 1000)
                for stage, took in answer["ragpod"]["timings_ms"].items():
                    told[way][f"search: {stage}"].append(took)
        for way, (_, pid, _) in servers.items():
            ticks = told[way].pop("cpu")
            found[way] |= {measure: median(values) for measure, values in told[way].items()}
            found[way]["search, cpu"] = sum(ticks) / len(ticks)  # the kernel counts in ticks of 10 ms
            found[way]["resident, after the searches, MB"] = resident_mb(pid)
