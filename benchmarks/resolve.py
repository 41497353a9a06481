"""A vector store by its name or id, in stores of more and more files: what every search and chat begins with.

    python -m benchmarks.resolve [--files 100 10000 50000] [--repeats 200]

resolve: what a search needs. find_store: the whole object, with its files counted, as GET shows it. list: a page of
20 vector stores, of which one has the files. The database is made anew in a temporary folder, its rows as attaching
leaves them, nothing behind them. `before` is find_store as every search called it until November 2026: five counts over
the rows themselves. Milliseconds, median and p95. Last line: JSON.
"""

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Effort, Spread, alternated, options, report
from retrieval.store.store import Store

OWNER = "bench"
_ROWS = "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?)"
_FILES = (
    "INSERT INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at)"
    f" {_ROWS} SELECT 'file-' || i, 'bench', i || '.txt', '', 'assistants', 'none', 1, 0 FROM numbers"
)
_ATTACHED = (
    "INSERT INTO store_files (store, file, filename, sha256, status, stage, visible, attributes, created_at,"
    " usage_bytes, documents, chunks, embedded)"
    " SELECT 1, n, filename, sha256, 'completed', 'indexed', 1, '{}', 0, 9000, 1, 5, 5 FROM files"
)
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

    files: int
    call: str
    p50: float
    p95: float


def filled(store: Store, files: int) -> None:
    store.create_store(OWNER, "large")
    for i in range(19):
        store.create_store(OWNER, f"empty {i}")
    with store.write() as db:
        db.execute("INSERT INTO contents VALUES ('none', x'00')")
        db.execute(_FILES, (files,))
        db.execute(_ATTACHED)


def counted_before(store: Store) -> int:
    with store.read() as db:
        return len(db.execute(_BEFORE, (OWNER, "large")).fetchall())


def measured(store: Store, files: int, effort: Effort) -> list[Row]:
    calls = {
        "resolve": lambda: store.resolve(OWNER, "large"),
        "find_store": lambda: store.find_store(OWNER, "large"),
        "list": lambda: store.list_stores(OWNER),
        "before": lambda: counted_before(store),
    }
    # One after the other: beside a scan of 50,000 rows, whatever comes next finds the processor's caches empty.
    spreads = {name: Spread.of(alternated({name: call}, effort)[name]) for name, call in calls.items()}
    return [Row(files, name, spread.p50, spread.p95) for name, spread in spreads.items()]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 10_000, 50_000])
    parser.add_argument("--repeats", type=int, default=200)
    given: argparse.Namespace = parser.parse_args()
    sizes = [100, 1000] if given.small else given.files
    rows: list[Row] = []
    for files in sizes:
        with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder))) as store:
            filled(store, files)
            assert store.find_store(OWNER, "large").counts.completed == files
            rows += measured(store, files, Effort(5 if given.small else given.repeats, seconds=60))
    report("resolve", given, rows)


if __name__ == "__main__":
    main()
