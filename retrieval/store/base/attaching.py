"""Files of equal names and bytes in a vector store: each is attached by itself, and all share one version.

Parsed, embedded and found once. Passages tell one of the files, the one whose attributes were set last; when it leaves,
the oldest of those that stay. In the caller's transaction, which holds the files (guards.py) and the vector store.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, null, select, update

from retrieval.database.constructs import merged
from retrieval.store.base.composition import composed
from retrieval.store.base.removal import end_in_batches, leave_versions, siblings
from retrieval.store.base.tables import attachments, documents, store_files
from retrieval.types import Attributes

_A, _V = attachments.c, store_files.c
_INSERT = insert(attachments).returning(_A.n)
_OF_VERSION = select(attachments).where(_A.version == bindparam("version")).order_by(_A.n)
_DELETE = delete(attachments).where(_A.n == bindparam("number"))
_ONE = update(store_files).where(_V.version == bindparam("of_version"))
_MORE = _ONE.values(files=_V.files + bindparam("more"))
_SET_OWN = (
    update(attachments)
    .where(_A.n == bindparam("number"))
    .values(attributes=bindparam("given", type_=_A.attributes.type))
)
_TOLD_AS = _ONE.values(file=bindparam("of_file"), attributes=bindparam("given", type_=_V.attributes.type))
_SET_OF_DOCUMENTS = (
    update(documents)
    .where(documents.c.version == bindparam("of_version"))
    .values(
        attributes=merged(bindparam("given", type_=_V.attributes.type), documents.c.own_attributes),
        composed=merged(bindparam("composed", type_=_V.attributes.type), documents.c.own_attributes),
    )
)
# Whoever works at it reads a file that leaves: the next attempt reads another, and goes on from the same stage.
_WORK_GOES_ON = _ONE.where(_V.status == "in_progress", _V.visible == 0).values(
    attempt=_V.attempt + 1, leased_by=null(), lease_until=null()
)


def first_attachment(db: Connection, version: Row[Any]) -> int:
    """Of a new version, told as the file and with the attributes that it was made with."""
    return _inserted(db, version, version.file, version.attributes, version.created_at)


def further_attachment(db: Connection, version: Row[Any], file: int, attributes: Attributes, now: int) -> int:
    """Of a version that others have already; what passages tell stays as it is."""
    db.execute(_MORE, {"of_version": version.version, "more": 1})
    return _inserted(db, version, file, attributes, now)


def _inserted(db: Connection, version: Row[Any], file: int, attributes: Mapping[str, Any], now: int) -> int:
    row = {"store": version.store, "version": version.version, "file": file}
    number: int = db.execute(_INSERT, {**row, "attributes": attributes, "created_at": now}).scalar_one()
    return number


def sharing(db: Connection, version: int) -> list[Row[Any]]:
    """Rows of attachments, the oldest first."""
    return list(db.execute(_OF_VERSION, {"version": version}))


def set_attributes(db: Connection, attachment: Row[Any], attributes: Attributes) -> None:
    """Its own, and what passages tell from now on."""
    db.execute(_SET_OWN, {"number": attachment.n, "given": attributes})
    _tell(db, attachment, attachment.file, attributes)


def remove_attachment(db: Connection, attachment: Row[Any]) -> None:
    """The version stays for the others that have it, and leaves with the last: its rows are to be removed then."""
    stay = [each for each in sharing(db, attachment.version) if each.n != attachment.n]
    if not stay:
        leave_versions(db, attachment.store, [attachment.version])
        return
    end_in_batches(db, attachment.n)
    db.execute(_DELETE, {"number": attachment.n})
    db.execute(_MORE, {"of_version": attachment.version, "more": -1})
    told = select(_V.file).where(_V.version == attachment.version)
    if db.execute(told).scalar_one() == attachment.file:
        for version in _tell(db, attachment, stay[0].file, stay[0].attributes):
            db.execute(_WORK_GOES_ON, {"of_version": version})


def _tell(db: Connection, attachment: Row[Any], file: int, attributes: Attributes) -> list[int]:
    """In every generation: the versions that tell it now."""
    beside = siblings(db, attachment.store, [attachment.version])
    versions = [attachment.version, *(each.version for each in beside)]
    for version in versions:
        named = {"of_version": version, "given": attributes}
        db.execute(_TOLD_AS, {**named, "of_file": file})
        db.execute(_SET_OF_DOCUMENTS, {**named, "composed": composed(attributes)})
    return versions
