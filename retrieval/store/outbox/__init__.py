"""Webhooks: what happened is written down beside it, in the same transaction, until whoever listens has been told.

Knows no HTTP: server/webhooks delivers.

Door: deliveries, endpoints, events, tables, values.
Imports: retrieval.database, retrieval.store.base.
"""
