"""Answers in the evidence's own sentences, and the sentences themselves.

Door: extractive, grammar, sentences.
Imports: models.wire.
"""
