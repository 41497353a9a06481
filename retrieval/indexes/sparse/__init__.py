"""The learned lexical leg: token weights in an inverted index.

Door: index.
Imports: retrieval.indexes.base, retrieval.passages.
"""
