"""Vector stores: found by id or name, listed with their files counted, changed, used, deleted."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from retrieval.characters import same
from retrieval.database.columns import to_json
from retrieval.database.constructs import any_of
from retrieval.database.engine import Database
from retrieval.store.attachments import attach
from retrieval.store.base.guards import kept_file, live_store, locked_store, store_number
from retrieval.store.base.removal import leave_store, remove_store_step
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import PROGRESS, Order, cursor_values, cutting_code, page, progress_of, vector_store_of
from retrieval.store.base.tables import store_files, vector_stores
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import (
    STORE_PREFIX,
    Attachment,
    FileCounts,
    NamedStore,
    NotFound,
    Page,
    Progress,
    VectorSpace,
    VectorStore,
)
from retrieval.types import Cutting

_C = vector_stores.c
_FOUND = _C.generation_of.is_(None)
_OWN = select(vector_stores).where(_C.owner == bindparam("owner"), _FOUND)
_NAMED = (
    select(_C.n, _C.id, _C.name, _C.created_at, _C.last_active_at, _C.expires_days, _C.expired, _C.head)
    .add_columns(_C.embedder, _C.dim, _C.lexical, _C.index_id)
    .where(_C.owner == bindparam("owner"), _FOUND)
)
_EVERY_NAMED = _NAMED.order_by(_C.n)
# By id in a branch of its own: each has an index.
_RESOLVED = _NAMED.where(_C.id == bindparam("wanted_id")).union_all(
    _NAMED.where(_C.composed_name == bindparam("wanted_name"))
)
_ROW = select(vector_stores).where(_C.n == bindparam("number"))
# One pass over an index that has all of it, however many vector stores.
_COUNTS = (
    select(
        store_files.c.store, store_files.c.status, func.sum(store_files.c.files), func.sum(store_files.c.usage_bytes)
    )
    .where(any_of(store_files.c.store, "numbers"))
    .group_by(store_files.c.store, store_files.c.status)
)
_PROGRESS = PROGRESS.where(store_files.c.store == bindparam("number"))
_CHANGE = update(vector_stores).where(_C.n == bindparam("number"))


class VectorStores(Repository):
    """/v1/vector_stores. Every call takes the owner, and another owner's id is NotFound. cutting: of new ones."""

    def __init__(self, database: Database, clock: Callable[[], float], uses: Uses, cutting: Cutting) -> None:
        super().__init__(database, clock, uses)
        self._cutting = cutting

    def create(
        self,
        owner: str,
        name: str,
        metadata: Mapping[str, str] | None = None,
        *,
        description: str = "",
        expires_days: int | None = None,
        files: Sequence[Attachment] = (),
    ) -> VectorStore:
        """Names need not be unique. files: attached to it; one that is unknown, and there is no vector store.

        Raises NotFound.
        """
        with self._database.write() as db:
            now = self._now
            for file_id in sorted({wanted.file_id for wanted in files}):
                kept_file(db, owner, file_id, now)
            created = self._created(db, owner, name, metadata or {}, description, expires_days)
            for wanted in files:
                attach(db, owner, created, wanted, now)
            return self._counted(db, [_row(db, created.n)])[0]

    def ensure(self, owner: str, name: str) -> VectorStore:
        """The first of that name as `resolve` finds it, made where there is none; two callers at once get one store."""
        with self._database.write() as db:
            self._database.exclude(db, f"vector store {owner} {same(name)}")
            live = [store for store in self._resolved(db, owner, name) if not store.expired]
            found = [store for store in live if same(store.name) == same(name)]
            number = found[0].number if found else self._created(db, owner, name, {}, "", None).n
            return self._counted(db, [_row(db, number)])[0]

    def resolve(self, owner: str, id_or_name: str) -> NamedStore:
        """By id, else the oldest of that name, one that has not expired first; of names that only look like it where
        there is none. One statement, which takes as long for one file as for 50,000. Raises NotFound.
        """
        with self._database.one() as db:
            found = self._resolved(db, owner, id_or_name)
        if not found:
            raise NotFound(f"no vector store {id_or_name!r}")
        return found[0]

    def find(self, owner: str, id_or_name: str) -> VectorStore:
        """As `resolve`, with the counts of its files, which take a time that grows with them. Raises NotFound."""
        found = self.resolve(owner, id_or_name)
        with self._database.read() as db:
            return self._counted(db, [_row(db, store_number(db, owner, found.id))])[0]

    def progress(self, owner: str, store_id: str) -> Progress:
        """Of the ingest of all its files, each content counted once. Raises NotFound."""
        with self._database.read() as db:
            return progress_of(db.execute(_PROGRESS, {"number": store_number(db, owner, store_id)}))

    def named(self, owner: str) -> list[NamedStore]:
        """All of them, oldest first, without counts."""
        with self._database.one() as db:
            return [self._name_of(row) for row in db.execute(_EVERY_NAMED, {"owner": owner})]

    def page(
        self, owner: str, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[VectorStore]:
        """By creation. after, before: ids of vector stores. Raises UnknownCursor."""
        with self._database.read() as db:
            cursors = cursor_values(lambda cursor: store_number(db, owner, cursor), after, before)
            rows, more = page(db, _OWN.params(owner=owner), _C.n, limit, order, *cursors)
            return Page(self._counted(db, rows), more)

    def update(
        self,
        owner: str,
        store_id: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_days: int | None = None,
    ) -> VectorStore:
        """None leaves a field as it is; expires_days 0: for ever. Raises NotFound, Expired."""
        with self._database.write() as db:
            number = live_store(db, owner, store_id, self._uses, self._now).n
            given: dict[str, Any] = {} if name is None else {"name": name, "composed_name": same(name)}
            given |= {} if metadata is None else {"metadata": to_json(dict(metadata))}
            given |= {} if expires_days is None else {"expires_days": expires_days or None}
            if given:
                db.execute(_CHANGE.values(given), {"number": number})
            return self._counted(db, [_row(db, number)])[0]

    def delete(self, owner: str, store_id: str) -> None:
        """With all that it holds; the files themselves stay. Raises NotFound."""

        def leave() -> list[int]:
            with self._database.write() as db:
                return leave_store(db, locked_store(db, owner, store_id).n)

        for number in self._database.freeing(leave):
            self._finish(remove_store_step, number)

    def use(self, store: NamedStore) -> None:
        """It is searched: its time to expiry begins anew, in memory; `Retention.write_uses` writes it down."""
        self._uses.note(store.number, self._now)

    def _created(
        self,
        db: Connection,
        owner: str,
        name: str,
        metadata: Mapping[str, str],
        description: str,
        expires_days: int | None,
    ) -> Row[Any]:
        now, store_id = self._now, f"{STORE_PREFIX}{secrets.token_hex(12)}"
        row = {
            "id": store_id,
            "index_id": store_id,
            "cutting": cutting_code(self._cutting),
            "owner": owner,
            "name": name,
            "composed_name": same(name),
            "metadata": to_json(dict(metadata)),
            "created_at": now,
            "last_active_at": now,
            "description": description,
            "expires_days": expires_days,
        }
        return db.execute(insert(vector_stores).returning(vector_stores), row).one()

    def _resolved(self, db: Connection, owner: str, id_or_name: str) -> list[NamedStore]:
        """Of that id or that name, best first."""
        rows = db.execute(_RESOLVED, {"owner": owner, "wanted_id": id_or_name, "wanted_name": same(id_or_name)})
        key = attrgetter("expired", "number")
        return sorted(map(self._name_of, rows), key=lambda s: (s.id != id_or_name, s.name != id_or_name, *key(s)))

    def _name_of(self, row: Row[Any]) -> NamedStore:
        space = VectorSpace(row.embedder, row.dim, bool(row.lexical)) if row.embedder else None
        expired = self._uses.has_expired(row, self._now)
        return NamedStore(row.id, row.name, row.created_at, expired, row.n, row.head, space, row.index_id)

    def _counted(self, db: Connection, rows: Sequence[Row[Any]]) -> list[VectorStore]:
        """rows: of vector_stores, read in the same transaction."""
        counts: dict[int, dict[str, int]] = {row.n: {} for row in rows}
        usage = dict.fromkeys(counts, 0)
        for number, status, count, held in db.execute(_COUNTS, {"numbers": list(counts)}):
            counts[number][status] = int(count)
            usage[number] += int(held)
        now = self._now
        return [vector_store_of(r, FileCounts(**counts[r.n]), usage[r.n], self._uses, now) for r in rows]


def _row(db: Connection, number: int) -> Row[Any]:
    return db.execute(_ROW, {"number": number}).one()
