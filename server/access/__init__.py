"""Who asks, and what is let in.

Door: admission, authentication, keys.
Imports: server.answering, server.http.
"""
