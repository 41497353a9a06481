"""What every route shares: bodies, streams and failures on the wire.

Door: collect, errors, health, json_body, sse.
Imports: server.answering.
"""
