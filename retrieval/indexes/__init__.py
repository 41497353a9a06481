"""Derived indexes that follow the store's change log: opened, caught up, checked, rebuilt.

base: what every index is. dense, sparse, bm25: the kinds, which registry lists; nothing else names them. manager: those
of every vector store.

Door: consistency, follow, manager, registry.
Imports: retrieval.indexes.base, retrieval.indexes.dense, retrieval.indexes.sparse, retrieval.store.base.
"""
