"""A data folder copied while it is written, restored elsewhere, compared by content; and backups that are broken."""

import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from server.backup.making import make
from server.backup.manifest import NAME, BackupError
from server.backup.restoring import restore
from tests.retrieval.publishing import publish, texts

OWNER = "ann"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def store(data: Path) -> Iterator[Store]:
    with closing(Store.open(data, reserve_bytes=0)) as opened:
        yield opened


@pytest.fixture
def vs(store: Store) -> str:
    created = store.vector_stores.create(OWNER, "handbook").id
    for i in range(5):
        publish(store, created, f"{i}.txt", [f"text {i}", f"문서 {i}"])
    return created


def rows(database: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(database)) as opened:
        names = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(repr, opened.execute(f"SELECT * FROM {name}"))) for name in names}


@pytest.mark.parametrize("target", ["copy", "copy.tar"])
@pytest.mark.usefixtures("vs")
def test_what_is_restored_has_the_same_content(store: Store, data: Path, tmp_path: Path, target: str) -> None:
    make(data, tmp_path / target, "folder", {"port": 8080})
    before = rows(data / "ragpod.db")
    restored = tmp_path / "elsewhere"
    assert restore(tmp_path / target, restored).settings == {"port": 8080}
    assert rows(restored / "ragpod.db") == before
    originals = {path.name: path.read_bytes() for path in data.glob("blobs/??/*")}
    assert {path.name: path.read_bytes() for path in restored.glob("blobs/??/*")} == originals
    assert len(originals) == 5
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    with closing(Store.open(restored, reserve_bytes=0)) as opened:
        again = opened.vector_stores.resolve(OWNER, "handbook").id
        assert texts(opened, again) == texts(store, again)
        assert opened.files.content(OWNER, opened.files.page(OWNER).items[0].id)


def test_a_copy_of_a_store_that_is_written_meanwhile_is_one_state(
    store: Store, vs: str, data: Path, tmp_path: Path
) -> None:
    """Files come and go all the time; in each copy every file has its original, and every passage its vector."""
    ending = threading.Event()

    def write() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            file = publish(store, vs, f"busy {number % 7}.txt", [f"passage {number}"])
            if number % 3 == 0:
                store.files.delete(OWNER, file.file_id)
                store.blobs.sweep()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(3):
            make(data, tmp_path / f"copy {i}", "folder", {})
    finally:
        ending.set()
        writer.join()
    for i in range(3):
        restored = tmp_path / f"restored {i}"
        restore(tmp_path / f"copy {i}", restored)
        with closing(Store.open(restored, reserve_bytes=0)) as opened:
            assert {f"text {n}" for n in range(5)} <= set(texts(opened, vs))
            for file in opened.files.page(OWNER, limit=100).items:
                assert opened.files.content(OWNER, file.id)
            with opened.database.read() as db:
                bare = "SELECT count(*) FROM chunks c LEFT JOIN vectors v ON v.chunk = c.key WHERE v.chunk IS NULL"
                assert db.exec_driver_sql(bare).scalar() <= 1, "at most those of the one file that was on its way"
            with pytest.raises(NotFound):
                opened.vector_stores.resolve(OWNER, "never there")


@pytest.mark.usefixtures("vs")
def test_nothing_is_overwritten(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "copy", "folder", {})
    with pytest.raises(BackupError, match="overwrites nothing"):
        make(data, tmp_path / "copy", "folder", {})
    with pytest.raises(BackupError, match="not empty"):
        restore(tmp_path / "copy", data)
    with pytest.raises(BackupError, match=r"no ragpod\.db"):
        make(tmp_path / "nothing", tmp_path / "other", "folder", {})


@pytest.mark.parametrize("harm", ["changed", "missing", "added", "unfinished", "cut"])
@pytest.mark.usefixtures("vs")
def test_a_broken_backup_is_told_and_leaves_nothing(data: Path, tmp_path: Path, harm: str) -> None:
    copy, restored = tmp_path / "copy", tmp_path / "restored"
    make(data, copy, "folder", {})
    blob = next(copy.glob("blobs/??/*"))
    if harm == "changed":
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    elif harm == "missing":
        blob.unlink()
    elif harm == "added":
        (copy / "more").write_text("x")
    elif harm == "unfinished":
        (copy / NAME).unlink()
    else:
        with tarfile.open(tmp_path / "copy.tar", "w") as packed:
            packed.add(copy, ".")
        shutil.rmtree(copy)
        copy = tmp_path / "copy.tar"
        copy.write_bytes(copy.read_bytes()[:-30_000])
    with pytest.raises(BackupError, match=r"broken|whole"):
        restore(copy, restored)
    assert not restored.exists()


@pytest.mark.usefixtures("vs")
def test_an_original_that_is_missing_or_damaged_is_told_when_the_copy_is_made(data: Path, tmp_path: Path) -> None:
    blob = next(data.glob("blobs/??/*"))
    blob.write_bytes(b"something else")
    with pytest.raises(BackupError, match="damaged"):
        make(data, tmp_path / "copy", "folder", {})
    blob.unlink()
    with pytest.raises(BackupError, match="gone"):
        make(data, tmp_path / "copy", "folder", {})
    assert not (tmp_path / "copy").exists()
