"""The tables of the store, as its migrations leave them. Times are Unix seconds; a flag is 0 or 1."""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from retrieval.database.columns import (
    LONG,
    SECONDS,
    Identifier,
    JsonObject,
    Prose,
    flag,
    number,
    only_where,
    row_of,
)
from retrieval.store.base.conditions import BOUNDED

METADATA = MetaData()


vector_stores = Table(
    "vector_stores",
    METADATA,
    number("n"),
    Column("id", Identifier, nullable=False, unique=True),
    Column("owner", Identifier, nullable=False),  # NOBODY of removal.py: it leaves
    Column("name", Prose, nullable=False),
    Column("composed_name", Prose, nullable=False, server_default=text("''")),  # NFC: what names are found by
    Column("metadata", Text, nullable=False),  # JSON
    Column("description", Prose, nullable=False, server_default=text("''")),
    Column("created_at", LONG, nullable=False),
    Column("last_active_at", LONG, nullable=False),
    Column("expires_days", Integer),  # after last_active_at
    flag("expired"),  # it has been emptied, and stays so
    Column("embedder", Prose),  # of the vectors inside; null before the first one
    Column("dim", Integer),
    flag("lexical"),  # whether every vector has lexical weights beside it
    Column("head", LONG, nullable=False, server_default=text("0")),  # the newest seq of its change log
    Column("log_floor", LONG, nullable=False, server_default=text("0")),  # changes up to here have been trimmed
    # A row is one generation (retrieval/store/generations): found, or beside the one that is. `id` moves, index_id not.
    Column("index_id", Identifier, nullable=False, server_default=text("''")),
    Column("generation_of", LONG, ForeignKey("vector_stores.n", ondelete="CASCADE")),
    Column("generation_state", Text),
    Column("generation_ended", LONG),
    Column("cutting", Text),  # JSON (retrieval/store/base/rows.py)
    Index("vector_stores_by_owner", "owner", "composed_name"),
    Index("vector_stores_by_index", "index_id", unique=True),
    Index("vector_stores_generations", "generation_of", **only_where("generation_of IS NOT NULL")),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# Which bytes there are (retrieval/blobs). doomed: no file has them any more; the next sweep removes them.
blobs = Table(
    "blobs",
    METADATA,
    Column("sha256", Text, primary_key=True),
    Column("bytes", LONG, nullable=False),
    flag("doomed"),
    Index("blobs_doomed", "sha256", **only_where("doomed = 1")),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
# The bytes themselves, where the database keeps them.
blob_parts = Table(
    "blob_parts",
    METADATA,
    Column("sha256", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    sqlite_strict=True,
)

files = Table(
    "files",
    METADATA,
    number("n"),
    Column("id", Identifier, nullable=False, unique=True),
    Column("owner", Identifier, nullable=False),
    Column("filename", Prose, nullable=False),
    Column("media_type", Prose, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", LONG, nullable=False),
    Column("created_at", LONG, nullable=False),
    Column("expires_at", LONG),
    UniqueConstraint("owner", "purpose", "filename", "sha256"),
    Index("files_by_content", "sha256"),
    Index("files_by_expiry", "expires_at", **only_where("expires_at IS NOT NULL")),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# A content under a filename inside a vector store. At most one version of a filename is visible. filename: in NFC, by
# which versions replace each other; files.filename has it as it came. file, attributes: what passages tell, of that one
# of its attachments whose attributes were set last (retrieval/store/base/attaching.py).
store_files = Table(
    "store_files",
    METADATA,
    number("version"),
    row_of("vector_stores", "n", "store"),
    row_of("files", "n", "file", leaves=False),
    Column("filename", Prose, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'in_progress'")),
    Column("stage", Text, nullable=False, server_default=text("'accepted'")),
    Column("visible", Integer, nullable=False, server_default=text("0")),  # 1, 0, or GONE of removal.py
    Column("error_code", Text),
    Column("error_message", Prose),
    Column("attributes", JsonObject, nullable=False),
    Column("created_at", LONG, nullable=False),
    Column("usage_bytes", LONG, nullable=False, server_default=text("0")),
    Column("documents", Integer, nullable=False, server_default=text("0")),  # kept ones included
    Column("chunks", Integer, nullable=False, server_default=text("0")),
    Column("embedded", Integer, nullable=False, server_default=text("0")),
    Column("chunk_size", Integer, nullable=False, server_default=text("180")),  # tokens of a passage at most
    Column("chunk_overlap", Integer, nullable=False, server_default=text("40")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),  # raised by being put up again, and taken up
    Column("leased_by", Text),  # who works at it, until then; with nobody, it rests until then
    Column("lease_until", SECONDS),
    Column("warnings", Prose),  # JSON (retrieval/store/base/rows.py); null for none
    Column("files", Integer, nullable=False, server_default=text("1")),  # attachments that share it; 0: it leaves
    Column("owner", Identifier, nullable=False, server_default=text("''")),  # the vector store's, for the queue's turns
    Column("claimed_at", SECONDS),  # when a worker last took it up; the newest of an owner or a store was its last turn
    # Since something was last done of it that stays (retrieval.store.base.values.Tried).
    *(flag(name) for name in ("deaths", "tries", "unforeseen")),
    Column("waited", SECONDS, nullable=False, server_default=text("0")),
    CheckConstraint("status IN ('in_progress', 'completed', 'failed', 'cancelled')"),
    CheckConstraint("stage IN ('accepted', 'parsed', 'chunked', 'embedded', 'indexed')"),
    UniqueConstraint("store", "filename", "sha256"),
    Index("store_files_visible", "store", "filename", unique=True, **only_where("visible = 1")),
    Index("store_files_by_file", "file"),
    Index("store_files_by_status", "store", "status", "usage_bytes", "files"),  # the counts are read from it alone
    Index("store_files_unfinished", "owner", "store", "version", **only_where("status = 'in_progress'")),
    Index("store_files_turns_of_owner", "owner", "claimed_at", **only_where("claimed_at IS NOT NULL")),
    Index("store_files_turns_of_store", "store", "claimed_at", **only_where("claimed_at IS NOT NULL")),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# A file in a vector store. Files of equal names and bytes share one version, and each has a row here.
attachments = Table(
    "attachments",
    METADATA,
    number("n"),
    row_of("vector_stores", "n", "store"),
    row_of("store_files", "version", "version"),
    row_of("files", "n", "file", leaves=False),
    Column("attributes", JsonObject, nullable=False),
    Column("created_at", LONG, nullable=False),
    Index("attachments_by_store", "store", "n"),
    Index("attachments_by_file", "file"),
    Index("attachments_by_version", "version"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

_BOUNDED: Any = {f"{dialect}_where": text(words) for dialect, words in BOUNDED.items()}
documents = Table(
    "documents",
    METADATA,
    number("n"),
    row_of("store_files", "version", "version"),
    Column("id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("external_id", Prose, nullable=False),
    Column("title", Prose, nullable=False),
    Column("url", Prose, nullable=False),
    Column("text", Prose, nullable=False),
    Column("own_attributes", JsonObject, nullable=False),  # the document's
    Column("attributes", JsonObject, nullable=False),  # the file's, overlaid with the document's
    Column("composed", JsonObject),  # the same in NFC, which filters compare; null where that is no other
    UniqueConstraint("version", "id"),
    Index("documents_bounded", "version", **_BOUNDED),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# Unchanged documents of the visible version that a pending version will take over.
kept_documents = Table(
    "kept_documents",
    METADATA,
    row_of("store_files", "version", "version", first=True),
    row_of("documents", "n", "document", first=True),
    Column("ordinal", Integer, nullable=False),
    Index("kept_documents_by_document", "document"),
    sqlite_strict=True,
)

chunks = Table(
    "chunks",
    METADATA,
    number("key"),
    row_of("documents", "n", "document"),
    Column("position", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("text", Prose, nullable=False),
    Column("first_char", Integer, nullable=False),
    Column("last_char", Integer, nullable=False),  # exclusive
    Column("headings", Prose, nullable=False),  # JSON
    Column("page", Integer),
    Column("token_count", Integer, nullable=False),
    Column("terms", Prose, nullable=False),  # joined by spaces
    Column("indexed_sha256", LargeBinary, nullable=False),  # of the text that is embedded
    Column("blocks", Prose),  # JSON, kind, start, end and context of each; null where the text alone shows them
    Column("place", Prose),  # JSON, retrieval.places.packed; null where the file has no places
    UniqueConstraint("document", "position"),
    Index("chunks_by_indexed_text", "indexed_sha256"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)


def _beside_chunks(name: str, column: str) -> Table:
    chunk = row_of("chunks", "key", "chunk", first=True)
    return Table(name, METADATA, chunk, Column(column, LargeBinary, nullable=False), sqlite_strict=True)


vectors = _beside_chunks("vectors", "vector")  # float16, little-endian
token_codes = _beside_chunks("token_codes", "code")
lexical_weights = _beside_chunks("lexical_weights", "weights")  # retrieval/indexes/sparse/index.py

batches = Table(
    "batches",
    METADATA,
    number("n"),
    Column("id", Identifier, nullable=False, unique=True),
    row_of("vector_stores", "n", "store"),
    Column("created_at", LONG, nullable=False),
    flag("cancelled"),
    flag("announced"),  # all of its files had ended, and who listens was told (retrieval/store/outbox)
    Index("batches_by_store", "store"),
    Index("batches_unannounced", "store", **only_where("announced = 0")),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
batch_files = Table(
    "batch_files",
    METADATA,
    row_of("batches", "n", "batch", first=True),
    Column("ordinal", Integer, primary_key=True),
    Column("attachment", LONG, nullable=False),  # it may be gone
    Column("ended", Text),  # the status that it had when it went
    Index("batch_files_by_attachment", "attachment"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# The change log (retrieval/store/changes.py), and how far who follows it has it on disk.
changes = Table(
    "changes",
    METADATA,
    row_of("vector_stores", "n", "store", first=True),
    Column("seq", LONG, primary_key=True),
    Column("chunk", LONG, nullable=False),
    Column("added", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
index_cursors = Table(
    "index_cursors",
    METADATA,
    row_of("vector_stores", "n", "store", first=True),
    Column("index", Text, primary_key=True),
    Column("consumer", Text, primary_key=True),
    Column("applied", LONG, nullable=False),
    Column("seen_at", LONG, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
# Data folders that follow. due: whether something was deleted since the last scrub (retrieval/store/base/removal.py).
consumers = Table(
    "consumers",
    METADATA,
    Column("consumer", Text, primary_key=True),
    flag("due"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
