"""The vectors of a file version's pending passages, token codes and lexical weights beside them."""

import json
import sqlite3
from collections.abc import Sequence

from models.base import FloatArray
from retrieval.store.database import Database
from retrieval.store.rows import live_version
from retrieval.store.types import Superseded
from retrieval.types import indexed_text


class Vectors(Database):
    """For the ingestor."""

    def pending_keys(self, version: int) -> list[int]:
        """Chunks without a vector, ascending."""
        with self.read() as db:
            rows = db.execute(
                "SELECT c.key FROM documents d JOIN chunks c ON c.document = d.n WHERE d.version = ?"
                " AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.key) ORDER BY c.key",
                (version,),
            )
            return [row["key"] for row in rows]

    def pending_texts(self, keys: Sequence[int]) -> list[str]:
        """What is to be embedded for each of them. Raises Superseded when one is gone."""
        with self.read() as db:
            rows = db.execute(
                "SELECT c.key, c.text, c.headings, d.title FROM chunks c JOIN documents d ON d.n = c.document"
                " WHERE c.key IN (SELECT value FROM json_each(?))",
                (json.dumps(keys),),
            )
            texts = {row["key"]: indexed_text(row["title"], json.loads(row["headings"]), row["text"]) for row in rows}
        if len(texts) < len(keys):
            raise Superseded("chunks went away while they were embedded")
        return [texts[key] for key in keys]

    def save_vectors(
        self,
        version: int,
        keys: Sequence[int],
        vectors: FloatArray,
        codes: Sequence[bytes],
        weights: Sequence[bytes] | None = None,
    ) -> None:
        """vectors: (n, dim), kept as float16. weights: None where the embedder has none. Raises Superseded."""
        rows = [row.tobytes() for row in vectors.astype("<f2")]
        with self.write(durable=False) as db:
            live_version(db, version)
            db.executemany("INSERT INTO vectors (chunk, vector) VALUES (?, ?)", zip(keys, rows, strict=True))
            db.executemany("INSERT INTO token_codes (chunk, code) VALUES (?, ?)", zip(keys, codes, strict=True))
            if weights is not None:
                sql = "INSERT INTO lexical_weights (chunk, weights) VALUES (?, ?)"
                db.executemany(sql, zip(keys, weights, strict=True))
            db.execute("UPDATE store_files SET embedded = embedded + ? WHERE version = ?", (len(keys), version))


def reuse_vectors(db: sqlite3.Connection, version: int, store: int) -> None:
    """Copies what the vector store already holds for the same indexed text."""
    pairs = db.execute(
        "SELECT c.key, (SELECT v.chunk FROM chunks o JOIN vectors v ON v.chunk = o.key"
        "   JOIN documents od ON od.n = o.document JOIN store_files oa ON oa.version = od.version"
        "   WHERE o.indexed_sha256 = c.indexed_sha256 AND oa.store = ? LIMIT 1) AS source"
        " FROM documents d JOIN chunks c ON c.document = d.n"
        " WHERE d.version = ? AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.key)",
        (store, version),
    ).fetchall()
    known = [(pair["key"], pair["source"]) for pair in pairs if pair["source"] is not None]
    db.executemany("INSERT INTO vectors (chunk, vector) SELECT ?, vector FROM vectors WHERE chunk = ?", known)
    db.executemany("INSERT INTO token_codes (chunk, code) SELECT ?, code FROM token_codes WHERE chunk = ?", known)
    db.executemany(
        "INSERT INTO lexical_weights (chunk, weights) SELECT ?, weights FROM lexical_weights WHERE chunk = ?", known
    )
