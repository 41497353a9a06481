import io
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.blobs.errors import BlobTooLarge
from retrieval.blobs.staging import staged
from retrieval.blobs.temporary import without_leftovers
from retrieval.database.errors import StoreFull, StoreUnavailable
from tests.retrieval.blobs.files import content, digest_of
from tests.retrieval.blobs.killing import kill_while_putting
from tests.small_disk import small_disk


@given(pieces=st.lists(st.binary(max_size=50)))
def test_the_digest_and_the_size_are_those_of_the_content(
    pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, whole = tmp_path_factory.getbasetemp(), b"".join(pieces)
    for source in (pieces, iter(pieces), io.BytesIO(whole)):
        with staged(source, folder, None) as one:
            assert (one.path.read_bytes(), one.digest, one.bytes) == (whole, digest_of(whole), len(whole))
        assert not one.path.exists()


def test_a_large_file_is_read_by_pieces(tmp_path: Path) -> None:
    class Source(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1 << 20
            return super().read(size)

    whole = content((5 << 20) + 1)
    with staged(Source(whole), tmp_path, None) as one:
        assert (one.digest, one.bytes) == (digest_of(whole), len(whole))


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    folder = without_leftovers(tmp_path / "uploads")
    with staged([b"content"], folder, None) as one:
        assert one.path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_more_than_the_limit_is_refused_before_the_rest_is_read(tmp_path: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"1234"
        yield b"5"
        raise AssertionError

    with pytest.raises(BlobTooLarge, match="4 bytes"), staged(source(), tmp_path, 4):
        pass
    with staged([b"1234"], tmp_path, 4) as one:
        assert one.bytes == 4
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_where_the_source_or_the_block_fails(tmp_path: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), staged(source(), tmp_path, None):
        pass
    with pytest.raises(ZeroDivisionError), staged([b"some"], tmp_path, None):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_says_so_and_nothing_stays_on_it(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 20):
        with pytest.raises(StoreFull), staged([bytes(1000)] * 2000, tmp_path, None):
            pass
        assert list(tmp_path.iterdir()) == []
        with staged([b"small"], tmp_path, None) as one:
            assert one.bytes == 5


def test_a_folder_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable), staged([b"some"], tmp_path / "gone", None):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        without_leftovers(tmp_path / "file")


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    with staged([b"by a living one"], without_leftovers(staging), None) as one:
        left = 0
        for seconds in (0.0, 0.02, 0.05, 0.1, 0.2):
            kill_while_putting(f"file://{tmp_path}/blobs", staging, seconds)
            left += len(list(staging.glob("*.part"))) - 1
            without_leftovers(staging)
            assert list(staging.glob("*.part")) == [one.path]
        assert left
        assert one.path.read_bytes() == b"by a living one"


def test_cleaning_takes_nothing_from_those_who_write(tmp_path: Path) -> None:
    done = Event()

    def clean() -> None:
        while not done.is_set():
            without_leftovers(tmp_path)

    cleaner = Thread(target=clean)
    cleaner.start()
    try:
        for n in range(1000):
            with staged([b"some"], tmp_path, None) as one:
                assert one.path.exists(), n
    finally:
        done.set()
        cleaner.join()
