"""`ragpod restore`: a backup into a data folder of its own."""

import shutil
import tarfile
from pathlib import Path

from retrieval.database.snapshot import unsound
from server.backup.making import DATABASES
from server.backup.manifest import NAME, BackupError, Manifest, beside, checked


def restore(source: Path, data_dir: Path) -> Manifest:
    """source: what `ragpod backup` made. data_dir: is not there yet, or empty. It is there as a whole or not at all.

    Raises BackupError.
    """
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise BackupError(f"{data_dir} is not empty, and a backup overwrites nothing")
    if not source.exists():
        raise BackupError(f"no such backup: {source}")
    with beside(data_dir) as folder:
        _unpacked(source, folder)
        manifest = checked(folder)
        for name in DATABASES:
            if name in manifest.files and (told := unsound(folder / name)):
                raise BackupError(f"the backup is broken: {name}: {told}")
        (folder / NAME).unlink()
        if data_dir.exists():
            data_dir.rmdir()
        folder.rename(data_dir)
    return manifest


def _unpacked(source: Path, folder: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)
        return
    try:
        with tarfile.open(source, "r:") as packed:
            packed.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise BackupError(f"the backup is broken: {source} cannot be unpacked ({error})") from None
