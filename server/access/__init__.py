"""Who asks, and what is let in.

Door: admission, authentication, keys, neighbours.
Imports: server.answering, server.http.
"""
