"""A vector store by its name or id, in stores of more and more files: what every search and chat begins with.

    python -m benchmarks.store.resolve [--files 100 10000 50000] [--repeats 200] [--postgresql URL]

resolve: what a search needs. find_store: the whole object, with its files counted, as GET shows it. list: a page of
20 vector stores, of which one has the files. The database is made anew in a temporary folder, its rows as attaching
leaves them, nothing behind them. `before` is find_store as every search called it until November 2026: five counts over
the rows themselves, on SQLite only. --postgresql: in schemas that are dropped afterwards. Milliseconds, median and p95.
Last line: JSON.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select

from benchmarks.harness import Effort, Spread, alternated, options, report
from benchmarks.store.schemas import schema
from retrieval.store.base import tables
from retrieval.store.store import Store

OWNER = "bench"
_BEFORE = """
SELECT s.*,
    (SELECT coalesce(sum(usage_bytes), 0) FROM store_files NOT INDEXED WHERE store = s.n) AS usage_bytes,
    (SELECT count(*) FROM store_files {by} WHERE store = s.n AND status = 'in_progress') AS in_progress,
    (SELECT count(*) FROM store_files {by} WHERE store = s.n AND status = 'completed') AS completed,
    (SELECT count(*) FROM store_files {by} WHERE store = s.n AND status = 'failed') AS failed,
    (SELECT count(*) FROM store_files {by} WHERE store = s.n AND status = 'cancelled') AS cancelled
FROM vector_stores s WHERE s.owner = ? AND s.name = ? ORDER BY s.n
""".format(by="INDEXED BY sqlite_autoindex_store_files_1")


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds."""

    database: str
    files: int
    call: str
    p50: float
    p95: float


def filled(store: Store, files: int) -> None:
    store.vector_stores.create(OWNER, "large")
    for i in range(19):
        store.vector_stores.create(OWNER, f"empty {i}")
    file = store.files.add(OWNER, "0.txt", b"x")
    with store.database.write() as db:
        number = db.scalar(select(tables.files.c.n).where(tables.files.c.id == file.id))
        large = db.scalar(select(tables.vector_stores.c.n).where(tables.vector_stores.c.name == "large"))
        row = {"store": large, "file": number, "sha256": file.sha256, "attributes": {}, "created_at": 0}
        row |= {"status": "completed", "stage": "indexed", "visible": 1, "usage_bytes": 9000}
        row |= {"documents": 1, "chunks": 5, "embedded": 5}
        db.execute(insert(tables.store_files), [{**row, "filename": f"{i}.txt"} for i in range(files)])
        if not store.database.is_sqlite:  # as its own autovacuum would, a minute later
            db.exec_driver_sql("ANALYZE")


def counted_before(store: Store) -> int:
    with store.database.read() as db:
        return len(db.exec_driver_sql(_BEFORE, (OWNER, "large")).all())


def measured(name: str, store: Store, files: int, effort: Effort) -> list[Row]:
    calls: dict[str, Callable[[], object]] = {
        "resolve": lambda: store.vector_stores.resolve(OWNER, "large"),
        "find_store": lambda: store.vector_stores.find(OWNER, "large"),
        "list": lambda: store.vector_stores.page(OWNER),
    }
    if store.database.is_sqlite:
        calls["before"] = lambda: counted_before(store)
    # One after the other: beside a scan of 50,000 rows, whatever comes next finds the processor's caches empty.
    spreads = {call: Spread.of(alternated({call: run}, effort)[call]) for call, run in calls.items()}
    return [Row(name, files, call, spread.p50, spread.p95) for call, spread in spreads.items()]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 10_000, 50_000])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    given: argparse.Namespace = parser.parse_args()
    effort = Effort(5 if given.small else given.repeats, seconds=60)
    rows: list[Row] = []
    for name in ["SQLite", "PostgreSQL"] if given.postgresql else ["SQLite"]:
        for files in [100, 1000] if given.small else given.files:
            with ExitStack() as stack:
                url = stack.enter_context(schema(given.postgresql)) if name == "PostgreSQL" else None
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                store = stack.enter_context(closing(Store.open(folder, url=url)))
                filled(store, files)
                assert store.vector_stores.find(OWNER, "large").counts.completed == files
                rows += measured(name, store, files, effort)
    report("resolve", given, rows)


if __name__ == "__main__":
    main()
