"""Calls that read do nothing else: they issue no statement that writes, and wait for nobody who does."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import event, text

from retrieval.filters.syntax import Comparison
from retrieval.store.base.values import Attachment, NamedStore, StoreUnavailable
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.databases import Time
from tests.retrieval.publishing import DIM, attach, prepare, publish
from tests.retrieval.store.statements import executed


@dataclass(frozen=True)
class Filled:
    """A vector store with one file, whose passages have these keys, and a batch."""

    store: Store
    named: NamedStore
    file: str
    batch: str
    document: str
    keys: list[int]

    @property
    def vs(self) -> str:
        return self.named.id


@pytest.fixture
def filled(store: Store, vs: str) -> Filled:
    file = publish(store, vs, "a.txt", ["alpha"], {"year": 2024}, lexical=True).file_id
    keys, _ = store.passages.visible_keys(vs)
    batch = store.batches.create("ann", vs, [Attachment(file)]).id
    named = store.vector_stores.resolve("ann", vs)
    (passage,) = store.passages.load("ann", named, keys).values()
    return Filled(store, named, file, batch, passage.chunk.document_id, keys)


CALLS: Mapping[str, Callable[[Filled], object]] = {
    "use": lambda f: f.store.vector_stores.use(f.named),
    "resolve": lambda f: f.store.vector_stores.resolve("ann", "handbook"),
    "find": lambda f: f.store.vector_stores.find("ann", f.vs),
    "named": lambda f: f.store.vector_stores.named("ann"),
    "vector stores": lambda f: f.store.vector_stores.page("ann", before=f.vs),
    "attachment": lambda f: f.store.attachments.get("ann", f.vs, f.file),
    "attachments": lambda f: f.store.attachments.page("ann", f.vs, "completed", after=f.file),
    "parsed content": lambda f: f.store.attachments.content("ann", f.vs, f.file),
    "batch": lambda f: f.store.batches.get("ann", f.vs, f.batch),
    "batch's files": lambda f: f.store.batches.files("ann", f.vs, f.batch, after=f.file),
    "file": lambda f: f.store.files.get("ann", f.file),
    "files": lambda f: f.store.files.page("ann", "assistants", after=f.file),
    "content": lambda f: f.store.files.content("ann", f.file),
    "filter": lambda f: f.store.passages.allowed_keys("ann", f.named, Comparison("eq", "year", (2024,))),
    "load": lambda f: f.store.passages.load("ann", f.named, f.keys),
    "neighbours": lambda f: f.store.passages.neighbours("ann", f.vs, f.document, 0, 9),
    "visible keys": lambda f: f.store.passages.visible_keys(f.vs),
    "keys without": lambda f: f.store.passages.keys_without(f.vs, "lexical_weights"),
    "terms": lambda f: f.store.passages.terms(f.keys),
    "weights": lambda f: f.store.passages.weights(f.keys),
    "vectors": lambda f: f.store.passages.vectors(f.keys, DIM),
    "stores that are followed": lambda f: f.store.changes.store_ids(),
    "state of the log": lambda f: f.store.changes.state(f.vs),
    "changes": lambda f: f.store.changes.after(f.vs, 0, 10),
    "removals": lambda f: f.store.changes.has_removals(f.vs),
    "unfinished": lambda f: f.store.queue.unfinished(),
    "next due": lambda f: f.store.queue.next_due(),
    "nothing to claim": lambda f: f.store.queue.claim("one", 60),
    "next expiry": lambda f: f.store.retention.next_expiry(),
    "nothing to expire": lambda f: f.store.retention.expire(),
    "leftovers": lambda f: f.store.retention.leftovers_due(),
    "nothing to sweep": lambda f: f.store.retention.sweep_blobs(),
}
WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|LOCK|advisory)\b", re.IGNORECASE)


def test_a_call_that_reads_issues_nothing_that_writes_or_locks(filled: Filled) -> None:
    for name, call in CALLS.items():
        with executed(filled.store) as statements:
            call(filled)
        assert [each for each in statements if WRITES.search(each)] == [], name


def test_the_steps_of_ingest_that_read_issue_nothing_that_writes(store: Store, vs: str) -> None:
    attempt = prepare(store, attach(store, vs, "a.txt", "alpha").version, [ParsedDocument("alpha")], embed=False)
    with executed(store) as statements:
        store.versions.pending_texts(attempt, store.versions.pending_keys(attempt))
    assert [each for each in statements if WRITES.search(each)] == []


def test_a_call_that_reads_succeeds_where_nothing_can_be_written(filled: Filled) -> None:
    refusing = "PRAGMA query_only = ON" if filled.store.database.is_sqlite else "SET default_transaction_read_only = on"

    def checked_out(driver: object, *_: object) -> None:
        cursor = driver.cursor()  # type: ignore[attr-defined]
        cursor.execute(refusing)
        cursor.close()

    pool = filled.store.database._engine.pool
    event.listen(pool, "checkout", checked_out)
    with pytest.raises(StoreUnavailable), filled.store.database.one() as db:
        db.execute(text("UPDATE vector_stores SET name = 'new'"))
    for call in CALLS.values():
        call(filled)


def test_no_read_waits_for_a_writer(filled: Filled, time: Time) -> None:
    """Of any row; a use a minute ago is no exception."""
    time.now += 60
    filled.store.vector_stores.use(filled.named)
    with ThreadPoolExecutor(1) as pool, filled.store.database.write() as db:  # where a read waits, the write ends first
        for table, column in (("vector_stores", "name"), ("files", "filename"), ("store_files", "filename")):
            db.execute(text(f"UPDATE {table} SET {column} = 'unseen'"))
        answered = [pool.submit(call, filled).result(timeout=60) for call in CALLS.values()]
    assert len(answered) == len(CALLS)


def test_a_search_asks_the_database_twice_and_begins_no_transaction(filled: Filled) -> None:
    """Which on SQLite would be a statement of its own."""
    store = filled.store
    with executed(store) as statements:
        named = store.vector_stores.resolve("ann", "handbook")
        store.vector_stores.use(named)
        assert list(store.passages.load("ann", named, filled.keys)) == filled.keys
    assert len(statements) == 2
    assert all(each.startswith("SELECT") for each in statements)
