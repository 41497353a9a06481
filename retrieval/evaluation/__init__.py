"""Measures every stage of the ranking on BEIR folders.

Door: evaluation.
Imports: retrieval.ranking, retrieval.store, retrieval.store.base.
"""
