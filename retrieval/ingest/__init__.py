"""Files on their way to being found, what tends them afterwards, and what is done to vector stores in several places.

Door: documents, regeneration, scans, upkeep, worker.
Imports: retrieval.indexes, retrieval.parsing, retrieval.passages, retrieval.privacy, retrieval.sandbox,
retrieval.store, retrieval.store.base, retrieval.store.generations.
"""
