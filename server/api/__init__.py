"""The plain HTTP API that other backends call.

Door: bookmarks, chat, chatbot, sessions, simple, traces.
Imports: server.access, server.answering, server.http, server.records.
"""
