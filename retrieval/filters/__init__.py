"""Attribute filters: a syntax tree, and what it compiles to.

Door: sql.
Imports: nothing.
"""
