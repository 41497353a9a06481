"""Uploading and deleting originals: a folder, the database's table, and the BLOBs of before; what a scrub costs then.

    python -m benchmarks.store.uploads [--kept 500] [--sizes 1 64] [--repeats 10] [--postgresql URL]

`--kept` megabytes of originals, random bytes of 8 MB each, lie there already. For every size (MB) a file is uploaded,
read and deleted, in turns. `sweep` removes the bytes that nobody names any more; `scrub` is what the upkeep does after
deletions, once a minute at most: SQLite's file anew without its free space, which grows with what is kept in it.
`blob` is the schema of November 2026 by sqlite3 alone, one row an original, deleted at once. Milliseconds, median.
database_mb: of the file before the scrub, whatever size; written_mb: bytes that the scrub gave to the disk, as the
kernel counts them, so that "deletes that rewrite everything" are seen on any disk. Last line: JSON.
"""

import argparse
import hashlib
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness import Effort, alternated, median_ms, note, options, report
from benchmarks.store.schemas import schema
from retrieval.store.store import FILENAME, TABLE, Store

OWNER, MB, KEPT_MB = "bench", 10**6, 8
SCHEMA = """
PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA secure_delete = FAST; PRAGMA synchronous = FULL;
CREATE TABLE contents (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds; mb: of an upload."""

    kept_in: str
    mb: float
    upload: float
    read: float
    delete: float
    sweep: float
    scrub: float
    written_mb: float
    database_mb: float


class Place(Protocol):
    """Where originals are kept."""

    def upload(self, content: bytes) -> str: ...

    def read(self, file_id: str) -> int: ...

    def delete(self, file_id: str) -> None: ...

    def sweep(self) -> None: ...

    def scrub(self) -> None: ...

    def database_bytes(self) -> int: ...


class Blob:
    """As the store did: the digest, then one INSERT; VACUUM and a checkpoint after deletions."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILENAME
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.executescript(SCHEMA)

    def upload(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (digest, content))
        return digest

    def read(self, file_id: str) -> int:
        (content,) = self._db.execute("SELECT content FROM contents WHERE sha256 = ?", (file_id,)).fetchone()
        return len(content)

    def delete(self, file_id: str) -> None:
        self._db.execute("DELETE FROM contents WHERE sha256 = ?", (file_id,))

    def sweep(self) -> None:
        """Nothing: the bytes went with the row."""

    def scrub(self) -> None:
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def database_bytes(self) -> int:
        return self._path.stat().st_size

    def close(self) -> None:
        self._db.close()


class Kept:
    """The store of today."""

    def __init__(self, folder: Path, blobs: str | None, url: str | None = None) -> None:
        self._path = folder / FILENAME
        self._store = Store.open(folder, url=url, blobs=blobs)
        self._count = 0

    def upload(self, content: bytes) -> str:
        self._count += 1
        return self._store.files.add(OWNER, f"{self._count}.bin", content).id

    def read(self, file_id: str) -> int:
        return len(self._store.files.content(OWNER, file_id))

    def delete(self, file_id: str) -> None:
        self._store.files.delete(OWNER, file_id)

    def sweep(self) -> None:
        self._store.retention.sweep_blobs()

    def scrub(self) -> None:
        self._store.retention.scrub()

    def database_bytes(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def close(self) -> None:
        self._store.close()


def measured(places: Mapping[str, Place], mb: float, effort: Effort, chance: random.Random) -> list[Row]:
    files: dict[str, list[str]] = {name: [] for name in places}
    contents: dict[str, bytes] = {}

    def upload(name: str) -> None:
        files[name].append(places[name].upload(contents[name]))

    steps: dict[str, Callable[[str], Any]] = {
        "upload": upload,
        "read": lambda name: places[name].read(files[name][-1]),
        "delete": lambda name: places[name].delete(files[name].pop()),
        "sweep": lambda name: places[name].sweep(),
    }
    took: dict[str, dict[str, list[float]]] = {name: {step: [] for step in steps} for name in places}

    def round_(name: str) -> None:
        contents[name] = chance.randbytes(int(mb * MB))  # new ones: the same bytes are uploaded once
        for step, call in steps.items():
            since = time.perf_counter()
            call(name)
            took[name][step].append(time.perf_counter() - since)

    alternated({name: lambda name=name: round_(name) for name in places}, effort)
    rows = []
    for name, place in places.items():
        size, since, written = place.database_bytes(), time.perf_counter(), written_bytes()
        place.scrub()
        scrub, written = time.perf_counter() - since, written_bytes() - written
        figures = [median_ms(took[name][step][effort.warm_up :]) for step in steps]
        rows.append(Row(name, mb, *figures, round(scrub * 1000, 1), round(written / MB, 1), round(size / MB, 1)))
        note(rows[-1])
    return rows


def written_bytes() -> int:
    """Given to the disk's cache by this process so far."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--kept", type=int, default=500, help="MB")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 64], help="MB")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    given: argparse.Namespace = parser.parse_args()
    if given.small:
        given.kept, given.sizes, given.repeats = 16, [0.1, 1], 2
    chance = random.Random(given.seed)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = {name: root / str(number) for number, name in enumerate(("blob", "folder", "table", "postgresql"))}
        for folder in folders.values():
            folder.mkdir()
        places: dict[str, Any] = {
            "BLOB in SQLite, before": Blob(folders["blob"]),
            "folder": Kept(folders["folder"], None),
            "table, SQLite": Kept(folders["table"], TABLE),
        }
        if given.postgresql:
            url = stack.enter_context(schema(given.postgresql)).render_as_string(hide_password=False)
            places["table, PostgreSQL"] = Kept(folders["postgresql"], TABLE, url)
        for place in places.values():
            stack.enter_context(closing(place))
        for _ in range(given.kept // KEPT_MB):
            content = chance.randbytes(KEPT_MB * MB)
            for place in places.values():
                place.upload(content)
        effort = Effort(given.repeats, warm_up=1, seconds=120)
        rows = [row for mb in given.sizes for row in measured(places, mb, effort, chance)]
    report("uploads", given, rows)


if __name__ == "__main__":
    main()
