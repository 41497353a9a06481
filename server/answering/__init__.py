"""One answer, from a validated question to its last event. Knows no HTTP.

Door: answer, ask, deadline, events, question, rewriting, running, transcript, work.
Imports: models.engines, models.wire, retrieval.filters, retrieval.prompting, retrieval.store, server.records.
"""
