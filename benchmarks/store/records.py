"""What keeping a turn and reading its trace cost: server/records on SQLAlchemy beside the plain sqlite3 of before.

    python -m benchmarks.store.records [--repeats 2000] [--candidates 100] [--postgresql URL]

`save` and `get` are those of Turns; `trace` is GET /api/v1/traces/{id} through its route and the authentication, with
no socket. The ways take turns, each on an empty database; --postgresql adds a third one, in a schema that is dropped
afterwards. Milliseconds a call; cpu is that of the whole process, its threads too. Last line: JSON.
"""

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from fastapi import FastAPI

from benchmarks.harness import Effort, Spread, alternated, options, report
from benchmarks.store.schemas import schema
from server.access.authentication import Authentication
from server.access.keys import Keys
from server.api import traces
from server.records.database import RecordsDatabase
from server.records.turn import Status, Turn
from server.records.turns import Turns

OWNER = "default"
BEFORE = """
CREATE TABLE turns (
    trace_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    session_id TEXT NOT NULL,
    created REAL NOT NULL,
    turn BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX turns_of_session ON turns (owner, session_id, created);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds a call."""

    way: str
    call: str
    p50: float
    p95: float
    cpu: float
    repeats: int


class TurnsBefore(Turns):
    """One connection on one thread (commit 42c3512)."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(BEFORE)

    async def _run(self, call: Callable[[sqlite3.Connection], Any]) -> Any:
        def transaction() -> Any:
            with self._connection:
                return call(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    async def save(self, turn: Turn) -> None:
        row = (turn.trace_id, turn.owner, turn.session_id, turn.created, orjson.dumps(turn))
        await self._run(lambda db: db.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", row))

    async def get(self, owner: str, trace_id: str) -> Turn:
        query = "SELECT turn FROM turns WHERE trace_id = ? AND owner = ?"
        row = await self._run(lambda db: db.execute(query, (trace_id, owner)).fetchone())
        stored = orjson.loads(row[0])
        tuples = {name: tuple(stored[name]) for name in ("store_ids", "degraded", "skipped")}
        return Turn(**stored | tuples | {"status": Status(stored["status"])})

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()


@asynccontextmanager
async def ways(folder: Path, postgresql: str | None) -> AsyncIterator[dict[str, Turns]]:
    async with AsyncExitStack() as stack:
        before = TurnsBefore(folder / "before.db")
        stack.callback(before.close)
        opened: dict[str, Turns] = {"sqlite3": before}
        places: dict[str, Any] = {"SQLAlchemy, SQLite": folder / "now.db"}
        if postgresql:
            places["SQLAlchemy, PostgreSQL"] = stack.enter_context(schema(postgresql))
        for name, place in places.items():
            database = await RecordsDatabase.at(place)
            stack.push_async_callback(database.close)
            opened[name] = Turns(database)
        yield opened


def example(candidates: int, chance: random.Random) -> Turn:
    """As a search with that many candidates leaves one."""
    words = ["배송", "refund", "반품", "order", "주소", "parcel", "결제", "invoice", "비밀번호", "account"]

    def text(count: int) -> str:
        return " ".join(chance.choices(words, k=count))

    def scored(number: int) -> dict[str, Any]:
        scores = {name: chance.random() for name in ("dense", "bm25", "fused", "rerank1", "rerank2")}
        return {"chunk_id": f"chunk_{number:024}", "file_id": f"file-{number:024}", "scores": scores, "left": "rerank1"}

    return Turn(
        trace_id="trace",
        session_id="session_1",
        message_id="msg_1",
        owner=OWNER,
        created=1.5,
        model="ragpod",
        generator="engine",
        store_ids=("vs_1",),
        status=Status.COMPLETE,
        question=text(10),
        search_question=text(10),
        answer=text(120),
        finish_reason="stop",
        no_evidence=False,
        sources=[scored(number) | {"content": text(80)} for number in range(8)],
        candidates=[scored(number) for number in range(candidates)],
    )


def application(turns: Turns) -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False})
    app.include_router(traces.router)
    app.state.parts = {Keys: Keys({}), Turns: turns}
    app.add_middleware(Authentication)
    return app


async def traced(app: FastAPI, trace_id: str) -> None:
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    path = f"/api/v1/traces/{trace_id}"
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": []}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent


def measured(
    loop: asyncio.Runner, name: str, calls: dict[str, Callable[[int], Coroutine[Any, Any, Any]]], effort: Effort
) -> list[Row]:
    """calls: of each way, given the number of the repeat."""
    cpu: dict[str, list[float]] = {way: [] for way in calls}

    def once(way: str) -> None:
        since = time.process_time()
        loop.run(calls[way](len(cpu[way])))
        cpu[way].append(time.process_time() - since)

    took = alternated({way: lambda way=way: once(way) for way in calls}, effort)
    rows = []
    for way, seconds in took.items():
        spread = Spread.of(seconds)
        spent = round(median(cpu[way][effort.warm_up :]) * 1000, 3)
        rows.append(Row(way, name, spread.p50, spread.p95, spent, spread.repeats))
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--candidates", type=int, default=100, help="of the search whose turn is kept")
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    given: argparse.Namespace = parser.parse_args()
    effort = Effort(20 if given.small else given.repeats, warm_up=10, seconds=120)
    turn = example(given.candidates, random.Random(given.seed))
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        opening = ways(Path(folder), given.postgresql)
        opened = loop.run(opening.__aenter__())
        try:
            apps = {way: application(turns) for way, turns in opened.items()}
            save = {
                way: lambda n, turns=turns: turns.save(replace(turn, trace_id=f"trace_{n}"))
                for way, turns in opened.items()
            }
            get = {way: lambda n, turns=turns: turns.get(OWNER, f"trace_{n}") for way, turns in opened.items()}
            trace = {way: lambda n, app=app: traced(app, f"trace_{n}") for way, app in apps.items()}
            rows = [
                row
                for name, calls in (("save", save), ("get", get), ("trace", trace))
                for row in measured(loop, name, calls, effort)
            ]
        finally:
            loop.run(opening.__aexit__(None, None, None))
    report("records", given, rows, turn_bytes=len(orjson.dumps(turn)))


if __name__ == "__main__":
    main()
