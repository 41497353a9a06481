"""Store values as OpenAI's vector store objects, and the bodies that make them."""

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from retrieval.store_types import FileCounts, StoreFile, VectorStore

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=512)]
Metadata = Annotated[dict[Key, Text], MaxLen(16)]
FileAttributes = Annotated[dict[Key, Text | bool | float], MaxLen(16)]
FILES = 500


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewStore(Body):
    """chunking_strategy and expires_after are OpenAI's; the server has its own, so only their defaults pass."""

    name: str | None = Field(default=None, max_length=256)
    description: str | None = Field(default=None, max_length=1024)
    file_ids: list[str] = Field(default_factory=list, max_length=FILES)
    metadata: Metadata | None = None
    chunking_strategy: dict[str, Any] | None = None
    expires_after: None = None


class ChangedStore(Body):
    name: str | None = Field(default=None, max_length=256)
    metadata: Metadata | None = None
    expires_after: None = None


class Attach(Body):
    file_id: str
    attributes: FileAttributes | None = None
    chunking_strategy: dict[str, Any] | None = None


class AttachMany(Body):
    """Either file_ids (with common attributes) or files (each with its own)."""

    file_ids: list[str] | None = Field(default=None, min_length=1, max_length=FILES)
    files: list[Attach] | None = Field(default=None, min_length=1, max_length=FILES)
    attributes: FileAttributes | None = None
    chunking_strategy: dict[str, Any] | None = None


class Attributes(Body):
    attributes: FileAttributes


def store_object(store: VectorStore) -> dict[str, Any]:
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name,
        "usage_bytes": store.usage_bytes,
        "file_counts": counts_object(store.counts),
        "status": "in_progress" if store.counts.in_progress else "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": store.last_active_at,
        "metadata": dict(store.metadata),
    }


def store_file_object(file: StoreFile) -> dict[str, Any]:
    """`ragpod` tells what OpenAI has no field for: how far the ingest is."""
    error = {"code": file.error.code, "message": file.error.message} if file.error else None
    return {
        "id": file.file_id,
        "object": "vector_store.file",
        "created_at": file.created_at,
        "vector_store_id": file.store_id,
        "status": file.status,
        "last_error": error,
        "usage_bytes": file.usage_bytes,
        "attributes": dict(file.attributes),
        "chunking_strategy": {"type": "other"},
        "ragpod": {
            "filename": file.filename,
            "stage": file.stage,
            "documents": file.documents,
            "chunks": file.chunks,
            "embedded": file.embedded,
            "visible": file.visible,
        },
    }


def batch_object(batch_id: str, store_id: str, created_at: int, files: Iterable[StoreFile]) -> dict[str, Any]:
    statuses = [file.status for file in files]
    counts = FileCounts(*(statuses.count(status) for status in ("in_progress", "completed", "failed", "cancelled")))
    ended = "cancelled" if counts.cancelled == counts.total and counts.total else "completed"
    return {
        "id": batch_id,
        "object": "vector_store.files_batch",
        "created_at": created_at,
        "vector_store_id": store_id,
        "status": "in_progress" if counts.in_progress else ended,
        "file_counts": counts_object(counts),
    }


def counts_object(counts: FileCounts) -> dict[str, int]:
    return {
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "total": counts.total,
    }
