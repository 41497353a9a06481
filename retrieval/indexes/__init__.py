"""Derived indexes that follow the store's change log: opened, caught up, checked, rebuilt.

Door: atomic, bm25, consistency, follow, manager.
Imports: retrieval.indexes.base, retrieval.indexes.dense, retrieval.indexes.sparse, retrieval.store.
"""
