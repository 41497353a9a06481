"""What is counted and measured of a running server.

Door: metrics, requests, route.
Imports: server.answering, server.http.
"""
