"""Documents to passages: cut, named, tokenized, embedded in windows, and how their lexical weights are kept.

Imports nothing of the room's folders.
"""
