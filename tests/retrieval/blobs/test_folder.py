import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrieval.blobs.folder import FolderBlobs
from retrieval.blobs.staging import staged
from retrieval.blobs.temporary import temporary
from retrieval.database.errors import StoreFull, StoreUnavailable
from tests.retrieval.blobs.files import content, digest_of, put, read
from tests.retrieval.blobs.killing import kill_while_putting
from tests.small_disk import small_disk

MIB = 1 << 20


@pytest.fixture
def another_disk() -> Iterator[Path]:
    """A folder on another file system than that of the tests."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_blob_is_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "data/blobs")
    digest = put(blobs, tmp_path, b"content")
    path = tmp_path / "data/blobs" / digest[:2] / digest
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, *path.parents[1:3], tmp_path / "data/blobs/incoming"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_was_staged_on_the_same_disk_is_not_copied(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    with staged([b"content"], tmp_path, None) as one:
        blobs.put(one.digest, one.path)
        assert (tmp_path / "blobs" / one.digest[:2] / one.digest).samefile(one.path)
    assert read(blobs, one.digest) == b"content"


def test_a_file_that_others_may_change_is_copied(tmp_path: Path) -> None:
    blobs, path = FolderBlobs(tmp_path / "blobs"), tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(0o640)
    blobs.put(digest_of(b"content"), path)
    path.write_bytes(b"changed")
    assert read(blobs, digest_of(b"content")) == b"content"
    assert path.stat().st_mode & 0o777 == 0o640


def test_from_another_disk_it_is_copied(tmp_path: Path, another_disk: Path) -> None:
    blobs, written = FolderBlobs(tmp_path / "blobs"), content(3 * MIB)
    assert another_disk.stat().st_dev != tmp_path.stat().st_dev
    for _ in range(2):
        with staged([written], another_disk, None) as one:
            blobs.put(digest := one.digest, one.path)
        assert read(blobs, digest) == written
    assert names(tmp_path / "blobs") == {digest}
    assert (tmp_path / "blobs" / digest[:2] / digest).stat().st_mode & 0o777 == 0o600


def test_an_open_blob_is_read_to_its_end_though_it_is_deleted(tmp_path: Path) -> None:
    blobs, written = FolderBlobs(tmp_path), content(3 * MIB)
    digest = put(blobs, tmp_path, written)
    with blobs.open(digest) as stream:
        start = stream.read(10)
        blobs.delete(digest)
        assert start + stream.read() == written


@pytest.mark.parametrize("elsewhere", [False, True], ids=["linked", "copied"])
def test_a_put_that_was_killed_leaves_nothing_half_and_nothing_behind(
    tmp_path: Path, another_disk: Path, elsewhere: bool
) -> None:
    folder, staging = tmp_path / "blobs", another_disk if elsewhere else tmp_path / "staging"
    for n in range(8):
        acknowledged = kill_while_putting(f"file://{folder}", staging, n / 50)
        there = {path.name: path for path in folder.glob("??/*")}
        assert set(acknowledged) <= set(there)
        assert all(digest_of(path.read_bytes()) == name for name, path in there.items())
        blobs = FolderBlobs(folder)
        assert names(folder) == set(there)
        for digest in there:
            blobs.delete(digest)
        assert names(folder) == set()


def test_what_another_process_is_copying_stays(tmp_path: Path) -> None:
    FolderBlobs(tmp_path)
    with temporary(tmp_path / "incoming") as (path, _):
        FolderBlobs(tmp_path)
        assert path.exists()


def test_a_disk_without_room_says_so_and_keeps_what_it_has(tmp_path: Path, another_disk: Path) -> None:
    with small_disk(tmp_path, MIB):
        blobs = FolderBlobs(tmp_path / "blobs")
        digest = put(blobs, another_disk, b"small")
        with pytest.raises(StoreFull, match="no room"):
            put(blobs, another_disk, content(2 * MIB))
        assert read(blobs, digest) == b"small"
        assert names(tmp_path) == {digest}


def all_calls(blobs: FolderBlobs, digest: str, path: Path) -> list[Callable[[], object]]:
    return [
        lambda: blobs.put(digest, path),
        lambda: blobs.has(digest),
        lambda: blobs.open(digest),
        lambda: blobs.delete(digest),
    ]


@pytest.mark.parametrize("kind", ["gone", "empty", "a file"])
def test_a_disk_that_is_not_there_has_lost_nothing(tmp_path: Path, kind: str) -> None:
    """Missing would be for good; and what is put must not hide below the folder that the disk is mounted on."""
    folder, path = tmp_path / "blobs", tmp_path / "file"
    blobs = FolderBlobs(folder)
    digest = put(blobs, tmp_path, b"content")
    path.write_bytes(b"content")
    folder.rename(tmp_path / "unmounted")
    {"gone": lambda: None, "empty": folder.mkdir, "a file": folder.touch}[kind]()
    for call in all_calls(blobs, digest, path):
        with pytest.raises(StoreUnavailable, match="not available"):
            call()
    assert names(tmp_path) - {"blobs"} == {digest, "file"}


def test_what_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    digest = put(blobs, tmp_path, b"content")
    path = tmp_path / digest[:2] / digest
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreUnavailable):
        blobs.open(digest)
    os.rmdir(path)
    os.symlink("/proc/self/mem", path)  # can be opened; its first page cannot be read
    for size in (-1, 10):
        with blobs.open(digest) as stream, pytest.raises(StoreUnavailable):
            stream.read(size)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        FolderBlobs(tmp_path / "file/blobs")
