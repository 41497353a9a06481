"""Documents to passages and their terms: chunks, windows, lexical terms, identities.

Door: chunking, identity, tokenize, windows.
Imports: models.rerankers.
"""
