"""Start, search latency and idle memory of the real server over one corpus.

    python -m benchmarks.serving ../shared/data/smartstore_faq_ko [--data .bench] [--searches 300]

The corpus is ingested once into --data and kept. Then `ragpod serve` is started on it (warm start: indexes on disk, in
the file cache), timed until its line says ready and /ready answers 200, searched over HTTP one query at a time, and its
memory is read while it is idle. What holds the memory is measured in a second process that loads the same parts one by
one. Last line: JSON.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from retrieval.evaluation.evaluation import load_set

WARM_UP = 20
PARTS = """
import sys
from pathlib import Path
def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6
def tell(name):
    global last
    now = resident(); print(f"{name}\\t{now - last:.0f}"); last = now
last = resident(); print(f"Python\\t{last:.0f}")
import server.app.app; tell("imports of the server")
from models.embedders.e5 import E5Embedder; E = E5Embedder.load()
tell("multilingual-e5-small with its 250k-piece tokenizer")
from retrieval.passages.tokenize import Tokenizer; T = Tokenizer.load(); T.warm(); tell("Kiwi and its Korean model")
from retrieval.store.store import Store; S = Store.open(Path(sys.argv[1])); tell("SQLAlchemy and SQLite")
from retrieval.indexes.manager import IndexManager
C = IndexManager(S.changes, S.passages, Path(sys.argv[1]), E.dim, E.name)
for store_id in S.changes.store_ids(): C.indexes(store_id)
tell("FAISS and tantivy with the corpus"); C.close(); S.close(); E.close()
"""


@contextmanager
def serving(data: Path, code: Path | None = None) -> Iterator[tuple[str, int, float]]:
    """URL, process id, and seconds from the start until ready. code: of which checkout; None is the present folder."""
    since = time.perf_counter()
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=code)
    try:
        assert process.stdout is not None
        found = re.search(r"https?://[\d.:]+", process.stdout.readline())
        assert found, "the server ended without a URL"
        while status(found[0] + "/ready") != 200:
            time.sleep(0.02)
        yield found[0], process.pid, time.perf_counter() - since
    finally:
        process.terminate()
        process.wait(30)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def searched(url: str, store: str, queries: list[str]) -> tuple[list[float], list[dict[str, float]]]:
    """Milliseconds of each search over HTTP, and the server's own of each stage."""
    took, stages = [], []
    for number, query in enumerate(queries):
        since = time.perf_counter()
        found = post(f"{url}/v1/vector_stores/{store}/search", {"query": query})
        if number >= WARM_UP:
            took.append((time.perf_counter() - since) * 1000)
            stages.append(found["ragpod"]["timings_ms"])
    return took, stages


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--data", type=Path, default=Path(".bench"))
    parser.add_argument("--searches", type=int, default=300)
    given = parser.parse_args()
    beir = load_set(given.set)
    command = [sys.executable, "-m", "server.cli", "ingest", str(beir.corpus), "--store", beir.name]
    subprocess.run([*command, "--data", str(given.data)], check=True, stdout=subprocess.DEVNULL)
    starts = []
    for _ in range(3):
        with serving(given.data) as (url, pid, seconds):
            starts.append(seconds)
            idle = resident_mb(pid)
            store = next(s["id"] for s in _stores(url) if s["name"] == beir.name)
            took, stages = searched(url, store, list(beir.queries.values())[: given.searches + WARM_UP])
            after = resident_mb(pid)
    parts = subprocess.run([sys.executable, "-c", PARTS, str(given.data)], check=True, capture_output=True, text=True)
    report(beir.name, starts, took, stages, (idle, after), parts.stdout)


def _stores(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/v1/vector_stores?limit=100") as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]
        return found


def report(
    name: str,
    starts: list[float],
    took: list[float],
    stages: list[dict[str, float]],
    memory: tuple[float, float],
    parts: str,
) -> None:
    p50, p95 = median(took), quantiles(took, n=20)[-1]
    print(f"| {name} | |\n|---|---:|")
    print(f"| ready after, s (median of {len(starts)}) | {median(starts):.2f} |")
    print(f"| search over HTTP, ms p50 / p95 ({len(took)} queries) | {p50:.1f} / {p95:.1f} |")
    for stage in stages[0]:
        print(f"| . {stage}, ms p50 | {median(row.get(stage, 0.0) for row in stages):.1f} |")
    print(f"| resident, MB: idle / after the searches | {memory[0]:.0f} / {memory[1]:.0f} |")
    for line in parts.splitlines():
        part, megabytes = line.split("\t")
        print(f"| . {part}, MB | {megabytes} |")
    environment = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    result = {"ready_s": median(starts), "p50_ms": p50, "p95_ms": p95, "idle_mb": memory[0], "after_mb": memory[1]}
    print(json.dumps({"set": name, **{k: round(v, 2) for k, v in result.items()}, **environment}))


if __name__ == "__main__":
    main()
