"""Databases of the store as ragpod of before Alembic left them, and what their rows become."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory

from retrieval.store.migrations import MIGRATIONS
from retrieval.store.outbox.tables import METADATA

FILENAME = "ragpod.db"
SCRIPTS = ScriptDirectory(str(MIGRATIONS.folder), version_locations=[str(MIGRATIONS.folder)])
BEFORE_ALEMBIC = range(1, len(MIGRATIONS.before_alembic) + 1)
# What ragpod may have written in the tables that it had by then. The logs of two stores take turns in one sequence;
# that of a third has been trimmed, that of the last is empty. Of every numbered table the newest row is gone.
WRITTEN = {
    1: """
    INSERT INTO vector_stores (n, id, owner, name, metadata, created_at, last_active_at, embedder, dim, log_floor)
        VALUES (1, 'vs_1', 'ann', '상점', '{"a": "가"}', 5, 6, 'e5', 2, 2),
        (2, 'vs_2', 'bob', 'b', '{}', 5, 6, 'e5', 2, 0),
        (3, 'vs_3', 'bob', 'b', '{}', 5, 6, 'e5', 2, 4), (4, 'vs_4', 'bob', 'c', '{}', 5, 6, NULL, NULL, 0),
        (9, 'vs_9', 'bob', 'gone', '{}', 5, 6, NULL, NULL, 0);
    INSERT INTO contents VALUES ('aa', zeroblob(3000000)), ('bb', x'00ff'), ('cc', x'');
    INSERT INTO files VALUES (1, 'file-1', 'ann', 'a.txt', '', 'assistants', 'aa', 3000000, 5),
        (2, 'file-2', 'bob', 'a.txt', 'text/plain', 'user_data', 'aa', 3000000, 5),
        (5, 'file-5', 'bob', 'b.txt', '', 'assistants', 'bb', 2, 6), (6, 'file-6', 'bob', 'c.txt', '', 'x', 'cc', 0, 6),
        (8, 'file-8', 'bob', 'gone.txt', '', 'x', 'bb', 2, 6);
    INSERT INTO store_files (version, store, file, filename, sha256, status, stage, visible, error_code, error_message,
        attributes, created_at, usage_bytes, documents, chunks, embedded)
        VALUES (1, 1, 1, 'a.txt', 'aa', 'completed', 'indexed', 1, NULL, NULL, '{"year": 2024}', 5, 70, 2, 2, 2),
        (2, 2, 5, 'b.txt', 'bb', 'failed', 'parsed', 0, 'unsupported_file', 'why', '{}', 5, 0, 0, 0, 0),
        (3, 3, 6, 'c.txt', 'cc', 'in_progress', 'chunked', 0, NULL, NULL, '{}', 5, 0, 1, 0, 0),
        (9, 3, 6, 'gone.txt', 'cc', 'in_progress', 'accepted', 0, NULL, NULL, '{}', 5, 0, 0, 0, 0);
    INSERT INTO documents VALUES
        (1, 1, 'doc_1', 0, 'd1', 'e', '제목', 'u', '가나다', '{"x": 1}', '{"year": 2024, "x": 1}'),
        (2, 1, 'doc_2', 1, 'd2', '', '', '', 'text', '{}', '{}'), (9, 1, 'doc_9', 2, 'd9', '', '', '', '', '{}', '{}');
    INSERT INTO kept_documents VALUES (3, 2, 0);
    INSERT INTO chunks VALUES (1, 1, 0, 'c1', '가나다', 0, 3, '["h"]', NULL, 3, '가 나', x'01'),
        (2, 2, 0, 'c2', 'text', 0, 4, '[]', 7, 1, 'text', x'02'), (9, 2, 1, 'c9', '', 0, 0, '[]', NULL, 0, '', x'09');
    INSERT INTO vectors VALUES (1, x'00010203'), (2, x'04050607');
    INSERT INTO token_codes VALUES (1, x'0a'), (2, x'0b');
    INSERT INTO changes VALUES (1, 1, 7, 1), (2, 1, 7, 0), (3, 1, 1, 1), (4, 3, 8, 0), (5, 2, 6, 1), (6, 2, 6, 0),
        (7, 1, 2, 1), (8, 9, 9, 1);
    DELETE FROM changes WHERE seq IN (1, 2, 4, 8);
    DELETE FROM chunks WHERE key = 9;
    DELETE FROM documents WHERE n = 9;
    DELETE FROM store_files WHERE version = 9;
    DELETE FROM files WHERE n = 8;
    DELETE FROM vector_stores WHERE n = 9;
    """,
    2: "UPDATE vector_stores SET lexical = 1 WHERE n = 1; INSERT INTO lexical_weights VALUES (1, x'0c'), (2, x'0d');",
    3: """
    UPDATE vector_stores SET description = '설명', expires_days = 7, expired = 1 WHERE n = 4;
    UPDATE files SET expires_at = 99 WHERE n = 2;
    UPDATE store_files SET chunk_size = 300, chunk_overlap = 30 WHERE version = 3;
    INSERT INTO batches VALUES (1, 'vsfb_1', 1, 5, 0), (2, 'vsfb_2', 3, 5, 1), (9, 'vsfb_9', 1, 5, 0);
    INSERT INTO batch_files VALUES (1, 0, 1, NULL), (1, 1, 9, 'cancelled'), (2, 0, 3, NULL);
    DELETE FROM batches WHERE n = 9;
    UPDATE leftovers SET due = 1;
    """,
    4: "UPDATE store_files SET attempt = 4 WHERE version = 3;",
    5: "",
}
# Of columns that came later.
DEFAULTS: dict[str, dict[str, Any]] = {
    "chunks": {"blocks": None, "place": None},
    "vector_stores": {"lexical": 0, "description": "", "expires_days": None, "expired": 0}
    | {"generation_of": None, "generation_state": None, "generation_ended": None, "cutting": None},
    "files": {"expires_at": None},
    "store_files": {"chunk_size": 180, "chunk_overlap": 40, "attempt": 0, "leased_by": None, "lease_until": None}
    | {"warnings": None, "files": 1, "claimed_at": None}
    | {"deaths": 0, "tries": 0, "unforeseen": 0, "waited": 0.0},
    "batches": {"announced": 0},
    "documents": {"composed": None},
}
Rows = dict[str, list[dict[str, Any]]]


def old_database(path: Path, version: int, *, filled: bool = True) -> Path:
    """filled: with rows in every table that it had."""
    with closing(sqlite3.connect(path)) as old:
        for number in BEFORE_ALEMBIC[:version]:
            script: str = SCRIPTS.get_revision(f"{number:04}").module.SQL
            old.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
            if filled:
                old.executescript(f"PRAGMA foreign_keys = ON; BEGIN; {WRITTEN[number]} COMMIT;")
    return path


def rows(path: Path) -> Rows:
    """Of every table, but of the version's, in some order that depends on the rows alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f"SELECT * FROM {name}") for name in tables if name != MIGRATIONS.table}
        return {name: ordered([dict(row) for row in each]) for name, each in found.items()}


def ordered(unordered: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((dict(sorted(row.items())) for row in unordered), key=repr)


def as_it_becomes(old: Rows) -> Rows:
    """The same rows in the tables of the code."""
    seqs = {row["n"]: [row["log_floor"]] for row in old["vector_stores"]}
    for change in old["changes"]:
        seqs[change["store"]].append(change["seq"])
    new = {table: [{**DEFAULTS.get(table, {}), **row} for row in old.get(table, [])] for table in METADATA.tables}
    for store in new["vector_stores"]:
        store["head"] = max(seqs[store["n"]])
        store["composed_name"] = store["name"]
        store["index_id"] = store["id"]
    for content in old["contents"]:
        new["blobs"].append({"sha256": content["sha256"], "bytes": len(content["content"]), "doomed": 0})
        new["blob_parts"].append({**content, "part": 0})
    owners = {row["n"]: row["owner"] for row in old["vector_stores"]}
    for version in new["store_files"]:
        version["owner"] = owners[version["store"]]
    shared = ("store", "version", "file", "attributes", "created_at")
    new["attachments"] = [{"n": row["version"]} | {name: row[name] for name in shared} for row in old["store_files"]]
    for row in new["batch_files"]:
        row["attachment"] = row.pop("version")
    new["sqlite_sequence"] = [row for row in old["sqlite_sequence"] if row["name"] != "changes"]
    numbers = [row["seq"] for row in old["sqlite_sequence"] if row["name"] == "store_files"]
    new["sqlite_sequence"] += [{"name": "attachments", "seq": seq} for seq in numbers]
    return {table: ordered(each) for table, each in new.items()}
