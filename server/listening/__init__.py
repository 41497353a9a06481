"""uvicorn, with limits from a connection's first byte and an end at which everyone is told.

Door: connections, descriptors, protocol, server.
Imports: server.answering, server.http.
"""
