"""Values and errors of the store.

StoreError
├── NotFound            no such id for this owner (another owner's id is answered the same way)
│   ├── Expired         the vector store's time is over: it has been emptied, or is about to be
│   └── UnknownCursor   a page was asked for after or before an id that is not in the list
├── EmbedderMismatch    the vector store holds another model's vectors; they are never mixed
├── Superseded          the file version was cancelled, deleted, replaced or put up again while it was worked on
├── LogTrimmed          who asks for changes has missed some: it begins anew from what is there
├── StoreUnavailable    these five are any database's: retrieval/database/errors.py
├── StoreFull
├── StoreConflict
├── NewerDatabase
└── DataDirLocked
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

from retrieval.database.errors import DataDirLocked as DataDirLocked
from retrieval.database.errors import NewerDatabase as NewerDatabase
from retrieval.database.errors import StoreConflict as StoreConflict
from retrieval.database.errors import StoreError as StoreError
from retrieval.database.errors import StoreFull as StoreFull
from retrieval.database.errors import StoreUnavailable as StoreUnavailable
from retrieval.database.errors import kind_of_os as kind_of_os
from retrieval.types import Attributes, Chunk, Chunking
from retrieval.types import VectorSpace as VectorSpace

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
FileStage = Literal["accepted", "parsed", "chunked", "embedded", "indexed"]

T = TypeVar("T")
DAY = 86_400
LIVE_SECONDS = DAY  # how long a follower of the change log that is not heard of holds it back
STORE_PREFIX = "vs_"  # of every vector store's id


class NotFound(StoreError):
    pass


class Expired(NotFound):
    pass


class UnknownCursor(NotFound):
    """param: `after` or `before`."""

    def __init__(self, param: str, cursor: str) -> None:
        super().__init__(f"{param} is {cursor!r}, which is not in this list")
        self.param = param


class EmbedderMismatch(StoreError):
    pass


class Superseded(StoreError):
    pass


class LogTrimmed(StoreError):
    pass


@dataclass(frozen=True, slots=True)
class FileCounts:
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class NamedStore:
    """What is known of a vector store without counting its files. created_at: Unix seconds.

    number: the row of the generation that is found now, whose passages it names for as long as this is used, whatever
    is switched meanwhile. index_id: of that generation's indexes. head: the newest seq of its change log. space: of the
    vectors inside, None before the first.
    """

    id: str
    name: str
    created_at: int
    expired: bool
    number: int
    head: int
    space: VectorSpace | None
    index_id: str = ""


@dataclass(frozen=True, slots=True)
class VectorStore:
    """Times are Unix seconds. embedder, dim: of the vectors that it holds; None before the first one.

    expires_days: after last_active_at; None keeps it for ever. expired: that time has come.
    """

    id: str
    owner: str
    name: str
    metadata: Mapping[str, str]
    created_at: int
    last_active_at: int
    usage_bytes: int = 0
    counts: FileCounts = field(default_factory=FileCounts)
    embedder: str | None = None
    dim: int | None = None
    description: str = ""
    expires_days: int | None = None
    expired: bool = False

    @property
    def expires_at(self) -> int | None:
        return None if self.expires_days is None else self.last_active_at + self.expires_days * DAY


@dataclass(frozen=True, slots=True)
class File:
    id: str
    owner: str
    filename: str
    media_type: str
    purpose: str
    bytes: int
    sha256: str
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class FileError:
    """code: OpenAI's `server_error`, `unsupported_file`, `invalid_file`, or a more exact one."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FileWarnings:
    """What was read otherwise than it was meant, perhaps. messages: the first of them, at most MOST."""

    MOST: ClassVar[int] = 20
    count: int = 0
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file attached to a vector store. `embedded` of `chunks` passages have their vectors (0 of 0 before chunking).

    version: its integer in the store, never reused. visible: searches see it.
    """

    version: int
    store_id: str
    file_id: str
    filename: str
    status: FileStatus
    stage: FileStage
    attributes: Attributes
    created_at: int
    usage_bytes: int = 0
    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    visible: bool = False
    error: FileError | None = None
    chunking: Chunking = field(default_factory=Chunking)
    warnings: FileWarnings = FileWarnings()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach. None leaves what an earlier attaching set: no attributes and the usual passages at first, which
    are "auto".
    """

    file_id: str
    attributes: Attributes | None = None
    chunking: Chunking | Literal["auto"] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of an ingest. passages: embedded, of files that are completed and those in progress. known: passages that these
    files are known to have. uncut: files in progress of which the passages are not counted yet.
    """

    files: FileCounts
    passages: int
    known: int
    uncut: int

    @property
    def left(self) -> int:
        """Passages to be embedded; files that are not cut yet are taken to have as many as the others."""
        cut = self.files.total - self.files.failed - self.files.cancelled - self.uncut
        return self.known - self.passages + (round(self.uncut * self.known / cut) if cut else 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Files attached together. counts: of all of them; one that has left the vector store counts as it ended.

    cancelled: it was cancelled while something was in progress.
    """

    id: str
    store_id: str
    created_at: int
    counts: FileCounts
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk with what ranking needs. token_code: models.rerankers.late_interaction.encode of its token vectors."""

    chunk: Chunk
    terms: tuple[str, ...]
    token_code: bytes


class Attempt(NamedTuple):
    """One go at a file version, by one worker: every step names it, and is Superseded when a later one has begun.

    number: ascending for a version; others may have been in between.
    """

    version: int
    number: int

    def __str__(self) -> str:
        return f"file version {self.version}, attempt {self.number}"


class Tried(NamedTuple):
    """In vain since something was done of a file version that stays (its passages, some of their vectors). deaths: of
    processes that had claimed it. tries: that ended with an error; unforeseen: those of them that are. waited: seconds.
    """

    deaths: int = 0
    tries: int = 0
    unforeseen: int = 0
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class IngestJob:
    """What an ingest worker needs to know. claimed_at: Unix seconds. embedder: of its vectors; None: any may begin."""

    attempt: Attempt
    owner: str
    store_id: str
    file_id: str
    filename: str
    media_type: str
    stage: FileStage
    visible: bool
    chunking: Chunking = field(default_factory=Chunking)
    tried: Tried = field(default_factory=Tried)
    claimed_at: float = 0.0
    index_id: str = ""
    embedder: str | None = None


class LogState(NamedTuple):
    """Of a vector store's change log: its newest seq, 0 before the first, and up to where it has been trimmed: an index
    that has applied less than `floor` must be built anew. space: as of NamedStore.
    """

    head: int
    floor: int
    space: VectorSpace | None


class Change(NamedTuple):
    """One entry of the change log: a chunk became visible, or left."""

    seq: int
    key: int
    added: bool
