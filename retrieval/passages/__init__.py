"""Documents to passages and their terms: chunks, windows, lexical terms, identities.

Door: chunking, identity, lexical_weights, tokenize, windows.
Imports: models.rerankers.
"""
