"""What every route shares: bodies, streams and failures on the wire.

Door: body_limit, delivery, errors, health, json_body, paging, provided, sse.
Imports: server.answering.
"""
