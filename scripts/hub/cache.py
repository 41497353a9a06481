"""The Hugging Face cache on disk: snapshots/COMMIT with plain files, refs/NAME, and a list of what must be there."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from hub.files import GB, DownloadError, File, Revision


class Cached:
    """One model in the cache: snapshots/COMMIT, refs/NAME, and our list of what it must hold."""

    def __init__(self, cache: Path, repo: str) -> None:
        self.repo = repo
        self.folder = cache / f"models--{repo.replace('/', '--')}"

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def known(self, revision: str) -> Revision | None:
        """What an earlier run completed under that name."""
        ref = self.folder / "refs" / revision
        commit = ref.read_text() if ref.is_file() else revision
        listed = self._listed(commit)
        if not listed.is_file():
            return None
        return Revision(self.repo, commit, tuple(File(**file) for file in json.loads(listed.read_text())))

    def absent(self, revision: Revision) -> list[File]:
        """By size; `wrong` reads the bytes."""
        folder = self.snapshot(revision.commit)
        sizes = {file: (folder / file.name) for file in revision.files}
        return [file for file, path in sizes.items() if not path.is_file() or path.stat().st_size != file.size]

    def wrong(self, revision: Revision) -> list[File]:
        return [file for file in revision.files if not file.proven(self.snapshot(revision.commit) / file.name)]

    def complete(self, revision: Revision, name: str) -> None:
        """`main` leads here too, so that the plain id means this commit. The list comes last, and whole."""
        for ref in {"main", name} - {revision.commit}:
            path = self.folder / "refs" / ref
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(revision.commit)
        listed = self._listed(revision.commit)
        listed.with_suffix(".new").write_text(json.dumps([asdict(file) for file in revision.files]))
        listed.with_suffix(".new").replace(listed)

    def need_room(self, missing: list[File], folder: Path) -> None:
        """Raises DownloadError where the disk has too little room. (A network volume may show more than its quota.)"""
        parts = (folder / (file.name + ".part") for file in missing)
        need = sum(file.size for file in missing) - sum(part.stat().st_size for part in parts if part.is_file())
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise DownloadError(f"{self.repo} needs {need / GB:.1f} GB, {self.folder} has {free / GB:.1f} GB free")

    def forget(self, revision: Revision) -> None:
        """The next download looks at every byte again."""
        self._listed(revision.commit).unlink()

    def _listed(self, commit: str) -> Path:
        return self.folder / f"{commit}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Raises DownloadError where another process downloads the same model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DownloadError(f"{self.repo}: another process is downloading it into {self.folder}") from None
            yield


def cache_folder() -> Path:
    """Where huggingface_hub looks, by the same variables."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()
