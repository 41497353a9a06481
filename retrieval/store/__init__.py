"""The source of truth, in SQLite or PostgreSQL: vector stores, files, passages, vectors, change log, ingest queue.

Door: store.
Imports: retrieval.blobs, retrieval.database, retrieval.filters, retrieval.store.base, retrieval.store.generations,
retrieval.store.migrations, retrieval.store.outbox.
"""
