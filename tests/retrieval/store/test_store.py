import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from retrieval.filters.syntax import Comparison
from retrieval.passages.identity import identify
from retrieval.store import database
from retrieval.store.store import DataDirLocked, EmbedderMismatch, NewerDatabase, NotFound, Store, holder_of
from retrieval.store.types import (
    DAY,
    Attachment,
    Expired,
    StoreConflict,
    StoreFull,
    StoreUnavailable,
    Superseded,
    UnknownCursor,
)
from retrieval.types import AUTO, Attributes, Chunking, ParsedDocument
from tests.retrieval.publishing import DIM, attach, prepare, publish, texts, vector


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def vs(store: Store) -> str:
    return store.create_store("ann", "handbook").id


def test_a_store_is_found_by_id_and_by_name(store: Store) -> None:
    first = store.create_store("ann", "handbook", {"team": "문서"})
    store.create_store("ann", "handbook")
    assert store.find_store("ann", first.id).metadata == {"team": "문서"}
    assert store.find_store("ann", "handbook").id == first.id


def test_two_callers_that_ensure_one_name_at_once_get_one_store(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = {found.id for found in pool.map(lambda _: store.ensure_store("ann", "handbook"), range(8))}
    assert len(ids) == 1


def test_a_store_can_be_renamed_and_deleted(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    assert store.update_store("ann", vs, name="manual", metadata={"k": "v"}).name == "manual"
    assert store.update_store("ann", vs).metadata == {"k": "v"}
    store.delete_store("ann", vs)
    with pytest.raises(NotFound):
        store.find_store("ann", vs)
    with store.read() as db:
        left = [db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("chunks", "vectors", "changes")]
    assert left == [0, 0, 0]
    assert len(store.list_files("ann").items) == 1


def test_pages_follow_each_other_in_both_directions(store: Store) -> None:
    ids = [store.create_store("ann", str(i)).id for i in range(5)]
    page = store.list_stores("ann", limit=2)
    assert [each.id for each in page.items] == [ids[4], ids[3]]
    assert page.has_more
    page = store.list_stores("ann", limit=3, after=ids[3])
    assert [each.id for each in page.items] == [ids[2], ids[1], ids[0]]
    assert not page.has_more
    page = store.list_stores("ann", limit=2, order="asc", before=ids[4])
    assert [each.id for each in page.items] == [ids[2], ids[3]]
    assert page.has_more
    with pytest.raises(UnknownCursor, match="after is 'vs_none'"):
        store.list_stores("ann", after="vs_none")


def test_files_are_listed_by_purpose(store: Store) -> None:
    one = store.add_file("ann", "a.txt", b"1")
    store.add_file("ann", "b.txt", b"2", purpose="user_data")
    assert [file.id for file in store.list_files("ann", "assistants").items] == [one.id]
    assert len(store.list_files("ann").items) == 2


def test_the_same_upload_is_the_same_file_and_other_names_are_others(store: Store) -> None:
    first = store.add_file("ann", "a.txt", b"same bytes")
    assert store.add_file("ann", "a.txt", b"same bytes") == first
    other = store.add_file("ann", "b.txt", b"same bytes")
    assert other.id != first.id
    store.delete_file("ann", first.id)
    assert store.file_content("ann", other.id) == b"same bytes"
    store.delete_file("ann", other.id)
    with store.read() as db:
        assert db.execute("SELECT count(*) FROM contents").fetchone()[0] == 0


def test_attaching_the_same_content_again_changes_nothing(store: Store, vs: str) -> None:
    first = publish(store, vs, "a.txt", ["alpha", "beta"], {"year": 2024})
    again = publish(store, vs, "a.txt", ["alpha", "beta"])
    assert again == first
    assert texts(store, vs) == ["alpha", "beta"]


def test_another_upload_of_the_same_content_finds_the_attached_file(store: Store, vs: str) -> None:
    attached = attach(store, vs, "a.txt", "alpha")
    twin = store.add_file("ann", "a.txt", b"alpha", purpose="user_data")
    assert twin.id != attached.file_id
    assert store.attach("ann", vs, twin.id) == attached
    assert store.get_store_file("ann", vs, twin.id) == attached


def test_clients_that_attach_one_file_at_once_make_one_version(store: Store, vs: str) -> None:
    barrier = threading.Barrier(8)

    def one_client(_: int) -> int:
        barrier.wait()
        return attach(store, vs, "a.txt", "alpha").version

    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(one_client, range(8)))
    assert len(versions) == 1
    assert store.unfinished() == list(versions)


def test_a_pending_version_is_not_seen_and_the_old_one_stays_until_it_is_published(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "new")
    attempt = prepare(store, new.version, [ParsedDocument("new")])
    assert texts(store, vs) == ["old"]
    assert store.publish(attempt)
    assert texts(store, vs) == ["new"]
    assert [each.file_id for each in store.list_store_files("ann", vs).items] == [new.file_id]


def test_a_version_without_all_its_vectors_is_not_published(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "new")
    attempt = prepare(store, new.version, [ParsedDocument("new")], embed=False)
    assert not store.publish(attempt)
    assert texts(store, vs) == ["old"]
    assert store.get_store_file("ann", vs, new.file_id).stage == "accepted"


def test_a_failed_replacement_leaves_the_old_version_visible(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "broken")
    attempt = prepare(store, new.version, [ParsedDocument("broken")])
    store.fail(attempt, "invalid_file", "it is broken")
    failed = store.get_store_file("ann", vs, new.file_id)
    assert (failed.status, failed.error and failed.error.message) == ("failed", "it is broken")
    assert texts(store, vs) == ["old"]
    assert attach(store, vs, "a.txt", "broken").status == "in_progress"


def test_the_latest_version_of_a_filename_cancels_the_one_in_progress(store: Store, vs: str) -> None:
    middle = attach(store, vs, "a.txt", "middle")
    middle_attempt = prepare(store, middle.version, [ParsedDocument("middle")])
    last = attach(store, vs, "a.txt", "last")
    assert store.get_store_file("ann", vs, middle.file_id).status == "cancelled"
    with pytest.raises(Superseded):
        store.publish(middle_attempt)
    last_attempt = prepare(store, last.version, [ParsedDocument("last")])
    assert store.publish(last_attempt)
    assert texts(store, vs) == ["last"]


def test_rows_that_did_not_change_keep_their_keys_and_are_not_embedded_again(store: Store, vs: str) -> None:
    publish(store, vs, "a.csv", ["one", "two", "three"])
    before, _ = store.visible_keys(vs)
    new = attach(store, vs, "a.csv", "another")
    attempt = prepare(store, new.version, [ParsedDocument(t) for t in ("zero", "three", "one")], embed=False)
    assert store.pending_texts(attempt, store.pending_keys(attempt)) == ["zero"]
    attempt = prepare(store, new.version, [ParsedDocument(t) for t in ("zero", "three", "one")])
    assert store.publish(attempt)
    after, _ = store.visible_keys(vs)
    assert set(before) & set(after) == {before[0], before[2]}
    assert store.store_file_content("ann", vs, new.file_id) == ["zero", "three", "one"]
    log = [(change.key, change.added) for change in store.changes(vs, 3, 100)]
    assert sorted(log) == sorted([(before[1], False), (max(after), True)])


def test_a_passage_known_from_another_file_is_not_embedded_again(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    copy = attach(store, vs, "b.txt", "alpha")
    attempt = prepare(store, copy.version, [ParsedDocument("alpha")], embed=False)
    assert store.pending_keys(attempt) == []
    assert store.publish(attempt)
    keys, rows = store.index_vectors(store.visible_keys(vs)[0], DIM)
    assert len(keys) == 2
    np.testing.assert_allclose(rows, [vector("alpha")] * 2, atol=1e-3)


def test_a_kept_row_whose_file_goes_away_is_worked_through_again(store: Store, vs: str) -> None:
    old = publish(store, vs, "a.csv", ["one", "two"])
    new = attach(store, vs, "a.csv", "another")
    rows = [ParsedDocument("one"), ParsedDocument("new")]
    attempt = prepare(store, new.version, rows)
    store.detach("ann", vs, old.file_id)
    assert not store.publish(attempt)
    attempt = prepare(store, new.version, rows)
    assert store.publish(attempt)
    assert sorted(texts(store, vs)) == ["new", "one"]


def test_deleted_and_added_again_is_there_again(store: Store, vs: str) -> None:
    first = publish(store, vs, "a.txt", ["alpha"])
    before = store.load_passages("ann", vs, store.visible_keys(vs)[0])
    store.delete_file("ann", first.file_id)
    assert texts(store, vs) == []
    publish(store, vs, "a.txt", ["alpha"])
    after = store.load_passages("ann", vs, store.visible_keys(vs)[0])
    assert [p.chunk.id for p in after.values()] == [p.chunk.id for p in before.values()]
    assert set(after).isdisjoint(before)
    assert [change.added for change in store.changes(vs, 0, 9)] == [True, False, True]


def test_identical_pages_keep_distinct_ids(store: Store, vs: str) -> None:
    publish(store, vs, "a.pdf", ["this page is left blank"] * 3)
    chunks = [p.chunk for p in store.load_passages("ann", vs, store.visible_keys(vs)[0]).values()]
    assert len({chunk.id for chunk in chunks}) == 3
    assert len({chunk.document_id for chunk in chunks}) == 3


def test_neighbours_come_in_their_order(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    (passage,) = store.load_passages("ann", vs, store.visible_keys(vs)[0]).values()
    assert passage.terms == ("alpha",)
    assert passage.token_code == b"code"
    chunks = store.document_chunks("ann", vs, passage.chunk.document_id, 0, 3)
    assert chunks == [passage.chunk]


def test_attributes_of_the_file_and_of_the_row_are_one_set_for_filters(store: Store, vs: str) -> None:
    attached = publish(store, vs, "a.csv", ["one", "two"], {"lang": "ko", "year": 2024}, [{"year": 2025}, {"n": 1}])
    keys, _ = store.visible_keys(vs)

    def allowed(key: str, value: str | int) -> list[int]:
        return sorted(store.allowed_keys("ann", vs, Comparison("eq", key, (value,))))

    assert allowed("year", 2025) == [keys[0]]
    assert allowed("year", 2024) == [keys[1]]
    store.update_attributes("ann", vs, attached.file_id, {"lang": "en"})
    assert allowed("lang", "en") == keys
    assert allowed("year", 2024) == []
    assert allowed("year", 2025) == [keys[0]]


def test_vectors_of_another_model_are_refused_until_the_store_is_empty(store: Store, vs: str) -> None:
    held = publish(store, vs, "a.txt", ["alpha"])
    attempt = store.take_up(attach(store, vs, "b.txt", "beta").version).attempt
    for name, dim in (("synthetic", DIM * 2), ("other", DIM)):
        with pytest.raises(EmbedderMismatch, match="holds vectors of synthetic"):
            store.claim_embedder(attempt, name, dim)
    store.detach("ann", vs, held.file_id)
    store.claim_embedder(attempt, "other", DIM)
    assert store.find_store("ann", vs).embedder == "other"


def test_counts_and_usage_follow_the_files(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    attach(store, vs, "b.txt", "beta")
    cancelled = attach(store, vs, "c.txt", "gamma")
    store.cancel("ann", vs, cancelled.file_id)
    found = store.find_store("ann", vs)
    assert (found.counts.completed, found.counts.in_progress, found.counts.cancelled) == (1, 1, 1)
    assert found.counts.total == 3
    assert found.usage_bytes == len("alpha") + 2 * DIM + len(b"code")
    assert [each.file_id for each in store.list_store_files("ann", vs, "cancelled").items] == [cancelled.file_id]


Call = Callable[[Store, str, str, str], object]


@pytest.mark.parametrize(
    "call",
    [
        lambda s, who, vs, f: s.find_store(who, vs),
        lambda s, who, vs, f: s.resolve(who, vs),
        lambda s, who, vs, f: s.find_store(who, "handbook"),
        lambda s, who, vs, f: s.update_store(who, vs, name="mine"),
        lambda s, who, vs, f: s.delete_store(who, vs),
        lambda s, who, vs, f: s.list_stores(who, after=vs),
        lambda s, who, vs, f: s.get_file(who, f),
        lambda s, who, vs, f: s.file_content(who, f),
        lambda s, who, vs, f: s.delete_file(who, f),
        lambda s, who, vs, f: s.list_files(who, before=f),
        lambda s, who, vs, f: s.attach(who, vs, f),
        lambda s, who, vs, f: s.attach(who, s.create_store(who, "mine").id, f),
        lambda s, who, vs, f: s.attach(who, vs, s.add_file(who, "a.txt", b"alpha\n()").id),
        lambda s, who, vs, f: s.get_store_file(who, vs, f),
        lambda s, who, vs, f: s.list_store_files(who, vs),
        lambda s, who, vs, f: s.store_file_content(who, vs, f),
        lambda s, who, vs, f: s.update_attributes(who, vs, f, {"a": 1}),
        lambda s, who, vs, f: s.cancel(who, vs, f),
        lambda s, who, vs, f: s.detach(who, vs, f),
        lambda s, who, vs, f: s.load_passages(who, vs, [1]),
        lambda s, who, vs, f: s.document_chunks(who, vs, "doc", 0, 9),
        lambda s, who, vs, f: s.use(who, vs),
        lambda s, who, vs, f: s.allowed_keys(who, vs, Comparison("eq", "a", (1,))),
    ],
)
def test_another_owners_ids_are_not_found(store: Store, vs: str, call: Call) -> None:
    file = publish(store, vs, "a.txt", ["alpha"])
    with pytest.raises(NotFound):
        call(store, "bob", vs, file.file_id)
    assert texts(store, vs) == ["alpha"]


def test_the_same_bytes_of_two_owners_are_two_files(store: Store) -> None:
    mine, theirs = store.add_file("ann", "a.txt", b"x"), store.add_file("bob", "a.txt", b"x")
    store.delete_file("bob", theirs.id)
    assert store.file_content("ann", mine.id) == b"x"
    assert store.list_stores("bob").items == []


def test_odd_strings_come_back_as_they_were(store: Store) -> None:
    name = "'; DROP TABLE files; --\u0000 \U0001f600 한글"
    found = store.create_store(name, name, {name: name})
    assert store.find_store(name, name) == found
    assert found.metadata == {name: name}


def test_readers_do_not_wait_for_a_writer(store: Store, vs: str) -> None:
    with store.write() as db:
        db.execute("UPDATE vector_stores SET name = 'unseen'")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(store.find_store, "ann", vs).result(timeout=60).name == "handbook"


def test_a_failed_transaction_leaves_nothing(store: Store, vs: str) -> None:
    def half_done() -> None:
        with store.write() as db:
            db.execute("UPDATE vector_stores SET name = 'half'")
            db.execute("INSERT INTO changes (store, chunk, added) VALUES (999, 1, 1)")

    with pytest.raises(StoreConflict):
        half_done()
    assert store.find_store("ann", vs).name == "handbook"


def test_a_database_that_another_process_holds_is_unavailable_until_it_is_free(store: Store, tmp_path: Path) -> None:
    with store.write() as db:
        db.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / "ragpod.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.create_store("ann", "late")
        assert store.list_stores("ann").items == []
        other.execute("ROLLBACK")
        assert store.create_store("ann", "late").name == "late"


def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_room(store: Store) -> None:
    with store.write() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    with store.alone():
        store._writer.execute(f"PRAGMA max_page_count = {pages + 8}")
    for _ in range(2):
        with pytest.raises(StoreFull, match="no room"):
            store.add_file("ann", "large.txt", b"x" * 1_000_000)
    small = store.add_file("ann", "small.txt", b"x")
    with store.alone():
        store._writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    large = store.add_file("ann", "large.txt", b"x" * 1_000_000)
    assert [file.id for file in store.list_files("ann").items] == [large.id, small.id]


def test_a_commit_that_fails_leaves_no_transaction_behind(store: Store) -> None:
    def conflicting() -> None:
        with store.write() as db:
            db.execute("PRAGMA defer_foreign_keys = ON")  # so that it is the commit that finds it
            db.execute("INSERT INTO changes (store, chunk, added) VALUES (999, 1, 1)")

    for _ in range(2):
        with pytest.raises(StoreConflict):
            conflicting()
    assert store.create_store("ann", "after").name == "after"


def test_a_fault_of_the_code_stays_what_it_is(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), store.read() as db:
        db.execute("SELECT * FROM no_table")


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write() as db:
        db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(NewerDatabase, match="schema 99"):
        Store(tmp_path)
    assert holder_of(tmp_path) is None


def test_a_second_process_is_told_who_has_the_data_directory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.announce("http://127.0.0.1:8080")
    program = (
        "import sys; from pathlib import Path; from retrieval.store.store import *\n"
        "holder = holder_of(Path(sys.argv[1])); print(holder.pid, holder.url)\n"
        "try: Store(Path(sys.argv[1]))\n"
        "except DataDirLocked as error: print(error.pid, error.url, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    known, refused = run.stdout.splitlines()
    assert known == f"{os.getpid()} http://127.0.0.1:8080"
    assert refused.startswith(f"{os.getpid()} http://127.0.0.1:8080 {tmp_path} is in use by process {os.getpid()}")
    store.close()
    assert holder_of(tmp_path) is None
    Store(tmp_path).close()


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from retrieval.store.store import Store\n"
        "Store(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    assert holder_of(tmp_path) is None
    Store(tmp_path).close()


def test_one_process_cannot_open_a_data_directory_twice(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataDirLocked):
        Store(tmp_path)


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(store: Store) -> Time:
    clock = Time()
    store.clock = clock
    return clock


@pytest.mark.parametrize("version", [2, 3])
def test_a_database_of_an_earlier_schema_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / "ragpod.db")) as old:
        for name in database.SCRIPTS[:version]:
            old.executescript(Path(database.__file__).with_name(name).read_text("utf-8"))
        old.executescript(
            "INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at)"
            " VALUES ('vs_1', 'ann', 'old', '{}', 5, 5); INSERT INTO contents VALUES ('s', x'00');"
            "INSERT INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at)"
            " VALUES ('file-1', 'ann', 'a.txt', '', 'assistants', 's', 1, 5);"
            "INSERT INTO store_files (store, file, filename, sha256, attributes, created_at, status)"
            f" VALUES (1, 1, 'a.txt', 's', '{{}}', 5, 'completed'); PRAGMA user_version = {version};"
        )
    with closing(Store(tmp_path)) as store:
        found, file = store.find_store("ann", "vs_1"), store.get_store_file("ann", "vs_1", "file-1")
        assert (found.description, found.expires_at, found.expired) == ("", None, False)
        assert (file.chunking, file.status) == (AUTO, "completed")
        assert store.get_file("ann", "file-1").expires_at is None
        assert found.counts.completed == 1
        assert not store.leftovers_due()


def test_only_what_is_due_expires(store: Store, time: Time) -> None:
    kept = store.create_store("ann", "kept").id
    short = store.create_store("ann", "short", expires_days=1).id
    long = store.create_store("ann", "long", expires_days=2).id
    for vs in (kept, short, long):
        publish(store, vs, "a.txt", ["alpha"])
    file = store.add_file("ann", "b.txt", b"b", expires_seconds=3600)
    assert store.next_expiry() == time.now + 3600
    time.now += DAY
    store.expire()
    with pytest.raises(NotFound):
        store.get_file("ann", file.id)
    assert store.next_expiry() == time.now + DAY
    assert [store.find_store("ann", vs).expired for vs in (kept, short, long)] == [False, True, False]
    assert [len(store.visible_keys(vs)[0]) for vs in (kept, short, long)] == [1, 0, 1]
    for call in (
        lambda: attach(store, short, "c.txt", "c"),
        lambda: store.use("ann", short),
        lambda: store.update_store("ann", short, expires_days=0),
    ):
        with pytest.raises(Expired):
            call()


def test_a_name_means_the_store_that_has_not_expired(store: Store, time: Time) -> None:
    old = store.create_store("ann", "notes", expires_days=1)
    time.now += DAY
    new = store.ensure_store("ann", "notes")
    assert new.id != old.id
    assert store.find_store("ann", "notes").id == new.id
    assert store.find_store("ann", old.id).expired


def test_a_use_counts_at_once_and_is_written_later(store: Store, vs: str, time: Time) -> None:
    time.now += 20
    store.use("ann", vs)
    assert store.find_store("ann", vs).last_active_at == store.list_stores("ann").items[0].last_active_at == time.now
    assert written_use(store) < time.now
    store.write_uses()
    assert written_use(store) == time.now
    assert len(store.uses) == 0


def test_uses_are_written_when_the_store_is_closed(tmp_path: Path) -> None:
    with closing(Store(tmp_path, lambda: 5.0)) as store:
        vs = store.create_store("ann", "handbook").id
    with closing(Store(tmp_path, lambda: 7.0)) as store:
        store.use("ann", vs)
    with closing(Store(tmp_path, lambda: 9.0)) as store:
        assert store.find_store("ann", vs).last_active_at == 7


def test_a_store_in_use_never_expires(store: Store, time: Time) -> None:
    used, idle = (store.create_store("ann", name, expires_days=1).id for name in ("used", "idle"))
    publish(store, used, "a.txt", ["alpha"])
    time.now += DAY - 1
    store.use("ann", used)
    time.now += DAY - 1
    assert not store.find_store("ann", used).expired
    store.use("ann", used)
    attach(store, used, "b.txt", "beta")  # its expiry, too, counts what is in memory
    time.now += 1
    store.expire()
    assert [store.resolve("ann", vs).expired for vs in (used, idle)] == [False, True]
    assert texts(store, used) == ["alpha"]
    time.now += DAY
    with pytest.raises(Expired):
        store.use("ann", used)


def test_no_read_waits_for_a_writer(store: Store, vs: str) -> None:
    """Every call of the store that a search or a GET route makes; a use a minute ago is no exception."""
    file = publish(store, vs, "a.txt", ["alpha"], {"year": 2024})
    batch = store.create_batch("ann", vs, [Attachment(file.file_id)])
    key = store.visible_keys(vs)[0]
    reads: list[Callable[[], object]] = [
        lambda: store.use("ann", vs),
        lambda: store.resolve("ann", "handbook"),
        lambda: store.find_store("ann", vs),
        lambda: store.list_stores("ann"),
        lambda: store.named_stores("ann"),
        lambda: store.get_store_file("ann", vs, file.file_id),
        lambda: store.list_store_files("ann", vs),
        lambda: store.store_file_content("ann", vs, file.file_id),
        lambda: store.get_batch("ann", vs, batch.id),
        lambda: store.list_batch_files("ann", vs, batch.id),
        lambda: store.get_file("ann", file.file_id),
        lambda: store.list_files("ann"),
        lambda: store.file_content("ann", file.file_id),
        lambda: store.allowed_keys("ann", vs, Comparison("eq", "year", (2024,))),
        lambda: store.load_passages("ann", vs, key),
        lambda: store.last_change(vs),
        lambda: store.space_of(vs),
        lambda: store.log_floor(vs),
        lambda: store.next_expiry(),
    ]
    store.clock = lambda: 4_000_000_000.0
    with ThreadPoolExecutor(1) as pool, store.write():  # where a read waits, the write ends first
        answered = [pool.submit(read).result(timeout=60) for read in reads]
    assert len(answered) == len(reads)


def written_use(store: Store) -> int:
    with store.read() as db:
        return int(db.execute("SELECT last_active_at FROM vector_stores").fetchone()[0])


def test_an_id_is_resolved_before_a_name_and_without_reading_files(store: Store, vs: str) -> None:
    named_so = store.create_store("ann", vs)
    assert store.resolve("ann", vs).id == vs
    assert store.resolve("ann", "handbook").id == vs
    assert store.resolve("ann", named_so.id).name == vs
    assert [each.id for each in store.named_stores("ann")] == [vs, named_so.id]
    with store.read() as db:
        db.set_authorizer(lambda _, table, *__: sqlite3.SQLITE_DENY if table == "store_files" else sqlite3.SQLITE_OK)
    assert store.resolve("ann", vs).id == vs
    with pytest.raises(sqlite3.DatabaseError):
        store.find_store("ann", vs)
    with store.read() as db:
        db.set_authorizer(None)


def test_a_batch_is_all_or_nothing(store: Store, vs: str) -> None:
    files = [Attachment(store.add_file("ann", f"{i}.txt", b"x").id) for i in range(3)]
    with pytest.raises(NotFound):
        store.create_batch("ann", vs, [*files, Attachment("file-none")])
    assert store.list_store_files("ann", vs).items == []
    with pytest.raises(NotFound):
        store.create_store("ann", "new", files=[*files, Attachment("file-none")])
    with pytest.raises(NotFound):
        store.find_store("ann", "new")
    batch = store.create_batch("ann", vs, [*files, files[0]])
    assert (batch.counts.in_progress, batch.counts.total) == (3, 3)
    with pytest.raises(NotFound):
        store.get_batch("bob", vs, batch.id)


def test_a_batch_counts_what_has_gone_as_it_ended(store: Store, vs: str) -> None:
    names = ["done.txt", "failed.txt", "early.txt", "replaced.txt"]
    files = [store.add_file("ann", name, name.encode()) for name in names]
    batch = store.create_batch("ann", vs, [Attachment(file.id) for file in files])
    done, failed, _, replaced = [store.get_store_file("ann", vs, file.id) for file in files]
    for attached in (done, replaced):
        attempt = prepare(store, attached.version, [ParsedDocument("alpha")])
        store.publish(attempt)
        store.complete([attached.version])
    store.fail(store.take_up(failed.version).attempt, "invalid_file", "broken")
    store.delete_file("ann", files[2].id)  # while it was in progress
    before = store.get_batch("ann", vs, batch.id).counts
    assert (before.completed, before.failed, before.cancelled, before.in_progress) == (2, 1, 1, 0)
    for file in files[:2]:
        store.delete_file("ann", file.id)
    publish(store, vs, "replaced.txt", ["something new"])
    assert store.get_batch("ann", vs, batch.id).counts == before
    assert store.list_batch_files("ann", vs, batch.id).items == []


def test_another_chunking_begins_a_new_version(store: Store, vs: str) -> None:
    done = publish(store, vs, "a.txt", ["alpha"], {"k": "v"})
    assert store.attach("ann", vs, done.file_id, chunking=AUTO).version == done.version
    anew = store.attach("ann", vs, done.file_id, chunking=Chunking(400, 0))
    assert (anew.version > done.version, anew.status, anew.attributes) == (True, "in_progress", {"k": "v"})
    assert texts(store, vs) == []
    assert store.attach("ann", vs, done.file_id).chunking == Chunking(400, 0)


@pytest.mark.parametrize("given", [None, {}, {"n": 0}])
def test_no_attributes_are_attributes_too_also_with_another_chunking(
    store: Store, vs: str, given: Attributes | None
) -> None:
    done = publish(store, vs, "a.txt", ["alpha"], {"k": "v"})
    expected = {"k": "v"} if given is None else given
    for chunking in (Chunking(400, 0), Chunking(400, 0), Chunking(100, 0)):
        anew = store.attach("ann", vs, done.file_id, given, chunking)
        assert (anew.chunking, anew.attributes) == (chunking, expected)


def test_unchanged_documents_are_not_kept_under_another_chunking(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    file = store.add_file("ann", "a.txt", b"new content")
    attached = store.attach("ann", vs, file.id, chunking=Chunking(400, 0))
    same = identify(vs, "a.txt", [ParsedDocument("alpha"), ParsedDocument("beta")])
    assert store.keep_documents(store.take_up(attached.version).attempt, same) == set()
