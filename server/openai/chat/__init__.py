"""POST /v1/chat/completions, and the engine itself by its own id.

Door: fields, passthrough, render, requests, route, tools.
Imports: models.wire, server.access, server.answering, server.http.
"""
