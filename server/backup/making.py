"""`ragpod backup`: one consistent copy of a data folder, also while a server writes it.

A database is copied as one snapshot (VACUUM INTO: a read transaction, which no writer waits for), then the originals
that this snapshot names. One that is deleted in between makes the snapshot out of date: another is taken. Indexes are
derived: they are left out, and made anew where the backup is restored.
"""

import hashlib
import shutil
import tarfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from retrieval.blobs.base import BlobStore
from retrieval.blobs.errors import BlobMissing
from retrieval.blobs.opening import blobs_of
from retrieval.database.snapshot import column, snapshot
from server.backup.manifest import BackupError, Manifest, beside, written

STORE, BLOBS = "ragpod.db", "blobs"
DATABASES = (STORE, "turns.db")
CONSUMER = "consumer"  # whose leases and index cursors the database has
TABLE = "table"
_SNAPSHOTS = 5  # at most: each one needs an original to be deleted while the one before is copied
_PIECE = 1 << 20


def make(data_dir: Path, target: Path, blobs: str, settings: Mapping[str, Any]) -> Manifest:
    """target: a folder, or a file NAME.tar; it is there as a whole or not at all. blobs: where originals are kept, as
    in the settings. Raises BackupError: the target is there already, an original is missing or damaged.
    """
    if target.exists():
        raise BackupError(f"{target} is there already, and a backup overwrites nothing")
    if not (data_dir / STORE).is_file():
        raise BackupError(f"no {STORE} in {data_dir}")
    with beside(target) as folder:
        _copied(data_dir, folder, blobs)
        manifest = written(folder, int(time.time()), settings)
        if target.suffix == ".tar":
            _packed(folder, target)
        else:
            folder.rename(target)
    return manifest


def _packed(folder: Path, target: Path) -> None:
    partial = folder / "packed"
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    with tarfile.open(partial, "x") as packed:
        for path in names:
            packed.add(path, path.relative_to(folder).as_posix())
    partial.rename(target)


def _copied(data_dir: Path, folder: Path, blobs: str) -> None:
    for name in DATABASES:
        if (data_dir / name).is_file():
            snapshot(data_dir / name, folder / name)
    with suppress(FileNotFoundError):
        shutil.copyfile(data_dir / CONSUMER, folder / CONSUMER)
    if blobs == TABLE:
        return
    with closing(blobs_of(blobs, data_dir)) as kept:
        for left in reversed(range(_SNAPSHOTS)):
            try:
                wanted = set(column(folder / STORE, "SELECT DISTINCT sha256 FROM files"))
                for digest in sorted(wanted):
                    _copy(kept, digest, folder / BLOBS / digest[:2] / digest)
            except BlobMissing as gone:
                if not left:
                    raise BackupError(f"{gone}, though a file needs it: `ragpod backup` copies what is whole") from None
                (folder / STORE).unlink()
                snapshot(data_dir / STORE, folder / STORE)
            else:
                break
    for path in (folder / BLOBS).glob("*/*"):
        if path.name not in wanted:
            path.unlink()


def _copy(kept: BlobStore, digest: str, target: Path) -> None:
    """Raises BlobMissing, BackupError."""
    if target.exists():
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial, seen = target.with_suffix(".partial"), hashlib.sha256()
    with kept.open(digest) as content, partial.open("xb") as copy:
        while piece := content.read(_PIECE):
            seen.update(piece)
            copy.write(piece)
    if seen.hexdigest() != digest:
        raise BackupError(f"the original {digest} is damaged where it is kept: its bytes have another SHA-256")
    partial.chmod(0o600)
    partial.rename(target)
