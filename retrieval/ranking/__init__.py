"""A question to ranked evidence: legs, fusion, two rerank stages, the context filter.

Door: find, fusion, ranker, raw_texts, search, stages.
Imports: models.rerankers, retrieval.indexes, retrieval.passages, retrieval.store.
"""
