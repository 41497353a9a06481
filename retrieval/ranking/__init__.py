"""A question to ranked evidence: legs, fusion, two rerank stages, the context filter.

Door: find, fusion, ranker, raw_texts, search, stages.
Imports: models.quoting, models.rerankers, retrieval.filters, retrieval.indexes, retrieval.indexes.base,
retrieval.passages, retrieval.store, retrieval.store.base.
"""
