"""A model hub's files: what a revision holds, and each of them on disk, resumed and with its hash proven.

huggingface_hub is not used on purpose: 2.4.0 throws away what an interrupted process had downloaded, and compares the
size of a file, never its hash. The protocol is the hub's public one: /api/models/ID/revision/REVISION?blobs=true for
the list with sizes and hashes, /ID/resolve/COMMIT/FILE with Range for the bytes.
"""

import asyncio
import errno
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import aiohttp

PIECE = 1 << 20
GB = 1e9
TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
# No Accept-Encoding: the bytes of a Range must be those of the file.
HEADERS = {"User-Agent": "ragpod-download", "Accept-Encoding": "identity"}
T = TypeVar("T")
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(Exception):
    """For the person; the message says what to do."""


class _Retry(Exception):
    """Nothing is lost: the same request may go through later."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class File:
    """size: bytes. digest: sha256 of a large file, else git's blob id (sha1 over a header and the content)."""

    name: str
    size: int
    digest: str

    def hash(self) -> _Hash:
        return hashlib.sha256() if len(self.digest) == 64 else hashlib.sha1(b"blob %d\0" % self.size)

    def proven(self, path: Path) -> bool:
        """Whether the file on disk is this one, every byte read. False where there is none."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        hashed = self.hash()
        with path.open("rb") as opened:
            while data := opened.read(PIECE):
                hashed.update(data)
        return hashed.hexdigest() == self.digest


@dataclass(frozen=True, slots=True)
class Revision:
    """commit: 40 hexadecimal digits, whatever name it was asked for by."""

    repo: str
    commit: str
    files: tuple[File, ...]


class Part:
    """The beginning of a file on disk, with the hash of what is there."""

    def __init__(self, path: Path, file: File) -> None:
        self.path, self.file = path, file
        self.size, self._hash = 0, file.hash()
        if path.is_file() and path.stat().st_size <= file.size:
            with path.open("rb") as opened:
                while data := opened.read(PIECE):
                    self._hash.update(data)
                    self.size += len(data)
        else:
            self.restart()

    def restart(self) -> None:
        self.path.write_bytes(b"")
        self.size, self._hash = 0, self.file.hash()

    def append(self, data: bytes) -> None:
        """Raises DownloadError where the disk is full."""
        try:
            with self.path.open("ab") as opened:
                opened.write(data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DownloadError(
                    f"the disk is full at {self.path}: enlarge the volume, then run this again"
                ) from None
            raise
        self._hash.update(data)
        self.size += len(data)

    @property
    def complete(self) -> bool:
        return self.size == self.file.size

    @property
    def good(self) -> bool:
        return self.complete and self._hash.hexdigest() == self.file.digest


class Hub:
    """One hub; its session drops the token where a redirect leads to another host."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str) -> None:
        self._session, self._endpoint = session, endpoint.rstrip("/")

    async def revision(self, repo: str, name: str) -> Revision:
        """Raises DownloadError: no such model or revision, not allowed, or no hub."""
        url = f"{self._endpoint}/api/models/{repo}/revision/{quote(name, safe='')}"

        async def ask() -> dict[str, Any]:
            async with self._session.get(url, params={"blobs": "true"}) as response:
                _check(response, f"{repo}@{name}")
                told: dict[str, Any] = await response.json()
                return told

        told = await self._tried(ask, f"{repo}@{name}")
        try:
            found = Revision(repo, told["sha"], tuple(_file(sibling) for sibling in told["siblings"]))
        except (KeyError, TypeError) as error:
            raise DownloadError(f"{self._endpoint} does not answer as a model hub: no {error}") from None
        if re.fullmatch("[0-9a-f]{40}", name) and found.commit != name:
            raise DownloadError(f"{repo}: asked for {name}, the hub gives {found.commit}")
        return found

    async def fetch(self, revision: Revision, file: File, target: Path, told: Callable[[int], None]) -> None:
        """Until `target` is the file, its hash proven; told(bytes) of each piece, and of what was there.

        Raises DownloadError: refused, the connection fails again and again without a byte, or the hub sends something
        else than what its own list says, twice.
        """
        url = f"{self._endpoint}/{revision.repo}/resolve/{revision.commit}/{quote(file.name)}"
        what = f"{revision.repo}: {file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        part = await asyncio.to_thread(Part, target.with_name(target.name + ".part"), file)
        told(part.size)
        for _ in range(2):
            if not part.complete:
                await self._tried(lambda: self._append(url, part, told, what), what, lambda: part.size)
            if part.good:
                part.path.replace(target)
                return
            told(-part.size)
            part.restart()
        raise DownloadError(f"{what} is not what the hub's list says: the hash differs, twice")

    async def _append(self, url: str, part: Part, told: Callable[[int], None], what: str) -> None:
        headers = {"Range": f"bytes={part.size}-"} if part.size else {}
        async with self._session.get(url, headers=headers) as response:
            _check(response, what)
            if part.size and response.status == 200:  # the whole file, whatever was asked for
                told(-part.size)
                part.restart()
            async for data in response.content.iter_chunked(PIECE):
                if part.size + len(data) > part.file.size:
                    raise DownloadError(f"{what} is longer than the {part.file.size} bytes of the hub's list")
                await asyncio.to_thread(part.append, data)
                told(len(data))
        if not part.complete:
            raise _Retry(f"the connection ended after {part.size} of {part.file.size} bytes")

    async def _tried(self, request: Callable[[], Awaitable[T]], what: str, reached: Callable[[], int] = lambda: 0) -> T:
        """Raises DownloadError after TRIES failures in a row in which `reached` did not grow."""
        failures, most = 0, reached()
        while True:
            try:
                return await request()
            except (_Retry, aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            failures = 1 if reached() > most else failures + 1
            most = max(most, reached())
            if failures == TRIES:
                raise DownloadError(f"{what}: given up after {TRIES} tries: {reason}")
            await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)))


def _check(response: aiohttp.ClientResponse, what: str) -> None:
    if response.status in AGAIN:
        raise _Retry(f"HTTP {response.status}")
    if response.status in (401, 403):
        raise DownloadError(
            f"{what}: the hub refuses (HTTP {response.status}): is HF_TOKEN set, and its licence accepted?"
        )
    if response.status not in (200, 206):
        raise DownloadError(f"{what}: the hub answers HTTP {response.status}: is the name right?")


def _file(sibling: dict[str, Any]) -> File:
    large = sibling.get("lfs")
    digest = large["sha256"] if large else sibling["blobId"]
    return File(sibling["rfilename"], large["size"] if large else sibling["size"], digest)
