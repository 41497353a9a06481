"""What every route shares: bodies, streams and failures on the wire.

Door: addresses, body_limit, delivery, errors, front, health, json_body, no_nul, paging, provided, sse.
Imports: server.answering.
"""
