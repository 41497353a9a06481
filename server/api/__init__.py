"""The plain HTTP API that other backends call.

Door: chat, simple, traces.
Imports: server.access, server.answering, server.http, server.records.
"""
