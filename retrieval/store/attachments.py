"""The files attached to a vector store; those of equal names and bytes share a version of that filename there."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, insert, null, select, update

from retrieval.characters import same
from retrieval.store.base.attaching import (
    first_attachment,
    further_attachment,
    remove_attachment,
    set_attributes,
    sharing,
)
from retrieval.store.base.guards import file_row, kept_file, live_store, locked_store, store_number
from retrieval.store.base.removal import discard, remove_siblings, remove_versions, remove_versions_step
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import (
    ATTACHED,
    TRIED_ANEW,
    Order,
    cursor_values,
    cutting_of,
    page,
    store_file_of,
)
from retrieval.store.base.tables import attachments, documents, store_files, vector_stores
from retrieval.store.base.values import Attachment, FileStatus, NotFound, Page, StoreFile
from retrieval.store.outbox.events import announce_batches
from retrieval.types import Attributes, Chunking

_C = store_files.c
_A = attachments.c
_ONE = ATTACHED.where(_A.n == bindparam("number"))
# The newest: names that ragpod told apart before they were composed may have left two of one file.
_OWN = ATTACHED.where(_A.store == bindparam("store"), _A.file == bindparam("file")).order_by(_A.n.desc())
_ROW = select(attachments).where(_A.n == bindparam("number"))
_SAME = select(store_files).where(
    _C.store == bindparam("store"), _C.filename == bindparam("filename"), _C.sha256 == bindparam("sha256")
)
_OTHERS = (
    select(_C.version)
    .where(_C.store == bindparam("store"), _C.filename == bindparam("filename"), _C.sha256 != bindparam("sha256"))
    .where(_C.status == "in_progress", _C.visible == 0)
    .order_by(_C.version)
)
_IN_STORE = ATTACHED.where(_A.store == bindparam("store"))
_TEXTS = select(documents.c.text).where(documents.c.version == bindparam("version")).order_by(documents.c.ordinal)
_NAMED = _C.version == bindparam("of_version")
_VERSION = select(_C.version, _C.store, _C.filename, _C.status).where(_NAMED)
_KNOWN_BY = ("store", "filename", "sha256")
_NOBODYS = {"leased_by": null(), "lease_until": null()}
_PUT_UP_AGAIN = (
    update(store_files)
    .where(_NAMED)
    .values(
        status="in_progress",
        stage="accepted",
        error_code=null(),
        error_message=null(),
        warnings=null(),
        attempt=_C.attempt + 1,
        **TRIED_ANEW,
        **_NOBODYS,
    )
)
_NEWER = (
    select(_C.version)
    .where(_C.store == bindparam("store"), _C.filename == bindparam("filename"), _C.version > bindparam("version"))
    .where(_C.status.in_(("in_progress", "completed")))
    .limit(1)
)
_CANCEL = (
    update(store_files)
    .where(_NAMED, _C.status == "in_progress", _C.visible == 0)
    .values(status="cancelled", documents=0, chunks=0, embedded=0, **_NOBODYS)
)
_TOUCH = update(vector_stores).where(vector_stores.c.n == bindparam("number")).values(last_active_at=bindparam("now"))


class Attachments(Repository):
    """/v1/vector_stores/{id}/files. A file is named by its own id alone, whatever others have the same content."""

    def attach(
        self,
        owner: str,
        store_id: str,
        file_id: str,
        attributes: Attributes | None = None,
        chunking: Chunking | Literal["auto"] | None = None,
    ) -> StoreFile:
        """Puts the file up for ingest: status in_progress, stage accepted.

        The same file again changes nothing but its attributes, and starts again where it had failed or been cancelled;
        with another chunking it is ingested anew, and not found until that is done. So does another file of the same
        name and bytes, which is attached beside it: ingested and found once, with the attributes that were set last,
        until the last of them leaves. New content under a filename replaces the old, in all files that had it; it stays
        visible until the new is embedded, and a version of that filename still in progress is cancelled. Raises
        NotFound, Expired.
        """
        with self._database.write() as db:
            kept_file(db, owner, file_id, self._now)
            store = live_store(db, owner, store_id, self._uses, self._now)
            number = attach(db, owner, store, Attachment(file_id, attributes, chunking), self._now)
            return store_file_of(_one(db, number))

    def get(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Raises NotFound."""
        with self._database.read() as db:
            return store_file_of(self._attached(db, owner, store_id, file_id))

    def page(
        self,
        owner: str,
        store_id: str,
        status: FileStatus | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[StoreFile]:
        """By time of attaching. after, before: file ids. Raises NotFound, UnknownCursor."""

        def number(cursor: str) -> int:
            return int(self._attached(db, owner, store_id, cursor).number)

        with self._database.read() as db:
            wanted = _IN_STORE.params(store=store_number(db, owner, store_id))
            if status is not None:
                wanted = wanted.where(_C.status == status)
            cursors = cursor_values(number, after, before)
            rows, more = page(db, wanted, _A.n, limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def content(self, owner: str, store_id: str, file_id: str) -> list[str]:
        """The parsed text, one string a document, in the file's order. Raises NotFound."""
        with self._database.read() as db:
            version = self._attached(db, owner, store_id, file_id).version
            return list(db.scalars(_TEXTS, {"version": version}))

    def update_attributes(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> StoreFile:
        """Replaces the file's attributes; filters see the new ones at once. Raises NotFound."""
        with self._database.write() as db:
            kept_file(db, owner, file_id, self._now)
            locked_store(db, owner, store_id)
            number = self._attached(db, owner, store_id, file_id).number
            set_attributes(db, _row(db, number), attributes)
            return store_file_of(_one(db, number))

    def retry(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Puts a failed or cancelled ingest up again, for all files that share it; anything else stays as it is, also
        where newer content has come under its filename: it would replace that. Raises NotFound, Expired.
        """
        with self._database.write() as db:
            kept_file(db, owner, file_id, self._now)
            store = live_store(db, owner, store_id, self._uses, self._now)
            attached = self._attached(db, owner, store_id, file_id)
            version = db.execute(_VERSION, {"of_version": attached.version}).one()
            if version.status in ("failed", "cancelled") and db.execute(_NEWER, version._asdict()).first() is None:
                _put_up_again(db, version.store, version.version)
                db.execute(_TOUCH, {"number": store.n, "now": self._now})
            return store_file_of(_one(db, attached.number))

    def cancel(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Stops an ingest that is in progress, for all files that share it; anything else stays as it is.

        Raises NotFound.
        """

        def cancel() -> StoreFile:
            with self._database.write() as db:
                store = locked_store(db, owner, store_id)
                attached = self._attached(db, owner, store_id, file_id)
                if cancel_versions(db, store.n, [attached.version]):
                    announce_batches(db, [store.n], self._clock())
                return store_file_of(_one(db, attached.number))

        return self._database.freeing(cancel)

    def detach(self, owner: str, store_id: str, file_id: str) -> None:
        """Takes it out of the vector store; the file itself stays, and others of the same content. Raises NotFound."""

        def detach() -> int:
            with self._database.write() as db:
                kept_file(db, owner, file_id, self._now)
                locked_store(db, owner, store_id)
                row = _row(db, self._attached(db, owner, store_id, file_id).number)
                remove_attachment(db, row)
                return int(row.store)

        self._finish(remove_versions_step, self._database.freeing(detach))

    def _attached(self, db: Connection, owner: str, store_id: str, file_id: str) -> Row[Any]:
        store = store_number(db, owner, store_id)
        row = _own(db, store, file_row(db, owner, file_id, self._now).n)
        if row is None:
            raise NotFound(f"no file {file_id!r} in vector store {store_id!r}")
        return row


def attach(db: Connection, owner: str, store: Row[Any], wanted: Attachment, now: int) -> int:
    """Attachments.attach in a transaction that holds the file and the vector store: the attachment's number.

    Raises NotFound.
    """
    file = file_row(db, owner, wanted.file_id, now)
    named = _names(store.n, file)
    cancel_versions(db, store.n, list(db.scalars(_OTHERS, named)))
    usual = cutting_of(store.cutting).chunking
    chunking = usual if wanted.chunking == "auto" else wanted.chunking
    held = db.execute(_SAME, named).first()
    own = None if held is None else next((row for row in sharing(db, held.version) if row.file == file.n), None)
    attributes, before = wanted.attributes, own or held
    if attributes is None and before is not None:
        attributes = before.attributes
    number: int | None = None if own is None else own.n
    if held is not None and chunking not in (None, _chunking(held)):
        number = _cut_anew(db, held, file.n, chunking or usual, attributes or {}, now)
    elif held is None:
        number = first_attachment(db, _inserted(db, named, file.n, attributes or {}, chunking or usual, now))
    else:
        if number is None:
            number = further_attachment(db, held, file.n, attributes or {}, now)
        if wanted.attributes is not None and (held.attributes, _row(db, number).attributes) != (attributes, attributes):
            set_attributes(db, _row(db, number), wanted.attributes)
        if held.status in ("failed", "cancelled"):
            _put_up_again(db, held.store, held.version)
    db.execute(_TOUCH, {"number": store.n, "now": now})
    return number


def _cut_anew(db: Connection, held: Row[Any], file: int, chunking: Chunking, attributes: Attributes, now: int) -> int:
    """Another version in the place of `held`, for all files that have it."""
    others = [each for each in sharing(db, held.version) if each.file != file]
    remove_versions(db, held.store, [held.version])
    made = _inserted(db, held._asdict(), file, attributes, chunking, now)
    number = first_attachment(db, made)
    for each in others:
        further_attachment(db, made, each.file, each.attributes, each.created_at)
    return number


def cancel_versions(db: Connection, store: int, versions: Iterable[int]) -> int:
    """Of those that are in progress and not yet visible; how many these were. The vector store is held."""
    count = 0
    for version in versions:
        if db.execute(_CANCEL, {"of_version": version}).rowcount:
            discard(db, version)
            remove_siblings(db, store, [version])
            count += 1
    return count


def _put_up_again(db: Connection, store: int, version: int) -> None:
    db.execute(_PUT_UP_AGAIN, {"of_version": version})
    remove_siblings(db, store, [version])


def _inserted(
    db: Connection, named: Mapping[str, Any], file: int, attributes: Attributes, cut: Chunking, now: int
) -> Row[Any]:
    """named: with what a version is known by, and its owner."""
    row = {**{name: named[name] for name in ("owner", *_KNOWN_BY)}, "file": file, "attributes": attributes}
    made = insert(store_files).returning(store_files)
    row |= {"created_at": now, "chunk_size": cut.size, "chunk_overlap": cut.overlap}
    return db.execute(made, row).one()


def _chunking(version: Row[Any]) -> Chunking:
    return Chunking(version.chunk_size, version.chunk_overlap)


def _names(store: int, file: Row[Any]) -> dict[str, Any]:
    """Its owner, and what a version is known by: 가.txt replaces 가.txt, whichever of them macOS has written."""
    return {"owner": file.owner, **dict(zip(_KNOWN_BY, (store, same(file.filename), file.sha256), strict=True))}


def _own(db: Connection, store: int, file: int) -> Row[Any] | None:
    return db.execute(_OWN, {"store": store, "file": file}).first()


def _one(db: Connection, number: int) -> Row[Any]:
    return db.execute(_ONE, {"number": number}).one()


def _row(db: Connection, number: int) -> Row[Any]:
    return db.execute(_ROW, {"number": number}).one()
