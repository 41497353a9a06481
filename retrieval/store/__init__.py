"""The source of truth, in SQLite: vector stores, files, passages, vectors, the change log. The door is store.Store, its
values are in types, the lock in lock.

Imports the filters.
"""
