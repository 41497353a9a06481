"""The Responses API.

Door: question, routes.
Imports: models.wire, retrieval.store.base, server.access, server.answering, server.http, server.openai.chat,
server.records.
"""
