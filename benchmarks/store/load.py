"""The load stage, passages by key, and `resolve`, one row: the store's own beside what it was, and what it could be.

    python -m benchmarks.store.load [CORPUS] [--passages 4000] [--keys 100] [--repeats 300] [--postgresql URL]

CORPUS: a folder with corpus.jsonl (../shared/data/smartstore_faq_ko), else random words. Token codes are random, 194
bytes a token. `sqlite3` is what the store did until November 2026, on the file that SQLite's ways read too. The ways
take turns in an order of their own each time, every turn with other keys:

    own          the store's own: one statement without a transaction, rows by position
    transaction  the same inside Database.read()
    names        rows by the attributes of their columns' names
    mappings     rows as mappings
    text         the dialect's own SQL as text, rows by position
    hexadecimal  PostgreSQL sends codes in digits, not as they are
    untried      a connection is not tried before it is used
    unprepared   PostgreSQL plans every statement anew

--postgresql: in a schema that is dropped afterwards. Milliseconds a call; cpu is the calling thread's, so without what
PostgreSQL's own processes do. Last line: JSON.
"""

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice, repeat
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import event, insert

from benchmarks.harness import Effort, Spread, options, report
from benchmarks.store.schemas import schema
from benchmarks.store.ways import OWNER, Way, by_mapping, by_name, core, hexadecimal, own, plain, text
from retrieval.database.engine import Database
from retrieval.store.base import tables
from retrieval.store.base.values import NamedStore
from retrieval.store.store import FILENAME, Store

NAME = "main"
TOKEN_BYTES = 194  # 384 dimensions (models/rerankers/late_interaction.py)
PASSAGE_CHARS = 350
WORDS = ["배송", "refund", "반품", "order", "주소", "parcel", "결제", "invoice", "비밀번호", "account"]


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds a call."""

    database: str
    way: str
    call: str
    p50: float
    p95: float
    cpu: float
    repeats: int


def cut(corpus: Path) -> Iterator[tuple[str, str, str]]:
    """(external id, title, text) of passages of equal length."""
    for line in (corpus / "corpus.jsonl").read_text("utf-8").splitlines():
        document = json.loads(line)
        for start in range(0, len(document["text"]), PASSAGE_CHARS):
            yield document["_id"], document["title"], document["text"][start : start + PASSAGE_CHARS]


def made_up(chance: random.Random) -> Iterator[tuple[str, str, str]]:
    """Without an end."""
    while True:
        yield str(chance.random()), "", " ".join(chance.choices(WORDS, k=60))


def filled(store: Store, passages: Iterable[tuple[str, str, str]], chance: random.Random) -> NamedStore:
    """passages: (external id, title, text), a document each, of one visible file. The same seed gives the same rows."""
    store_id = store.vector_stores.create(OWNER, NAME).id
    file = store.files.add(OWNER, "faq.jsonl", b"")
    version = store.attachments.attach(OWNER, store_id, file.id).version
    rows: dict[Any, list[dict[str, Any]]] = {tables.documents: [], tables.chunks: [], tables.token_codes: []}
    for n, (external_id, title, content) in enumerate(passages, 1):
        tokens = max(1, len(content) // 2)
        own_attributes = {"row": n, "category": f"category {n % 12}"}
        document = {"n": n, "version": version, "id": f"doc_{n:024}", "ordinal": n, "sha256": "", "title": title}
        document |= {"external_id": external_id, "url": "", "text": content, "own_attributes": own_attributes}
        rows[tables.documents].append(document | {"attributes": own_attributes})
        chunk = {"key": n, "document": n, "position": 0, "id": f"chunk_{n:024}", "text": content, "headings": "[]"}
        chunk |= {"first_char": 0, "last_char": len(content), "page": None, "token_count": tokens}
        rows[tables.chunks].append(chunk | {"terms": " ".join(content.lower().split()), "indexed_sha256": b""})
        rows[tables.token_codes].append({"chunk": n, "code": chance.randbytes(TOKEN_BYTES * tokens)})
    with store.database.write() as db:
        for table, values in rows.items():
            db.execute(insert(table), values)
        db.execute(tables.store_files.update().values(visible=1))
        if not store.database.is_sqlite:  # as its own autovacuum would, a minute later
            db.exec_driver_sql("ANALYZE")
    return store.vector_stores.resolve(OWNER, NAME)


def ways_of(store: Store, named: NamedStore, stack: ExitStack) -> dict[str, Way]:
    database = store.database
    found = {
        "own": own(store, named),
        "transaction": core(database.read, named),
        "names": core(database.one, named, by_name),
        "mappings": core(database.one, named, by_mapping),
        "text": text(database, named),
    }
    if database.is_sqlite:
        before = stack.enter_context(closing(sqlite3.connect(store.data_dir / FILENAME, isolation_level=None)))
        return {"sqlite3": plain(before, named.id), **found}
    untried, unprepared = (stack.enter_context(closing(Database(database.url))) for _ in range(2))
    untried._engine.pool._pre_ping = False
    event.listen(unprepared._engine, "connect", never_preparing)
    others = {"untried": core(untried.one, named), "unprepared": core(unprepared.one, named)}
    return {**found, "hexadecimal": hexadecimal(database, named), **others}


def never_preparing(driver: Any, _record: Any) -> None:
    driver.prepare_threshold = None


def measured(
    ways: dict[tuple[str, str], Way], call: str, turns: Iterator[Callable[[Way], object]], effort: Effort, seed: int
) -> list[Row]:
    """turns: the call, with other arguments every time."""
    wall: dict[tuple[str, str], list[float]] = {name: [] for name in ways}
    cpu: dict[tuple[str, str], list[float]] = {name: [] for name in ways}
    chance = random.Random(seed)
    for _ in range(effort.warm_up + effort.repeats):
        turn = next(turns)
        for name in chance.sample(list(ways), len(ways)):
            since, spent = time.perf_counter(), time.thread_time()
            turn(ways[name])
            cpu[name].append(time.thread_time() - spent)
            wall[name].append(time.perf_counter() - since)
    rows = []
    for name in ways:
        spread = Spread.of(wall[name][effort.warm_up :])
        spent_ms = round(median(cpu[name][effort.warm_up :]) * 1000, 3)
        rows.append(Row(*name, call, spread.p50, spread.p95, spent_ms, spread.repeats))
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    given: argparse.Namespace = parser.parse_args()
    count = 300 if given.small else given.passages
    effort = Effort(10 if given.small else given.repeats, warm_up=10)
    chance = random.Random(given.seed)
    source = cut(given.corpus) if given.corpus else made_up(chance)
    passages = list(islice(source, count))
    with ExitStack() as stack:
        urls = {"SQLite": None}
        if given.postgresql:
            urls["PostgreSQL"] = stack.enter_context(schema(given.postgresql)).render_as_string(hide_password=False)
        ways: dict[tuple[str, str], Way] = {}
        for name, url in urls.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = stack.enter_context(closing(Store.open(folder, url=url)))
            named = filled(store, passages, random.Random(given.seed))
            ways |= {(name, way): calls for way, calls in ways_of(store, named, stack).items()}
        keys = list(range(1, len(passages) + 1))
        checked(list(ways.values()), chance.sample(keys, given.keys))
        rows = measured(ways, "load", loads(keys, given.keys, chance), effort, given.seed)
        rows += measured(ways, "resolve", repeat(lambda way: way.resolve(NAME)), effort, given.seed)
    report("load", given, rows, drivers={name: version(name) for name in ("sqlalchemy", "psycopg")})


def loads(keys: list[int], count: int, chance: random.Random) -> Iterator[Callable[[Way], object]]:
    while True:
        wanted = chance.sample(keys, count)
        yield lambda way, wanted=wanted: way.load(wanted)  # type: ignore[misc]


def checked(ways: list[Way], keys: list[int]) -> None:
    """All of a database read the same; ids differ between databases."""
    for way in ways:
        found = way.load(keys)
        assert found.keys() == set(keys)
        assert way.resolve(NAME) == found[keys[0]].chunk.store_id


if __name__ == "__main__":
    main()
