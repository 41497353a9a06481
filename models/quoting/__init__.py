"""Answers in the evidence's own units: sentences, steps, rows of tables, code; and those units themselves.

Door: extractive, grammar, inert, marks, pictures, sentences, structure.
Imports: models.wire.
"""
