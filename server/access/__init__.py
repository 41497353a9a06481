"""Who asks, and what is let in.

Door: admission, auth.
Imports: server.answering, server.http.
"""
