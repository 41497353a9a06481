"""The source of truth, in SQLite: vector stores, files, passages, vectors, the change log.

Door: lock, store, types.
Imports: retrieval.database, retrieval.filters.
"""
