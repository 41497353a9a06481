"""What holds of a store between any two transactions, whoever wrote them."""

from typing import Any

from sqlalchemy import Connection, text

from retrieval.store.store import Store

# Each is to find nothing.
_BROKEN = {
    "two visible versions of a filename": """
        SELECT store, filename FROM store_files WHERE visible = 1 GROUP BY store, filename HAVING count(*) > 1""",
    "a visible passage without its vector or its code": """
        SELECT k.key FROM store_files f JOIN documents d ON d.version = f.version JOIN chunks k ON k.document = d.n
        LEFT JOIN vectors v ON v.chunk = k.key LEFT JOIN token_codes c ON c.chunk = k.key
        WHERE f.visible = 1 AND (v.chunk IS NULL OR c.chunk IS NULL)""",
    "some vectors of a vector store have lexical weights beside them, others have none": """
        SELECT f.store FROM store_files f
        JOIN vector_stores s ON s.n = f.store JOIN documents d ON d.version = f.version
        JOIN chunks k ON k.document = d.n JOIN vectors v ON v.chunk = k.key
        LEFT JOIN lexical_weights w ON w.chunk = k.key
        WHERE f.visible = 1 AND (s.lexical = 1) <> (w.chunk IS NOT NULL)""",
    "a visible version whose documents or passages are not as many as it says": """
        SELECT f.version FROM store_files f WHERE f.visible = 1 AND (
            f.documents <> (SELECT count(*) FROM documents d WHERE d.version = f.version)
            OR f.chunks <> (SELECT count(*) FROM documents d JOIN chunks k ON k.document = d.n
                            WHERE d.version = f.version)
            OR f.embedded <> f.chunks) AND f.store NOT IN (SELECT n FROM vector_stores WHERE owner = '')""",
    "a version that has ended keeps what was pending": """
        SELECT f.version FROM store_files f JOIN documents d ON d.version = f.version
        WHERE f.visible = 0 AND f.status <> 'in_progress' AND f.files > 0""",
    "a visible version that keeps documents of another one": """
        SELECT f.version FROM store_files f JOIN kept_documents k ON k.version = f.version WHERE f.visible = 1""",
    "somebody holds what has ended": """
        SELECT version FROM store_files WHERE status <> 'in_progress' AND leased_by IS NOT NULL""",
    "a completed version that is not visible": """
        SELECT version FROM store_files WHERE status = 'completed' AND visible = 0""",
    "a file of a batch that is gone, nobody knows how, or that is there and has gone": """
        SELECT b.attachment FROM batch_files b LEFT JOIN attachments a ON a.n = b.attachment
        WHERE (a.n IS NULL) <> (b.ended IS NOT NULL)""",
    "a file of a batch that has gone, and is still in progress": """
        SELECT attachment FROM batch_files WHERE ended = 'in_progress'""",
    "a version that nobody has, or by others than it says": """
        SELECT f.version FROM store_files f JOIN vector_stores s ON s.n = f.store
        WHERE s.generation_of IS NULL AND s.owner <> '' AND (
            f.files <> (SELECT count(*) FROM attachments a WHERE a.version = f.version)
            OR f.files > 0
            AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.version = f.version AND a.file = f.file))""",
    "what passages tell of a file is not what it has": """
        SELECT f.version FROM store_files f JOIN attachments a ON a.version = f.version AND a.file = f.file
        WHERE a.attributes <> f.attributes""",
    "a file that is attached to a version of other bytes, or in another vector store": """
        SELECT a.n FROM attachments a JOIN store_files f ON f.version = a.version JOIN files u ON u.n = a.file
        WHERE a.store <> f.store OR u.sha256 <> f.sha256""",
    "a file without its blob": """
        SELECT f.id FROM files f LEFT JOIN blobs b ON b.sha256 = f.sha256 WHERE b.sha256 IS NULL""",
    "a file whose blob is doomed": """
        SELECT f.id FROM files f JOIN blobs b ON b.sha256 = f.sha256 WHERE b.doomed = 1""",
    "a blob that nobody has, and that is not doomed": """
        SELECT b.sha256 FROM blobs b LEFT JOIN files f ON f.sha256 = b.sha256
        WHERE f.n IS NULL AND b.doomed = 0""",
    "what nobody has and is visible": """
        SELECT f.version FROM store_files f WHERE f.files = 0 AND (f.visible = 1 OR f.status <> 'cancelled')""",
}
_VISIBLE = """
    SELECT k.key FROM store_files f JOIN documents d ON d.version = f.version JOIN chunks k ON k.document = d.n
    WHERE f.visible <> 0 AND f.store = :store"""


def assert_whole(store: Store) -> None:
    """Also that every file is there to be read; its bytes are those whose digest it has."""
    with store.database.read() as db:
        found = {name: db.execute(text(query)).all() for name, query in _BROKEN.items()}
        broken = {name: rows for name, rows in found.items() if rows}
        assert not broken, broken
        for vector_store in db.execute(text("SELECT * FROM vector_stores WHERE owner <> ''")).all():
            _assert_log(db, vector_store)
        digests = db.scalars(text("SELECT DISTINCT sha256 FROM files")).all()
    for digest in digests:
        store.blobs.open(digest).close()


def _assert_log(db: Connection, vector_store: Any) -> None:
    """It goes from the floor to the head without a gap, and leads to what is visible."""
    named = {"store": vector_store.n}
    log = db.execute(text("SELECT seq, chunk, added FROM changes WHERE store = :store ORDER BY seq"), named).all()
    assert [seq for seq, _, _ in log] == list(range(vector_store.log_floor + 1, vector_store.head + 1))
    visible = set(db.scalars(text(_VISIBLE), named))
    if vector_store.log_floor == 0:
        assert replayed(log) == visible
    last = {key: added for _, key, added in log}
    assert {key for key, added in last.items() if added} <= visible
    assert visible.isdisjoint(key for key, added in last.items() if not added)


def replayed(log: Any, keys: frozenset[int] = frozenset()) -> set[int]:
    """What is visible after these changes, each of which must have had something to change. keys: before them."""
    found = set(keys)
    for seq, key, added in log:
        assert bool(added) == (key not in found), (seq, key, added)
        (found.add if added else found.remove)(key)
    return found
