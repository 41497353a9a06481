"""Which originals there are and who needs them: what becomes of a blob whose upload, last file and sweep meet."""

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from sqlalchemy import text

from retrieval.blobs.errors import BlobMissing
from retrieval.database.errors import StoreUnavailable
from retrieval.store.base.values import NotFound
from retrieval.store.blobs import TableBlobs
from retrieval.store.store import Store
from tests.databases import empty_database
from tests.retrieval.store.at_once import at_once
from tests.retrieval.store.invariants import assert_whole
from tests.retrieval.store.tripping import Killed, Tripping, killed, opened, tripping
from tests.until import PATIENCE

CONTENT = bytes(range(256)) * 10_000  # three pieces of 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=("folder", "table"))
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, place: str, tmp_path: Path) -> Iterator[Store]:
    """On each database, with each place for its blobs."""
    with opened(kind, tmp_path, place) as store:
        yield store
        assert_whole(store)


def is_there(store: Store, content: bytes = CONTENT) -> bool:
    return store.blobs._kept_in.has(hashlib.sha256(content).hexdigest())


def test_bytes_go_with_their_last_file_at_the_next_sweep(store: Store) -> None:
    files = [store.files.add(owner, "a.bin", CONTENT).id for owner in ("ann", "bob")]
    store.files.delete("ann", files[0])
    store.retention.sweep_blobs()
    assert store.files.content("bob", files[1]) == CONTENT
    store.files.delete("bob", files[1])
    assert is_there(store)
    store.retention.sweep_blobs()
    assert not is_there(store)


def test_what_is_deleted_and_uploaded_again_before_the_sweep_stays(store: Store) -> None:
    store.files.delete("ann", store.files.add("ann", "a.bin", CONTENT).id)
    again = store.files.add("ann", "a.bin", CONTENT).id
    store.retention.sweep_blobs()
    assert store.files.content("ann", again) == CONTENT


@pytest.mark.parametrize("moment", ["before_put", "after_put"])
def test_the_blob_of_an_upload_that_is_killed_is_swept(store: Store, moment: str) -> None:
    setattr(tripping(store), moment, killed)
    with pytest.raises(Killed):
        store.files.add("ann", "a.bin", CONTENT)
    assert is_there(store) == (moment == "after_put")
    assert store.files.page("ann").items == []
    store.retention.sweep_blobs()
    assert not is_there(store)
    assert not store.blobs.due()


@pytest.mark.parametrize("moment", ["before_put", "after_put"])
def test_a_sweep_in_the_midst_of_an_upload_takes_nothing_from_it(store: Store, moment: str) -> None:
    inner = tripping(store)

    def sweep() -> None:
        setattr(inner, moment, lambda: None)
        store.retention.sweep_blobs()

    setattr(inner, moment, sweep)
    file = store.files.add("ann", "a.bin", CONTENT)
    assert store.files.content("ann", file.id) == CONTENT
    assert [each.id for each in store.files.page("ann").items] == [file.id]


def test_an_upload_that_is_killed_after_a_sweep_has_taken_its_blob_leaves_nothing_behind(store: Store) -> None:
    inner = tripping(store)

    def killed_the_second_time() -> None:
        inner.before_put = killed

    inner.before_put, inner.after_put = killed_the_second_time, store.retention.sweep_blobs
    with pytest.raises(Killed):
        store.files.add("ann", "a.bin", CONTENT)
    store.retention.sweep_blobs()
    with store.database.read() as db:
        assert db.execute(text("SELECT * FROM blobs")).all() == []


def test_a_sweep_that_fails_half_way_is_finished_by_the_next_one(store: Store) -> None:
    contents = [b"one", b"two", b"three"]
    for content in contents:
        store.files.delete("ann", store.files.add("ann", "a.bin", content).id)
    inner = tripping(store)

    def unavailable_the_second_time() -> None:
        def unavailable() -> None:
            raise StoreUnavailable("away")

        inner.before_delete = unavailable

    inner.before_delete = unavailable_the_second_time
    with pytest.raises(StoreUnavailable):
        store.retention.sweep_blobs()
    assert store.blobs.due()
    again = store.files.add("ann", "a.bin", contents[0])
    inner.before_delete = lambda: None
    store.retention.sweep_blobs()
    assert store.files.content("ann", again.id) == contents[0]
    assert [is_there(store, content) for content in contents] == [True, False, False]


def test_more_than_one_sweep_takes_at_once_are_swept(store: Store) -> None:
    for number in range(103):
        store.files.delete("ann", store.files.add("ann", "a.bin", str(number).encode()).id)
    store.retention.sweep_blobs()
    assert not store.blobs.due()
    assert not is_there(store, b"102")


@pytest.mark.parametrize("rounds", [10, pytest.param(60, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("content", [b"x", CONTENT], ids=["small", "large"])
def test_uploads_deletions_and_sweeps_of_one_content_at_once(store: Store, content: bytes, rounds: int) -> None:
    add, delete = partial(store.files.add, "ann"), partial(store.files.delete, "ann")
    sweeps = [store.retention.sweep_blobs] * 2
    for _ in range(rounds):
        old = add("old.bin", content).id
        adding = [partial(add, name, content) for name in ("a.bin", "b.bin", "a.bin")]
        at_once(*adding, partial(delete, old), *sweeps)
        files = [file.id for file in store.files.page("ann").items]
        assert [store.files.content("ann", file) for file in files] == [content] * 2
        at_once(*(partial(delete, file) for file in files), partial(add, "c.bin", content), *sweeps)
        (left,) = store.files.page("ann").items
        assert store.files.content("ann", left.id) == content
        at_once(partial(delete, left.id), partial(add, "c.bin", content), *sweeps)
        for file in store.files.page("ann").items:
            assert store.files.content("ann", file.id) == content
            delete(file.id)
        assert_whole(store)


def test_bytes_that_an_upload_takes_over_are_not_doomed_by_the_last_file_that_leaves_meanwhile(tmp_path: Path) -> None:
    """Its deletion has begun, and waits for the upload, of whose file it cannot know before."""
    with opened("postgresql", tmp_path, "folder") as store, ThreadPoolExecutor(1) as pool:
        old, inner, calls = store.files.add("ann", "old.bin", CONTENT).id, tripping(store), itertools.count()
        deletions = []

        def delete() -> None:
            if next(calls) == 1:  # the second time, in the transaction
                deletions.append(pool.submit(store.files.delete, "ann", old))
                until_waiting(store)

        inner.before_has = delete
        new = store.files.add("ann", "new.bin", CONTENT).id
        deletions[0].result(PATIENCE)
        assert not store.blobs.due()
        assert [file.id for file in store.files.page("ann").items] == [new]


def until_waiting(store: Store) -> None:
    """One of this store's connections, for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND wait_event_type = 'Lock'"
    name = store.database.url.query["application_name"]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with store.database.one() as db:
            if db.execute(text(waiting), {"name": name}).scalar():
                return
    raise TimeoutError


def test_a_file_that_goes_while_it_is_read_ends_in_an_error_or_is_whole(store: Store, place: str) -> None:
    file = store.files.add("ann", "a.bin", CONTENT).id
    with store.files.open("ann", file)[1] as stream:
        begun = stream.read(1000)
        store.files.delete("ann", file)
        store.retention.sweep_blobs()
        if place == "table":
            with pytest.raises(BlobMissing):
                stream.read()
        else:
            assert begun + stream.read() == CONTENT


def test_a_file_that_goes_before_its_bytes_are_opened_is_not_found(store: Store) -> None:
    file = store.files.add("ann", "a.bin", CONTENT).id
    found = store.files.get("ann", file)
    inner = tripping(store)

    def gone(digest: str) -> BinaryIO:
        inner.open = inner.inner.open  # type: ignore[method-assign]
        store.files.delete("ann", file)
        store.retention.sweep_blobs()
        return inner.inner.open(digest)

    inner.open = gone  # type: ignore[method-assign]
    assert found.sha256 == DIGEST
    with pytest.raises(NotFound):
        store.files.open("ann", file)


def test_bytes_that_were_lost_are_no_missing_file(store: Store) -> None:
    file = store.files.add("ann", "a.bin", CONTENT).id
    with store.database.write() as db:
        db.execute(text("DELETE FROM blob_parts"))
    store.blobs._kept_in.delete(DIGEST)
    with pytest.raises(BlobMissing):
        store.files.open("ann", file)
    store.files.add("ann", "b.bin", CONTENT)  # whoever uploads them again brings them back
    assert store.files.content("ann", file) == CONTENT


def test_a_table_keeps_what_every_store_of_blobs_keeps(kind: str, tmp_path: Path) -> None:
    with opened(kind, tmp_path, "table") as store:
        blobs = TableBlobs(store.database)
        for content in (b"", b"x", bytes(1 << 20), CONTENT):
            digest, path = hashlib.sha256(content).hexdigest(), tmp_path / "content"
            path.write_bytes(content)
            assert not blobs.has(digest)
            with pytest.raises(BlobMissing):
                blobs.open(digest)
            blobs.put(digest, path)
            blobs.put(digest, path)
            assert blobs.has(digest)
            with blobs.open(digest) as one, blobs.open(digest) as two:
                assert (one.read(), two.read()) == (content, content)


def test_what_the_table_has_is_moved_where_blobs_are_kept_now_at_the_next_start(kind: str, tmp_path: Path) -> None:
    with empty_database(kind, tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        with closing(Store.open(tmp_path, url=where, blobs="table")) as store:
            contents = [*(str(number).encode() for number in range(5)), CONTENT]
            files = [store.files.add("ann", "a.bin", content).id for content in contents]
        with closing(Store.open(tmp_path, url=where, blobs="folder")) as store:
            assert parts(store) == 0
            assert [store.files.content("ann", file) for file in files] == contents
            assert_whole(store)


def parts(store: Store) -> int:
    with store.database.read() as db:
        return int(db.execute(text("SELECT count(*) FROM blob_parts")).scalar_one())


def test_a_move_that_is_broken_off_goes_on_with_the_next_start(kind: str, tmp_path: Path) -> None:
    with opened(kind, tmp_path, "table") as store:
        files = [store.files.add("ann", f"{i}.bin", str(i).encode()).id for i in range(5)]
        folder = Store.open(tmp_path / "other", blobs="folder")
        store.blobs._kept_in = inner = Tripping(folder.blobs._kept_in)
        left = iter([None, None])
        inner.after_put = lambda: killed() if next(left, killed) is killed else None
        with pytest.raises(Killed):
            store.blobs.move_out_of_table()
        assert parts(store) == 3
        inner.after_put = lambda: None
        store.blobs.move_out_of_table()
        assert [store.files.content("ann", file) for file in files] == [str(i).encode() for i in range(5)]
        assert_whole(store)
        folder.close()


def test_two_processes_that_move_the_same_blobs_move_them_whole(tmp_path: Path) -> None:
    with opened("postgresql", tmp_path, "table") as store:
        files = [store.files.add("ann", f"{i}.bin", CONTENT + str(i).encode()).id for i in range(10)]
        where = store.database.url.render_as_string(hide_password=False)
        place = f"file://{tmp_path}/shared"
        barrier = threading.Barrier(2)

        def start(name: str) -> Store:
            barrier.wait(PATIENCE)
            return Store.open(tmp_path / name, url=where, blobs=place)

        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(start, ("one", "two"))
        with closing(one), closing(two):
            assert [two.files.content("ann", file) for file in files] == [CONTENT + str(i).encode() for i in range(10)]
            assert_whole(one)


def test_a_blob_whose_upload_was_killed_after_a_sweep_had_forgotten_it_is_swept_after_the_next_start(
    kind: str, tmp_path: Path
) -> None:
    """What is left of the upload is all that tells of it: neither a file nor a row of blobs does."""
    with empty_database(kind, tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        kept = tmp_path / "kept.part"
        with closing(Store.open(tmp_path, url=where, blobs="folder")) as store:
            other = store.files.add("ann", "b.bin", b"another").id
            store.blobs._kept_in = inner = Tripping(store.blobs._kept_in)
            inner.before_put = store.blobs.sweep

            def killed_at_once() -> None:
                (upload,) = (tmp_path / "uploads").glob("*.part")
                kept.hardlink_to(upload)
                killed()

            inner.after_put = killed_at_once
            with pytest.raises(Killed):
                store.files.add("ann", "a.bin", CONTENT)
        kept.rename(tmp_path / "uploads" / kept.name)  # a process that is killed removes nothing
        digest = hashlib.sha256(CONTENT).hexdigest()
        assert (tmp_path / "blobs" / digest[:2] / digest).exists()
        with closing(Store.open(tmp_path, url=where, blobs="folder")) as store:
            assert store.blobs.due()
            store.blobs.sweep()
            assert not (tmp_path / "blobs" / digest[:2] / digest).exists()
            assert list((tmp_path / "uploads").iterdir()) == []
            assert store.files.content("ann", other) == b"another"
            assert_whole(store)
