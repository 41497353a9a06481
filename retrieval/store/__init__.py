"""The source of truth, in SQLite: vector stores, files, passages, vectors, the change log."""
