"""Files on their way to being found (worker: Ingestor), what tends them afterwards (upkeep), and what is done to vector
stores and their files in more than one place (documents).

Imports parsing, passages, the indexes and the store. Nothing here imports it.
"""
