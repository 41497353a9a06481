"""Who wants to hear of a file or a batch is told, by signed requests (Standard Webhooks) from the store's outbox.

Door: opening, routes.
Imports: retrieval.store, retrieval.store.base, retrieval.store.outbox, server.access, server.http, server.outgoing,
server.settings.
"""
