import io
from collections.abc import Iterator

import pytest

from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from tests.databases import Time


def test_files_are_listed_by_purpose(store: Store) -> None:
    one = store.files.add("ann", "a.txt", b"1")
    store.files.add("ann", "b.txt", b"2", purpose="user_data")
    assert [file.id for file in store.files.page("ann", "assistants").items] == [one.id]
    assert len(store.files.page("ann").items) == 2


def test_the_same_upload_is_the_same_file_and_other_names_are_others(store: Store) -> None:
    first = store.files.add("ann", "a.txt", b"same bytes")
    assert store.files.add("ann", "a.txt", b"same bytes") == first
    other = store.files.add("ann", "b.txt", b"same bytes")
    assert other.id != first.id
    store.files.delete("ann", first.id)
    assert store.files.content("ann", other.id) == b"same bytes"
    assert not store.blobs.due()
    store.files.delete("ann", other.id)
    assert store.blobs.due()
    store.retention.sweep_blobs()
    assert not store.blobs.due()


def test_the_same_bytes_of_two_owners_are_two_files(store: Store) -> None:
    mine, theirs = store.files.add("ann", "a.txt", b"x"), store.files.add("bob", "a.txt", b"x")
    store.files.delete("bob", theirs.id)
    store.retention.sweep_blobs()
    assert store.files.content("ann", mine.id) == b"x"
    assert store.vector_stores.page("bob").items == []


def test_a_file_is_read_to_its_end_a_piece_at_a_time(store: Store) -> None:
    content = bytes(range(256)) * 10_000
    file = store.files.add("ann", "a.bin", io.BytesIO(content))
    assert file.bytes == len(content)
    with store.files.open("ann", file.id)[1] as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == content
    empty = store.files.add("ann", "empty.bin", b"")
    assert store.files.content("ann", empty.id) == b""


class Broken(io.RawIOBase):
    def __init__(self) -> None:
        self._pieces: Iterator[bytes] = iter([b"x" * 1000])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = next(self._pieces, None)
        if piece is None:
            raise ConnectionResetError
        buffer[: len(piece)] = piece
        return len(piece)


def test_an_upload_that_breaks_off_leaves_nothing(store: Store) -> None:
    with pytest.raises(ConnectionResetError):
        store.files.add("ann", "a.txt", io.BufferedReader(Broken()))
    assert store.files.page("ann").items == []
    assert not store.blobs.due()
    assert list((store.data_dir / "uploads").iterdir()) == []


def test_a_file_stays_as_long_as_its_longest_lived_upload_wants(store: Store, time: Time) -> None:
    def add(seconds: int | None) -> int | None:
        return store.files.add("ann", "a.txt", b"x", expires_seconds=seconds).expires_at

    now = int(time.now)
    assert [add(seconds) for seconds in (10, 20, 10, None, 10)] == [now + 10, now + 20, now + 20, None, None]


def test_an_upload_after_a_files_time_is_another_file(store: Store, time: Time) -> None:
    first = store.files.add("ann", "a.txt", b"x", expires_seconds=10)
    time.now += 10
    with pytest.raises(NotFound):
        store.files.get("ann", first.id)
    second = store.files.add("ann", "a.txt", b"x")
    assert (second.id != first.id, second.expires_at) == (True, None)
    store.retention.sweep_blobs()
    assert store.files.content("ann", second.id) == b"x"
