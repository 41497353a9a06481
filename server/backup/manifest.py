"""What a backup says of itself: every file with its size and SHA-256, and how it was made."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
NAME = "manifest.json"
_PIECE = 1 << 20


class BackupError(Exception):
    """It could not be made or restored; the message says why, for the person at the command."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """made_at: Unix seconds. files: path in the backup -> [bytes, SHA-256]. settings: in force, secrets hidden; to read
    only.
    """

    made_at: int
    files: Mapping[str, tuple[int, str]]
    settings: Mapping[str, Any]
    format: int = FORMAT


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A folder on the same disk, which is gone afterwards, whatever happens. Raises BackupError."""
    folder = target.with_name(f"{target.name}.partial")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise BackupError(f"{folder} is there: somebody is at it, or was broken off; remove it") from None
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def written(folder: Path, made_at: int, settings: Mapping[str, Any]) -> Manifest:
    """Of everything that the folder holds: its last file."""
    files = {path.relative_to(folder).as_posix(): _told(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = Manifest(made_at, files, settings)
    (folder / NAME).write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1))
    return manifest


def checked(folder: Path) -> Manifest:
    """Raises BackupError, which names the first file that is missing, other than it was, or too many."""
    try:
        told = json.loads((folder / NAME).read_bytes())
        manifest = Manifest(**told)
    except FileNotFoundError:
        raise BackupError(f"no whole backup: it has no {NAME}, which is written last") from None
    except (ValueError, TypeError):
        raise BackupError(f"no whole backup: its {NAME} cannot be read") from None
    if manifest.format != FORMAT:
        raise BackupError(f"the backup is of format {manifest.format}; this ragpod reads {FORMAT}")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {NAME}
    if extra := sorted(there - manifest.files.keys()):
        raise BackupError(f"the backup is broken: {extra[0]} is none of its files")
    for name, known in manifest.files.items():
        if name not in there or (folder / name).is_symlink():
            raise BackupError(f"the backup is broken: {name} is missing")
        if list(_told(folder / name)) != list(known):
            raise BackupError(f"the backup is broken: {name} is not what it was (size or SHA-256)")
    return manifest


def _told(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while piece := content.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
