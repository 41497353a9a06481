"""The ways that benchmarks.store.load compares, each with both calls: the store's own, and what it could be instead."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from retrieval.database.engine import BINARY, Database
from retrieval.store.base.rows import passage_of
from retrieval.store.base.values import NamedStore, Passage
from retrieval.store.passages import _LOADED
from retrieval.store.store import Store
from retrieval.store.vector_stores import _RESOLVED
from retrieval.types import Chunk

OWNER = "bench"
Passages = dict[int, Passage]

# As the store's own text was until November 2026, with {keys} and the parameters' marks of a driver.
_LOAD_TEXT = """
SELECT c.key, c.id, c.position, c.text, c.first_char, c.last_char, c.headings, c.page, c.token_count,
    d.id AS document_id, d.external_id, d.title, d.url, d.attributes, a.filename, f.id AS file_id,
    s.id AS store_id, c.terms, t.code
FROM chunks c JOIN documents d ON d.n = c.document JOIN store_files a ON a.version = d.version
    JOIN files f ON f.n = a.file JOIN vector_stores s ON s.n = a.store LEFT JOIN token_codes t ON t.chunk = c.key
WHERE a.visible = 1 AND a.store = :store AND c.key {keys}
"""
_NAMED_TEXT = "SELECT n, id FROM vector_stores WHERE owner = :owner"
_RESOLVED_TEXT = f"{_NAMED_TEXT} AND id = :wanted UNION ALL {_NAMED_TEXT} AND name = :wanted ORDER BY n"
_NUMBER_TEXT = "SELECT n FROM vector_stores WHERE id = :store_id AND owner = :owner"
_KEYS_TEXT = {"sqlite": "IN (SELECT value FROM json_each(:keys))", "postgresql": "= ANY (:keys)"}


@dataclass(frozen=True, slots=True)
class Way:
    """load: passages by key, of a vector store that is known. resolve: the id of the one of that name, or id."""

    load: Callable[[Sequence[int]], Passages]
    resolve: Callable[[str], str]


def own(store: Store, named: NamedStore) -> Way:
    return Way(
        lambda keys: store.passages.load(OWNER, named, keys),
        lambda wanted: store.vector_stores.resolve(OWNER, wanted).id,
    )


def core(
    opening: Callable[[], AbstractContextManager[Connection]],
    named: NamedStore,
    read: Callable[[Any], Passages] | None = None,
    **options: Any,
) -> Way:
    """The store's own statements in another opening, read in another way, with other options of execution."""
    statement = _LOADED.execution_options(**options) if options else _LOADED

    def load(keys: Sequence[int]) -> Passages:
        with opening() as db:
            rows = db.execute(statement, {"owner": OWNER, "store": named.number, "keys": keys})
            return read(rows) if read else by_position(rows.all())

    def resolve(wanted: str) -> str:
        with opening() as db:
            return str(db.execute(_RESOLVED, {"owner": OWNER, "wanted": wanted}).all()[0].id)

    return Way(load, resolve)


def hexadecimal(database: Database, named: NamedStore) -> Way:
    return core(database.one, named, **{BINARY: False})


def by_position(rows: Iterable[Any]) -> Passages:
    return {row[0]: passage_of(row) for row in rows}


def by_name(rows: Iterable[Any]) -> Passages:
    return _by(lambda row, name: getattr(row, name), rows)


def by_mapping(rows: Any) -> Passages:
    return _by(lambda row, name: row[name], rows.mappings())


def _by(value: Callable[[Any, str], Any], rows: Iterable[Any]) -> Passages:
    """Of columns that are called as in _LOADED; attributes are a mapping already, or JSON."""
    passages = {}
    for row in rows:
        attributes = value(row, "attributes")
        chunk = Chunk(
            key=value(row, "key"),
            id=value(row, "id"),
            document_id=value(row, "document_id"),
            file_id=value(row, "file_id"),
            store_id=value(row, "store_id"),
            position=value(row, "position"),
            text=value(row, "text"),
            start=value(row, "first_char"),
            end=value(row, "last_char"),
            title=value(row, "title"),
            filename=value(row, "filename"),
            url=value(row, "url"),
            headings=tuple(json.loads(value(row, "headings"))),
            page=value(row, "page"),
            token_count=value(row, "token_count"),
            external_id=value(row, "external_id"),
            attributes=attributes if isinstance(attributes, Mapping) else json.loads(attributes),
        )
        terms = value(row, "terms")
        passages[chunk.key] = Passage(chunk, tuple(terms.split(" ")) if terms else (), value(row, "code") or b"")
    return passages


def plain(db: sqlite3.Connection, store_id: str) -> Way:
    """As the store was, once one of its idle connections had been taken: the vector store is looked up by its id."""
    db.row_factory = sqlite3.Row
    load_text = _LOAD_TEXT.format(keys=_KEYS_TEXT["sqlite"])

    def snapshot(call: Callable[[], Any]) -> Any:
        db.execute("BEGIN")
        try:
            return call()
        finally:
            db.execute("COMMIT")

    def rows(keys: Sequence[int]) -> Passages:
        number = db.execute(_NUMBER_TEXT, {"store_id": store_id, "owner": OWNER}).fetchone()["n"]
        return _by(lambda row, name: row[name], db.execute(load_text, {"store": number, "keys": json.dumps(keys)}))

    def named(wanted: str) -> str:
        return str(db.execute(_RESOLVED_TEXT, {"owner": OWNER, "wanted": wanted}).fetchone()["id"])

    return Way(lambda keys: snapshot(lambda: rows(keys)), lambda wanted: snapshot(lambda: named(wanted)))


def text(database: Database, named: NamedStore) -> Way:
    """The dialect's own SQL, by position."""

    def marked(sql: str) -> str:
        return sql if database.is_sqlite else re.sub(r":(\w+)", r"%(\1)s", sql)

    load_text = marked(_LOAD_TEXT.format(keys=_KEYS_TEXT[database.url.get_backend_name()]))
    resolved_text = marked(_RESOLVED_TEXT)

    def load(keys: Sequence[int]) -> Passages:
        bound = json.dumps(keys) if database.is_sqlite else keys
        with database.one() as db:
            rows = db.exec_driver_sql(load_text, {"store": named.number, "keys": bound}).all()
        return by_position(_parsed(row) for row in rows)

    def resolve(wanted: str) -> str:
        with database.one() as db:
            return str(db.exec_driver_sql(resolved_text, {"owner": OWNER, "wanted": wanted}).all()[0].id)

    return Way(load, resolve)


def _parsed(row: Sequence[Any]) -> Sequence[Any]:
    """SQLAlchemy parses JSON of columns that it knows; in text it knows none. PostgreSQL's driver does it itself."""
    attributes = row[13]
    return (*row[:13], json.loads(attributes) if isinstance(attributes, str) else attributes, *row[14:])
