"""Uploaded files: their names here, their bytes in the blob store."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from sqlalchemy import Connection, Row, and_, bindparam, case, select

from retrieval.blobs.errors import BlobMissing
from retrieval.database.engine import Database
from retrieval.store.base.attaching import remove_attachment
from retrieval.store.base.guards import UNEXPIRED, file_row, lock_stores, lock_uploads, locked_file
from retrieval.store.base.removal import leave_file, remove_file_step
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import Order, cursor_values, file_of, page
from retrieval.store.base.tables import attachments, files
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import File, Page
from retrieval.store.blobs import Blobs

_C = files.c
_SAME = select(files).where(
    and_(*(column == bindparam(column.name) for column in (_C.owner, _C.purpose, _C.filename, _C.sha256)))
)
_SAME_EXPIRED = _SAME.where(_C.expires_at <= bindparam("now"))
_OF_OWNER = select(files).where(_C.owner == bindparam("owner"), UNEXPIRED)
_OF_PURPOSE = _OF_OWNER.where(_C.purpose == bindparam("purpose"))
_HOLDING = select(attachments).where(attachments.c.file == bindparam("number")).order_by(attachments.c.store)


class Files(Repository):
    """/v1/files. A file whose time is over is not found, also where `expire` has not removed it yet."""

    def __init__(self, database: Database, clock: Callable[[], float], uses: Uses, blobs: Blobs) -> None:
        super().__init__(database, clock, uses)
        self._blobs = blobs

    def add(
        self,
        owner: str,
        filename: str,
        content: bytes | BinaryIO,
        media_type: str = "",
        purpose: str = "assistants",
        *,
        expires_seconds: int | None = None,
    ) -> File:
        """The same bytes under the same name and purpose are the same file: uploading them again changes nothing, but
        that it stays as long as the longest-lived upload wants. expires_seconds: from now; None keeps it for ever.

        content: read to its end, a piece at a time.
        """
        with self._blobs.staged(content) as staged:
            same = {"owner": owner, "purpose": purpose, "filename": filename, "sha256": staged.digest}
            row = {"id": _new_id(), **same, "media_type": media_type, "bytes": staged.bytes}
            while True:
                self._blobs.put(staged)
                with self._database.write() as db:
                    self._remove_expired(db, same)
                    now = self._now
                    expires_at = None if expires_seconds is None else now + expires_seconds
                    db.execute(self._upsert(), {**row, "created_at": now, "expires_at": expires_at})
                    if self._blobs.keep(db, staged):
                        return file_of(db.execute(_SAME, same).one())

    def _remove_expired(self, db: Connection, same: Mapping[str, str]) -> None:
        expired = {**same, "now": self._now}
        if (found := db.execute(_SAME_EXPIRED, expired).first()) is not None:
            lock_uploads(db, found)
            if (still := db.execute(_SAME_EXPIRED, expired).first()) is not None:
                let_go(db, still)  # upkeep removes the rest

    def _upsert(self) -> Any:
        """Of both times the later one; null is for ever."""
        row = self._database.insert(files)
        new = row.excluded.expires_at
        later = case((_C.expires_at.is_(None) | new.is_(None), None), (_C.expires_at > new, _C.expires_at), else_=new)
        return row.on_conflict_do_update(
            index_elements=["owner", "purpose", "filename", "sha256"], set_={"expires_at": later}
        )

    def get(self, owner: str, file_id: str) -> File:
        """Raises NotFound."""
        with self._database.read() as db:
            return file_of(file_row(db, owner, file_id, self._now))

    def page(
        self,
        owner: str,
        purpose: str | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[File]:
        """By creation. after, before: file ids. Raises UnknownCursor."""
        now = self._now
        wanted = _OF_OWNER if purpose is None else _OF_PURPOSE.params(purpose=purpose)
        with self._database.read() as db:
            cursors = cursor_values(lambda cursor: int(file_row(db, owner, cursor, now).n), after, before)
            rows, more = page(db, wanted.params(owner=owner, now=now), _C.n, limit, order, *cursors)
            return Page([file_of(row) for row in rows], more)

    def open(self, owner: str, file_id: str) -> tuple[File, BinaryIO]:
        """The bytes as they were uploaded; to be closed by the caller. Raises NotFound, BlobMissing."""
        file = self.get(owner, file_id)
        try:
            return file, self._blobs.open(file.sha256)
        except BlobMissing:
            self.get(owner, file_id)  # raises NotFound where it was deleted meanwhile
            raise

    def content(self, owner: str, file_id: str) -> bytes:
        """All of `open`."""
        with self.open(owner, file_id)[1] as stream:
            return stream.read()

    def delete(self, owner: str, file_id: str) -> None:
        """Also takes it out of every vector store, on a full disk too: its bytes then go at once. Raises NotFound."""

        def leave() -> int:
            with self._database.write() as db:
                row = locked_file(db, owner, file_id, self._now)
                let_go(db, row)
                return int(row.n)

        self._finish(remove_file_step, self._database.freeing(leave))
        if self._database.short_of_room:
            self._blobs.sweep()
            self._database.reclaim()


def let_go(db: Connection, row: Row[Any]) -> None:
    """row: its uploads are locked. It leaves every vector store and is not found any more; what hangs on it is then to
    be removed (`remove_file_step`).
    """
    locked: set[int] = set()
    while not (stores := {each.store for each in db.execute(_HOLDING, {"number": row.n})}) <= locked:  # or switched
        lock_stores(db, stores)
        locked |= stores
    for attachment in db.execute(_HOLDING, {"number": row.n}).all():  # those that did not leave meanwhile
        remove_attachment(db, attachment)
    leave_file(db, row.n)


def _new_id() -> str:
    return f"file-{secrets.token_hex(12)}"
