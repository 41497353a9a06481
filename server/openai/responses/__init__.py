"""The Responses API.

Door: routes.
Imports: models.wire, server.access, server.answering, server.http, server.openai.chat, server.records.
"""
