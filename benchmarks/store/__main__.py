"""The store of before, on sqlite3, beside the present one: each in processes of its own code, in turns, in one run.

    python -m benchmarks.store [--before PATH] [--postgresql URL] [--corpus ../shared/data/smartstore_faq_ko]
        [--rows 1000] [--files 100 10000 50000] [--rounds 20] [--passages 2000] [--starts 5] [--searches 200]

before: a checkout of commit cf3180e; made in a temporary folder where none is given. What is timed:

    resolve     a vector store by its name, in one of so many files
    load        100 passages by key, as a search does
    publish     the store's own share of an ingest, step by step, `--passages` a file, and all of it
    search      `resolve` and Retriever.search, in process, of those passages; its vectors cost nothing
    ingest      the same through the ingestor into real indexes, with an embedder that costs nothing
    open        a process of its own imports the store and opens what is there; MB: resident then
    --corpus    its first `--rows` documents, embedded: the real ingest, and then the real server over HTTP: starts
                (warm: indexes on disk, files in the cache), searches, the server's own `load` stage, resident memory

Medians of rounds; wall, and cpu of the calling thread (of the process: ingest, start, search), which a busy machine
moves less. change: of now against before, per cent. PostgreSQL's cpu is without its own processes. Last line: JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import note, options, report
from benchmarks.store.checkouts import HERE, Asked, checkout
from benchmarks.store.schemas import schema
from benchmarks.store.served import served

BEFORE = "cf3180e"
OPENING = """
import time
since = time.perf_counter()
import json, sys
from pathlib import Path
from retrieval.store.store import Store
store = getattr(Store, "open", Store)(Path(sys.argv[1]))
pages = int(Path("/proc/self/statm").read_text().split()[1])
print(json.dumps({"wall": time.perf_counter() - since, "cpu": time.process_time(), "MB": pages * 4096 / 1e6}))
store.close()
"""
Told = dict[str, dict[str, list[float]]]  # of one way: measure -> wall and cpu, seconds


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds, or what the measure says. change: per cent."""

    measure: str
    before: float
    now: float
    change: float
    cpu_before: float | None = None
    cpu_now: float | None = None
    cpu_change: float | None = None
    postgresql: float | None = None
    cpu_postgresql: float | None = None


def questions(given: argparse.Namespace) -> Iterator[tuple[str, str, list[Any]]]:
    """Of one round: measure, call and its arguments (benchmarks/store/child.py)."""
    for files in given.files:
        yield f"resolve, {files} files", "resolve", [files, 20]
    yield "publish", "publish", [given.passages]
    yield "load", "load", [100, 20]
    yield "search", "search", [20]
    yield "ingest", "ingest", [given.passages]


def asked(children: Mapping[str, Asked], given: argparse.Namespace) -> dict[str, Told]:
    """Every round asks each child the same, in turns, and the other one first than the round before."""
    told: dict[str, Told] = {way: defaultdict(lambda: {"wall": [], "cpu": []}) for way in children}
    for child in children.values():
        for files in given.files:
            child("fill", files)
    for number in range(1 + given.rounds):
        ways = sorted(children, reverse=bool(number % 2))
        for measure, call, arguments in questions(given):
            for way in ways:
                answer = children[way](call, *arguments)
                if number:  # the first round warms up
                    keep(told[way], measure, answer)
    return told


def keep(told: Told, measure: str, answer: Mapping[str, Any]) -> None:
    if measure != "publish":
        for clock, given in answer.items():
            part = measure if clock in ("wall", "cpu") else f"{measure}: {clock}"
            told[part][clock if part == measure else "wall"].append(median(given) if isinstance(given, list) else given)
        return
    steps = {f"publish: {step}": pair for step, pair in answer.items()}
    steps["publish"] = [sum(pair[clock] for pair in answer.values()) for clock in (0, 1)]
    for step, (wall, cpu) in steps.items():
        told[step]["wall"].append(wall)
        told[step]["cpu"].append(cpu)


def rows(told: Mapping[str, Told]) -> list[Row]:
    found = []
    for measure in told["now"]:
        wall = {way: median(of[measure]["wall"]) * 1000 for way, of in told.items()}
        cpu = {way: median(of[measure]["cpu"]) * 1000 for way, of in told.items() if of[measure]["cpu"]}
        columns: dict[str, float | None] = {
            "before": wall["before"],
            "now": wall["now"],
            "change": change(wall["before"], wall["now"]),
        }
        if cpu:
            columns |= {"cpu_before": cpu["before"], "cpu_now": cpu["now"]}
            columns["cpu_change"] = change(cpu["before"], cpu["now"])
        if "postgresql" in told:
            columns |= {"postgresql": wall["postgresql"], "cpu_postgresql": cpu.get("postgresql")}
        found.append(Row(measure, **{name: round(value, 4) for name, value in columns.items() if value is not None}))
        note(found[-1])
    return found


def opened(code: Mapping[str, Path], folder: Path, rounds: int) -> list[Row]:
    """What the others have left in the folder. The first of each is not counted."""
    told: dict[str, Told] = {way: {"open": {"wall": [], "cpu": [], "MB": []}} for way in code}
    for number in range(rounds + 1):
        for way, path in code.items():
            command = [sys.executable, "-P", "-c", OPENING, str(folder / way)]
            run = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(path)}, check=True, capture_output=True)
            if number:
                for clock, value in json.loads(run.stdout).items():
                    told[way]["open"][clock].append(value)
    mb = {way: round(median(of["open"]["MB"]), 1) for way, of in told.items()}
    return [*rows(told), Row("open, MB", mb["before"], mb["now"], change(mb["before"], mb["now"]))]


def change(before: float, now: float) -> float:
    return round((now / before - 1) * 100, 1)


def corpus_rows(given: argparse.Namespace, code: Mapping[str, Path], folder: Path) -> list[Row]:
    """The real server's, over documents that its own code has ingested."""
    told = served(given.corpus, given.rows, code, folder, given.starts, given.searches)
    found = []
    for measure, of in told["before"].items():
        old, new = round(of, 4), round(told["now"][measure], 4)
        found.append(Row(measure, old, new, change(old, new)))
        note(found[-1])
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--files", type=int, nargs="*", default=[100, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--searches", type=int, default=200)
    given: argparse.Namespace = parser.parse_args()
    if given.small:
        given.rounds, given.passages, given.files, given.rows, given.starts, given.searches = 2, 100, [100], 20, 1, 5
    with ExitStack() as stack:
        before = nullcontext(given.before.resolve()) if given.before else checkout(BEFORE)
        code = {"before": stack.enter_context(before), "now": HERE}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children = {way: child(path, folder / way, given.seed) for way, path in code.items()}
        if given.postgresql:
            url = stack.enter_context(schema(given.postgresql)).render_as_string(hide_password=False)
            children["postgresql"] = child(HERE, folder / "postgresql", given.seed, url)
        with ExitStack() as asking:
            for each in children.values():
                asking.enter_context(closing(each))
            found = rows(asked(children, given))
        found += opened(code, folder, given.rounds)
        if given.corpus:
            found += corpus_rows(given, code, folder)
    report("store", given, found, before=BEFORE)


def child(code: Path, folder: Path, seed: int, *url: str) -> Asked:
    folder.mkdir()
    return Asked(code, "child.py", str(folder), str(seed), *url)


if __name__ == "__main__":
    main()
