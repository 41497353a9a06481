"""Documents to passages: cut, named, tokenized, embedded in windows, and how their lexical weights are kept.

Door: blocks, chunking, identity, lexical_weights, tokenize, windows.
Imports: models.quoting, models.rerankers.
"""
