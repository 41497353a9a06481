"""Copies of a data folder: made while a server writes it, told from broken ones, restored elsewhere. Knows no HTTP.

Door: making, manifest, restoring.
Imports: retrieval.blobs, retrieval.database.
"""
