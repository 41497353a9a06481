"""The tables, their rows as values, and what every repository of the store begins with.

Door: attaching, composition, conditions, guards, log, removal, repository, reuse, rows, tables, uses, values.
Imports: retrieval.database, retrieval.filters.
"""
