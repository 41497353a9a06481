"""Store values as OpenAI's vector store objects, and the bodies that make them."""

from typing import Annotated, Any, Literal, Self

from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from retrieval.ingest.documents import Documents
from retrieval.ingest.scans import Pages
from retrieval.store.base.values import Attachment, Batch, FileCounts, Progress, StoreFile, VectorStore
from retrieval.store.store import Store
from retrieval.types import Chunking
from server.http.json_body import NoNul
from server.http.provided import provided

StoreNow = Annotated[Store, provided(Store)]
DocumentsNow = Annotated[Documents, provided(Documents)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64), NoNul]
Text = Annotated[str, StringConstraints(max_length=512), NoNul]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128), NoNul]
Number = Annotated[float, Field(allow_inf_nan=False)]
Metadata = Annotated[dict[Key, Text], MaxLen(16)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]  # what is larger becomes a float
FileAttributes = Annotated[dict[Key, Text | bool | Whole | Number], MaxLen(16)]
FILES = 500
BATCH_FILES = 2000
_ERROR_CODES = ("server_error", "unsupported_file", "invalid_file")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Expiry(Body):
    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class Sizes(Body):
    max_chunk_size_tokens: int = Field(ge=100, le=4096)
    chunk_overlap_tokens: int = Field(ge=0)

    @model_validator(mode="after")
    def at_most_half(self) -> Self:
        if 2 * self.chunk_overlap_tokens > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must not exceed half of max_chunk_size_tokens")
        return self


class Strategy(Body):
    """Tokens are the embedder's own."""

    type: Literal["auto", "static"]
    static: Sizes | None = None

    @model_validator(mode="after")
    def sizes_of_static_alone(self) -> Self:
        if (self.type == "static") != (self.static is not None):
            raise ValueError("type static needs the field static, type auto has none")
        return self

    @property
    def chunking(self) -> Chunking | Literal["auto"]:
        given = self.static
        return "auto" if given is None else Chunking(given.max_chunk_size_tokens, given.chunk_overlap_tokens)


class NewStore(Body):
    """chunking_strategy: of file_ids."""

    name: Annotated[str, NoNul] | None = Field(default=None, max_length=256)
    description: Annotated[str, NoNul] | None = Field(default=None, max_length=1024)
    file_ids: list[Id] = Field(default_factory=list, max_length=FILES)
    metadata: Metadata | None = None
    chunking_strategy: Strategy | None = None
    expires_after: Expiry | None = None


class ChangedStore(Body):
    """null clears a field, one that is not sent stays."""

    name: Annotated[str, NoNul] | None = Field(default=None, max_length=256)
    metadata: Metadata | None = None
    expires_after: Expiry | None = None


class Attach(Body):
    file_id: Id
    attributes: FileAttributes | None = None
    chunking_strategy: Strategy | None = None

    @property
    def attachment(self) -> Attachment:
        strategy = self.chunking_strategy
        return Attachment(self.file_id, self.attributes, strategy.chunking if strategy else None)


class AttachMany(Body):
    """Either file_ids (with common attributes and strategy) or files (each with its own)."""

    file_ids: list[Id] | None = Field(default=None, min_length=1, max_length=BATCH_FILES)
    files: list[Attach] | None = Field(default=None, min_length=1, max_length=BATCH_FILES)
    attributes: FileAttributes | None = None
    chunking_strategy: Strategy | None = None


class Attributes(Body):
    attributes: FileAttributes | None


def store_object(store: VectorStore) -> dict[str, Any]:
    running = "in_progress" if store.counts.in_progress else "completed"
    expiry = {"anchor": "last_active_at", "days": store.expires_days} if store.expires_days else None
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name,
        "description": store.description or None,
        "usage_bytes": store.usage_bytes,
        "file_counts": counts_object(store.counts),
        "status": "expired" if store.expired else running,
        "expires_after": expiry,
        "expires_at": store.expires_at,
        "last_active_at": store.last_active_at,
        "metadata": dict(store.metadata),
    }


def store_file_object(file: StoreFile, recognised: Pages | None = None) -> dict[str, Any]:
    """`ragpod` tells what OpenAI has no field for: how far the ingest is, and the exact code of an error.

    recognised: of a scan that is in progress.
    """
    error = file.error
    sizes = {"max_chunk_size_tokens": file.chunking.size, "chunk_overlap_tokens": file.chunking.overlap}
    return {
        "id": file.file_id,
        "object": "vector_store.file",
        "created_at": file.created_at,
        "vector_store_id": file.store_id,
        "status": file.status,
        "last_error": {"code": _openai_code(error.code), "message": error.message} if error else None,
        "usage_bytes": file.usage_bytes,
        "attributes": dict(file.attributes),
        "chunking_strategy": {"type": "static", "static": sizes},
        "ragpod": {
            "filename": file.filename,
            "stage": file.stage,
            "documents": file.documents,
            "chunks": file.chunks,
            "embedded": file.embedded,
            "ocr": ocr_object(recognised),
            "visible": file.visible,
            "error_code": error.code if error else None,
            "warnings": {"count": file.warnings.count, "messages": list(file.warnings.messages)},
        },
    }


def batch_object(batch: Batch) -> dict[str, Any]:
    counts = batch.counts
    ended = "cancelled" if batch.cancelled else "failed" if counts.failed == counts.total else "completed"
    return {
        "id": batch.id,
        "object": "vector_store.files_batch",
        "created_at": batch.created_at,
        "vector_store_id": batch.store_id,
        "status": "in_progress" if counts.in_progress else ended,
        "file_counts": counts_object(counts),
    }


def progress_object(
    progress: Progress, passages: int, seconds: float, recognised: Pages | None = None
) -> dict[str, Any]:
    """passages: that many of them in the last `seconds`, from which the time left is told; null before the first.
    recognised: of the scans in progress; of other files' pages nothing is known before they are parsed.
    """
    rate = passages / seconds if passages and seconds > 0 else None
    busy = progress.files.in_progress > 0
    return {
        "files": counts_object(progress.files),
        "passages": progress.passages,
        "passages_known": progress.known,
        "files_to_parse": progress.uncut,
        "ocr": ocr_object(recognised),
        "passages_per_second": round(rate, 2) if rate and busy else None,
        "seconds_left": round(progress.left / rate, 1) if rate and busy else None,
    }


def ocr_object(recognised: Pages | None) -> dict[str, int] | None:
    """null where nothing is being recognised (by this server)."""
    return None if recognised is None else {"pages_done": recognised.done, "pages": recognised.total}


def counts_object(counts: FileCounts) -> dict[str, int]:
    return {
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "total": counts.total,
    }


def _openai_code(code: str) -> str:
    """Of its three; what else the house tells apart is the file's fault."""
    return code if code in _ERROR_CODES else "invalid_file"
