"""Files on their way to being found, and what tends them afterwards.

Door: documents, upkeep, worker.
Imports: retrieval.indexes, retrieval.parsing, retrieval.passages, retrieval.store.
"""
