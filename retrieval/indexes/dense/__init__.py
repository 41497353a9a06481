"""The dense leg: vectors in FAISS, or on a GPU.

Door: index.
Imports: models.torch, retrieval.indexes.base.
"""
