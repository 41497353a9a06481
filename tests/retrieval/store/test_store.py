import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from retrieval.database.lock import holder_of
from retrieval.store.base.values import (
    DataDirLocked,
    NewerDatabase,
    StoreConflict,
    StoreFull,
    StoreUnavailable,
)
from retrieval.store.migrations import MIGRATIONS
from retrieval.store.store import Store
from tests.databases import empty_database, end_connections, old_data_folder
from tests.retrieval.publishing import publish, texts
from tests.retrieval.store.invariants import assert_whole
from tests.until import PATIENCE


def test_readers_do_not_wait_for_a_writer(store: Store, vs: str) -> None:
    with store.database.write() as db, ThreadPoolExecutor(1) as pool:
        db.execute(text("UPDATE vector_stores SET name = 'unseen'"))
        assert pool.submit(store.vector_stores.find, "ann", vs).result(timeout=60).name == "handbook"


NOBODYS_CHANGE = text("INSERT INTO changes (store, seq, chunk, added) VALUES (999, 1, 1, 1)")


def test_a_failed_transaction_leaves_nothing(store: Store, vs: str) -> None:
    def half_done() -> None:
        with store.database.write() as db:
            db.execute(text("UPDATE vector_stores SET name = 'half'"))
            db.execute(NOBODYS_CHANGE)

    with pytest.raises(StoreConflict):
        half_done()
    assert store.vector_stores.find("ann", vs).name == "handbook"


def test_a_fault_of_the_code_stays_what_it_is(store: Store) -> None:
    with pytest.raises(DBAPIError, match="no_table"), store.database.read() as db:
        db.execute(text("SELECT * FROM no_table"))


def test_a_newer_database_is_refused_and_its_folder_is_free(kind: str, tmp_path: Path) -> None:
    with empty_database(kind, tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        with closing(Store.open(tmp_path, url=where)) as store, store.database.write() as db:
            db.execute(text(f"UPDATE {MIGRATIONS.table} SET version_num = '9999'"))
        with pytest.raises(NewerDatabase, match="schema 9999"):
            Store.open(tmp_path, url=where)
        assert holder_of(tmp_path) is None


def test_a_commit_that_fails_leaves_no_transaction_behind(sqlite_store: Store) -> None:
    def conflicting() -> None:
        with sqlite_store.database.write() as db:
            db.execute(text("PRAGMA defer_foreign_keys = ON"))  # so that it is the commit that finds it
            db.execute(NOBODYS_CHANGE)

    for _ in range(2):
        with pytest.raises(StoreConflict):
            conflicting()
    assert sqlite_store.vector_stores.create("ann", "after").name == "after"


def test_a_database_that_another_process_holds_is_unavailable_until_it_is_free(sqlite_store: Store) -> None:
    database = sqlite_store.database
    with database.write() as db:
        db.execute(text("PRAGMA busy_timeout = 1"))
    with closing(sqlite3.connect(str(database.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            sqlite_store.vector_stores.create("ann", "late")
        assert sqlite_store.vector_stores.page("ann").items == []
        other.execute("ROLLBACK")
        assert sqlite_store.vector_stores.create("ann", "late").name == "late"


def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Also where the database keeps the bytes."""
    with closing(Store.open(tmp_path, blobs="table")) as store:

        def room(pages: int) -> None:
            with store.database.write() as db:  # few callers stay on one connection, of which this is a setting
                held = db.execute(text("PRAGMA page_count")).scalar_one()
                db.execute(text(f"PRAGMA max_page_count = {held + pages}"))

        room(8)
        for _ in range(2):
            with pytest.raises(StoreFull, match="no room"):
                store.files.add("ann", "large.txt", b"x" * 1_000_000)
        small = store.files.add("ann", "small.txt", b"x")
        room(1000)
        large = store.files.add("ann", "large.txt", b"x" * 1_000_000)
        assert [file.id for file in store.files.page("ann").items] == [large.id, small.id]
        assert store.files.content("ann", large.id) == b"x" * 1_000_000


def test_a_second_process_is_told_who_has_the_data_directory(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.announce("http://127.0.0.1:8080")
    program = (
        "import sys; from pathlib import Path\n"
        "from retrieval.database.errors import DataDirLocked; from retrieval.database.lock import holder_of\n"
        "from retrieval.store.store import Store\n"
        "holder = holder_of(Path(sys.argv[1])); print(holder.pid, holder.url)\n"
        "try: Store.open(Path(sys.argv[1]))\n"
        "except DataDirLocked as error: print(error.pid, error.url, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    known, refused = run.stdout.splitlines()
    assert known == f"{os.getpid()} http://127.0.0.1:8080"
    assert refused.startswith(f"{os.getpid()} http://127.0.0.1:8080 {tmp_path} is in use by process {os.getpid()}")
    store.close()
    assert holder_of(tmp_path) is None
    Store.open(tmp_path).close()


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from retrieval.store.store import Store\n"
        "store = Store.open(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    assert holder_of(tmp_path) is None
    Store.open(tmp_path).close()


def test_one_process_cannot_open_a_data_directory_twice(store: Store) -> None:
    url = store.database.url.render_as_string(hide_password=False)
    with pytest.raises(DataDirLocked):
        Store.open(store.data_dir, url=url)


def test_a_data_directory_follows_under_a_name_of_its_own_for_ever(tmp_path: Path) -> None:
    def named(folder: str) -> str:
        with closing(Store.open(tmp_path / folder)) as store:
            return store.consumer

    one, two = named("one"), named("two")
    assert [named("one"), named("two")] == [one, two]
    assert len({one, two, ""}) == 3
    (tmp_path / "one" / "consumer").write_text("")
    assert named("one") == named("one") not in ("", one)


def test_data_folders_share_one_postgresql(tmp_path: Path) -> None:
    with empty_database("postgresql", tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        with (
            closing(Store.open(tmp_path / "one", url=where)) as one,
            closing(Store.open(tmp_path / "two", url=where)) as two,
        ):
            vs = one.vector_stores.create("ann", "handbook").id
            file = publish(two, vs, "a.txt", ["alpha"])
            assert texts(one, vs) == ["alpha"]
            assert one.files.content("ann", file.file_id) == two.files.content("ann", file.file_id)


CALLS: list[Callable[[Store, str, str], object]] = [
    lambda store, vs, file: store.vector_stores.resolve("ann", vs),
    lambda store, vs, file: store.vector_stores.find("ann", vs),
    lambda store, vs, file: store.vector_stores.create("ann", "new"),
    lambda store, vs, file: store.files.add("ann", "b.txt", b"beta"),
    lambda store, vs, file: store.files.content("ann", file),
    lambda store, vs, file: store.attachments.attach("ann", vs, file),
    lambda store, vs, file: store.passages.visible_keys(vs),
    lambda store, vs, file: store.changes.after(vs, 0, 10),
    lambda store, vs, file: store.queue.claim("one", 60),
    lambda store, vs, file: store.retention.expire(),
]


@pytest.mark.parametrize("call", CALLS)
def test_connections_that_the_server_ends_between_calls_are_not_noticed(
    postgresql_store: Store, call: Callable[[Store, str, str], object]
) -> None:
    store = postgresql_store
    vs = store.vector_stores.create("ann", "handbook").id
    file = publish(store, vs, "a.txt", ["alpha"]).file_id
    end_connections(store.database.url)
    call(store, vs, file)
    assert texts(store, vs) == ["alpha"]


def test_a_connection_that_is_lost_in_a_transaction_is_an_outage_and_the_next_call_works(
    postgresql_store: Store,
) -> None:
    store = postgresql_store
    vs = store.vector_stores.create("ann", "handbook").id

    def half_done() -> None:
        with store.database.write() as db:
            db.execute(text("UPDATE vector_stores SET name = 'half'"))
            end_connections(store.database.url)
            db.execute(text("UPDATE vector_stores SET name = 'whole'"))

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            half_done()
        assert store.vector_stores.find("ann", vs).name == "handbook"


def test_calls_while_the_server_ends_connections_are_outages_at_worst(postgresql_store: Store) -> None:
    """Of any call, at any point of it; and nothing is half done."""
    store = postgresql_store
    vs = store.vector_stores.create("ann", "handbook").id
    ended = threading.Event()

    def working() -> int:
        done = outages = 0
        while not (ended.is_set() and done):
            try:
                publish(store, vs, f"{done}.txt", [f"text {done}"])
            except StoreUnavailable:
                outages += 1
            else:
                done += 1
        assert outages
        return done

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(working)
        for _ in range(40):
            end_connections(store.database.url)
        ended.set()
        done = work.result(timeout=PATIENCE)
    assert texts(store, vs) == [f"text {number}" for number in range(done)]
    assert_whole(store)


@pytest.mark.parametrize("version", ["42c3512", "cf3180e"])
def test_a_data_folder_of_before_alembic_is_opened_with_all_that_it_has(tmp_path: Path, version: str) -> None:
    """What its tables become row by row is shown in test_upgrade.py."""
    with closing(Store.open(old_data_folder(tmp_path / "old", version))) as store:
        with store.database.read() as db:
            assert db.execute(text("SELECT count(*) FROM blob_parts")).scalar() == 0
            owners = db.scalars(text("SELECT DISTINCT owner FROM files")).all()
        files = [(owner, file) for owner in owners for file in store.files.page(owner, limit=100).items]
        for owner, file in files:
            content = store.files.content(owner, file.id)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        main = store.vector_stores.find(owners[0], "main")
        assert (main.description, main.expires_at, main.expired) == ("", None, False)
        completed = store.attachments.page(owners[0], main.id, "completed").items
        assert len(completed) == main.counts.completed > 0
        keys, _ = store.passages.visible_keys(main.id)
        found = store.passages.load(owners[0], store.vector_stores.resolve(owners[0], main.id), keys)
        assert list(found) == keys
        assert len(keys) == sum(file.chunks for file in completed)
        publish(store, store.vector_stores.create("ann", "new").id, "a.txt", ["alpha"])
        assert_whole(store)
