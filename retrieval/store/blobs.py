"""Which originals there are, and who still needs them; the bytes are in a blob store (retrieval/blobs), or here.

A blob is put before the transaction that names it, and removed after the one in which its last file left: in between it
is doomed. Both sides hold the row of `blobs` while they decide, so what a file names is there: an upload that finds its
blob swept meanwhile puts it again.
"""

import hashlib
import io
import logging
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select

from retrieval.blobs.base import BlobStore
from retrieval.blobs.errors import BlobMissing
from retrieval.blobs.staging import Staged, staged
from retrieval.blobs.temporary import PIECE, without_leftovers
from retrieval.database.engine import Database
from retrieval.store.base.tables import blob_parts, blobs, files

log = logging.getLogger("ragpod.store")

_AT_ONCE = 100  # blobs of one sweep's transaction
_DOOMED = select(blobs.c.sha256).where(blobs.c.doomed == 1)
_SOME_DOOMED = _DOOMED.limit(1)
_SWEPT = _DOOMED.order_by(blobs.c.sha256).limit(_AT_ONCE).with_for_update(skip_locked=True)
_FORGET = delete(blobs).where(blobs.c.sha256 == bindparam("digest"), ~exists().where(files.c.sha256 == blobs.c.sha256))
_PART = select(blob_parts.c.content).where(
    blob_parts.c.sha256 == bindparam("digest"), blob_parts.c.part == bindparam("number")
)
_PARTS = select(func.count()).select_from(blob_parts).where(blob_parts.c.sha256 == bindparam("digest"))
_DROP_PARTS = delete(blob_parts).where(blob_parts.c.sha256 == bindparam("digest"))
_IN_TABLE = select(blob_parts.c.sha256).distinct().limit(_AT_ONCE)


class Blobs:
    """staging: a folder for uploads on their way. Blocking, thread-safe."""

    def __init__(self, database: Database, kept_in: BlobStore, staging: Path) -> None:
        self._database = database
        self._kept_in = kept_in
        self._staging = without_leftovers(staging, self._doom)

    def _doom(self, upload: Path) -> None:
        """What was left of an upload that was killed. Its blob may be put, and a sweep may have come in between and
        forgotten it: it is to be swept, unless a file has it.
        """
        with upload.open("rb") as content:
            row = {"sha256": hashlib.file_digest(content, "sha256").hexdigest(), "bytes": upload.stat().st_size}

        def doom() -> None:
            with self._database.write(durable=False) as db:
                db.execute(self._database.insert(blobs).on_conflict_do_nothing(), {**row, "doomed": 1})

        self._database.freeing(doom)

    def staged(self, content: bytes | BinaryIO) -> AbstractContextManager[Staged]:
        """The content in a file of this machine, with its digest. Raises StoreFull."""
        self._database.check_room()
        return staged(io.BytesIO(content) if isinstance(content, bytes) else content, self._staging, None)

    def put(self, content: Staged) -> None:
        """Before the transaction that names it; doomed until then: nothing stays of an upload that was killed."""
        if not self._kept_in.has(content.digest):
            row = self._database.insert(blobs).on_conflict_do_nothing()
            with self._database.write(durable=False) as db:
                db.execute(row, {"sha256": content.digest, "bytes": content.bytes, "doomed": 1})
            self._kept_in.put(content.digest, content.path)

    def keep(self, db: Connection, content: Staged) -> bool:
        """In the transaction that names it: nobody sweeps it before that ends. False where somebody has, and then the
        transaction is over: put it again, and begin another one.
        """
        row = self._database.insert(blobs)
        row = row.on_conflict_do_update(index_elements=["sha256"], set_={"doomed": 0})
        db.execute(row, {"sha256": content.digest, "bytes": content.bytes, "doomed": 0})
        if self._kept_in.has(content.digest):
            return True
        db.rollback()  # or it would stand there as wanted, though no file may follow
        return False

    def open(self, digest: str) -> BinaryIO:
        """To be closed by the caller. Raises BlobMissing."""
        return self._kept_in.open(digest)

    def due(self) -> bool:
        """Whether there is something to sweep."""
        with self._database.read() as db:
            return db.execute(_SOME_DOOMED).first() is not None

    def sweep(self) -> None:
        """Removes what no file has any more."""
        while self._database.freeing(self._swept) == _AT_ONCE:
            pass

    def _swept(self) -> int:
        with self._database.write() as db:
            doomed = db.scalars(_SWEPT).all()
            for digest in doomed:
                if db.execute(_FORGET, {"digest": digest}).rowcount:
                    db.execute(_DROP_PARTS, {"digest": digest})
                    self._kept_in.delete(digest)
        return len(doomed)

    def move_out_of_table(self) -> None:
        """What the database kept itself, under other settings or before November 2026, to where blobs are kept now.
        What was broken off goes on with the next call.
        """
        if isinstance(self._kept_in, TableBlobs):
            return
        table, moved = TableBlobs(self._database), 0
        while digests := self._in_table():
            for digest in digests:
                with (
                    suppress(BlobMissing),  # another process that shares the database has moved it
                    table.open(digest) as stream,
                    staged(stream, self._staging, None) as content,
                ):
                    self._kept_in.put(digest, content.path)
                with self._database.write() as db:
                    db.execute(_DROP_PARTS, {"digest": digest})
            moved += len(digests)
        if moved:
            log.info("%d originals were moved out of the database", moved)

    def _in_table(self) -> list[str]:
        with self._database.read() as db:
            return list(db.scalars(_IN_TABLE))

    def close(self) -> None:
        self._kept_in.close()


class TableBlobs(BlobStore):
    """Bytes in the database itself, in pieces of PIECE at most: for machines that share nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, digest: str, path: Path) -> None:
        """One at a time of a digest, so that its parts are one upload's."""
        with path.open("rb") as source, self._database.write() as db:
            self._database.exclude(db, f"blob {digest}")
            db.execute(_DROP_PARTS, {"digest": digest})
            number = 0
            while (piece := source.read(PIECE)) or number == 0:
                db.execute(insert(blob_parts), {"sha256": digest, "part": number, "content": piece})
                number += 1

    def open(self, digest: str) -> BinaryIO:
        if not (parts := self._count(digest)):
            raise BlobMissing(f"the blob {digest} is gone")
        return io.BufferedReader(_Parts(self._database, digest, parts), PIECE)

    def has(self, digest: str) -> bool:
        return self._count(digest) > 0

    def _count(self, digest: str) -> int:
        with self._database.one() as db:
            return db.execute(_PARTS, {"digest": digest}).scalar_one()

    def delete(self, digest: str) -> None:
        """Nothing: its parts go in the transaction in which `blobs` forgets it."""

    def close(self) -> None:
        """The database is its opener's."""


class _Parts(io.RawIOBase):
    """One part after the other, each in a transaction of its own: raises BlobMissing where they go meanwhile."""

    def __init__(self, database: Database, digest: str, parts: int) -> None:
        self._database, self._digest, self._parts = database, digest, parts
        self._number, self._rest = 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._rest and self._number < self._parts:
            with self._database.one() as db:
                found = db.execute(_PART, {"digest": self._digest, "number": self._number}).scalar()
            if found is None:
                raise BlobMissing(f"the blob {self._digest} is gone")
            self._rest, self._number = found, self._number + 1
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)
