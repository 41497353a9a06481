"""What is counted and measured of a running server.

Door: metrics.
Imports: server.answering, server.http.
"""
