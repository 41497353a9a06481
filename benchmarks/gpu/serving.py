"""What retrieval adds to the time to the first token: the real server over HTTP, with and without its documents.

    python -m benchmarks.gpu.serving [--profile cuda|embedded] [--users 1,8,32] [--passages 4000] [--small]

Three processes: a stub engine that answers at once and paces its words, the server, and this one with a closed load of
N users. Each asks with retrieval (model `ragpod:bench`) and without (the engine's own id, passed through), in turns, so
the difference of the two is what retrieval adds: embedding, the searches, both rerank stages, the prompt. The cuda
profile runs on random weights of the real shapes; the passages are made from a seed. Last line: JSON.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from benchmarks.gpu import checkpoints
from benchmarks.gpu.device import Device
from benchmarks.gpu.load import Answer, Load
from benchmarks.harness import note, options, quantile, report, table
from benchmarks.relay.paced_engine import MODEL
from benchmarks.relay.processes import process

ROUNDS, ASKS_A_USER = 2, 12
INGEST_SECONDS = 300
WORDS_A_PASSAGE = 100  # some 300 tokens: the words are nobody's
RATE = 50.0  # of the stub engine: words a second


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds to the first word. added: the same percentile with retrieval less the one without."""

    users: int
    retrieval: str
    asked: int
    answers_s: float
    p50: float
    p95: float
    p99: float
    added_p50: float | None
    added_p95: float | None
    added_p99: float | None


class Words:
    """A language of 20,000 words that are used as often as Zipf's law has it, so that BM25 has work to do."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
        self.words = ["".join(self.rng.choices(syllables, k=self.rng.randint(2, 4))) for _ in range(20_000)]
        self.weights = [1 / rank for rank in range(1, len(self.words) + 1)]

    def text(self, words: int) -> str:
        return " ".join(self.rng.choices(self.words, self.weights, k=words))

    def question(self) -> str:
        return f"what is {self.text(9)}?"


async def put_passages(url: str, passages: Sequence[str]) -> float:
    """One JSON Lines file into the store `bench`, through the API; the seconds until it can be searched."""
    lines = "\n".join(json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(passages))
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=None)) as session:
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", lines.encode(), filename="passages.jsonl")
        file = await _json(session.post("/v1/files", data=form))
        store = await _json(session.post("/v1/vector_stores", json={"name": "bench"}))
        path, since = f"/v1/vector_stores/{store['id']}/files", time.perf_counter()
        attached = await _json(session.post(path, json={"file_id": file["id"]}))
        while attached["status"] == "in_progress":
            if time.perf_counter() - since > INGEST_SECONDS:
                raise RuntimeError(f"the passages were not ingested after {INGEST_SECONDS} s")
            await asyncio.sleep(0.1)
            attached = await _json(session.get(f"{path}/{file['id']}"))
        if attached["status"] != "completed":
            raise RuntimeError(f"the passages were not ingested: {attached}")
        return time.perf_counter() - since


async def _json(request: Any) -> Any:
    async with request as response:
        if response.status >= 400:
            raise RuntimeError(f"HTTP {response.status}: {await response.text()}")
        return await response.json()


@dataclass(frozen=True, slots=True)
class Measured:
    """stages: the server's own median milliseconds of each stage, a mapping a number of users."""

    ingest_s: float
    rows: list[Row]
    stages: list[dict[str, float]]


async def measure(url: str, given: argparse.Namespace, words: Words) -> Measured:
    passages = [words.text(WORDS_A_PASSAGE) for _ in range(given.passages)]
    measured = Measured(await put_passages(url, passages), [], [])
    models = {"without": MODEL, "with": "ragpod:bench"}
    targets = {name: Load(url, model, round(given.answer_seconds * RATE)) for name, model in models.items()}
    for users in (int(count) for count in given.users.split(",")):
        answers: dict[str, list[Answer]] = {name: [] for name in targets}
        seconds = dict.fromkeys(targets, 0.0)
        for turn in range(ROUNDS + 1):  # the first warms up
            asked = users if turn == 0 else max(given.asks, ASKS_A_USER * users) // ROUNDS
            for name, load in targets.items():
                done, took = await load.run(users, [words.question() for _ in range(asked)])
                if turn:
                    answers[name] += done
                    seconds[name] += took
        measured.rows.extend(_rows(users, answers, seconds))
        measured.stages.append({"users": users} | _stages(answers["with"]))
        note(measured.rows[-1])
    return measured


def _rows(users: int, answers: dict[str, list[Answer]], seconds: dict[str, float]) -> list[Row]:
    rows: list[Row] = []
    base: list[float] | None = None
    for name, done in answers.items():
        if wrong := [answer.wrong for answer in done if answer.wrong]:
            raise RuntimeError(f"{len(wrong)} of {len(done)} answers failed ({users} users, {name}): {wrong[0]}")
        if less := [answer.degraded for answer in done if answer.degraded]:
            raise RuntimeError(f"{len(less)} of {len(done)} answers left work out ({users} users): {less[0]}")
        figures = [round(quantile([answer.first_s for answer in done], q) * 1000, 2) for q in (0.5, 0.95, 0.99)]
        added = [round(figure - other, 2) for figure, other in zip(figures, base, strict=True)] if base else [None] * 3
        rows.append(Row(users, name, len(done), round(len(done) / seconds[name], 2), *figures, *added))
        base = figures
    return rows


def _stages(answers: Sequence[Answer]) -> dict[str, float]:
    names = dict.fromkeys(name for answer in answers for name in answer.timings_ms)
    return {name: round(median(answer.timings_ms.get(name, 0.0) for answer in answers), 2) for name in names}


def server_settings(given: argparse.Namespace, engine: str, data: Path) -> dict[str, str]:
    """Environment of the server process."""
    settings = {
        "RAGPOD_PORT": "0",
        "RAGPOD_DATA_DIR": str(data),
        "RAGPOD_PROFILE": given.profile,
        "RAGPOD_ENGINE_URL": f"{engine}/v1",
        "RAGPOD_ENGINE_MODEL": MODEL,
        "RAGPOD_LIMITS_ANSWERS": "256",
        "RAGPOD_RETRIEVAL_MIN_SCORE": "0",
        # The whole pipeline is what is measured: no stage may be left out for being late.
        "RAGPOD_RETRIEVAL_RERANK_SECONDS": "60",
    }
    if given.profile == "cuda":
        settings["RAGPOD_MODELS_DEVICE"] = "auto" if Device.find().cuda else "cpu"
        shape = checkpoints.SMALL if given.small else checkpoints.LARGE
        settings["RAGPOD_MODELS_EMBEDDER"] = str(checkpoints.embedder(given.checkpoints, shape, given.seed).resolve())
        settings["RAGPOD_MODELS_RERANKER"] = str(checkpoints.reranker(given.checkpoints, shape, given.seed).resolve())
    return settings


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--profile", choices=["cuda", "embedded"])
    parser.add_argument("--users", default=None, help="1,8,32")
    parser.add_argument("--asks", type=int, default=None, help=f"answers a cell, at least {ASKS_A_USER} a user")
    parser.add_argument("--answer-seconds", type=float, default=None, help="how long an answer streams")
    parser.add_argument("--passages", type=int, default=None)
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given, device = parser.parse_args(), Device.find()
    given.profile = given.profile or ("cuda" if find_spec("torch") else "embedded")
    given.users = given.users or ("1,4" if given.small else "32,1" if given.brief else "1,8,32")
    given.asks = given.asks or (12 if given.small else 60)
    given.answer_seconds = given.answer_seconds or (0.1 if given.small else 0.5)
    given.passages = given.passages or (50 if given.small else 2_000 if given.brief else 4_000)
    with tempfile.TemporaryDirectory() as data, process("--role", "engine", "--rate", str(RATE)) as (_, port):
        settings = server_settings(given, f"http://127.0.0.1:{port}", Path(data))
        with process("--role", "server", **settings) as (_, url):
            measured = asyncio.run(measure(url, given, Words(given.seed)))
    print(f"{table(measured.stages)}\n")
    speed = {"ingest_s": round(measured.ingest_s, 2), "passages_s": round(given.passages / measured.ingest_s, 1)}
    report("gpu.serving", given, measured.rows, device=device.name, **speed, stages_p50_ms=measured.stages)


if __name__ == "__main__":
    main()
