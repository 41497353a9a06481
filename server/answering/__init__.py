"""One answer, from a validated question to its last event. Knows no HTTP.

Door: answer, ask, deadline, events, question, rewriting, running, transcript, work.
Imports: models.wire, retrieval.prompting, retrieval.ranking, retrieval.store, server.records.
"""
