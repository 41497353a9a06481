"""Attribute filters: a syntax tree (syntax), what it compiles to (sql), and what a search is told (allowed).

Door: allowed, syntax.
Imports: nothing.
"""
