"""A question to ranked evidence: legs, fusion, two rerank stages, the context filter. The door is search.Retriever.

Imports the indexes, passages, the store and the filters.
"""
