"""Generations of a vector store: its passages and vectors as another embedder or another cutting makes them.

Each is a row of vector_stores, with files, change log and indexes of its own, so that what is found, what is being
built and what was found before never meet. A switch moves the vector store's id from one row to another.

Door: generations, values.
Imports: retrieval.store.base, retrieval.store.outbox.
"""
