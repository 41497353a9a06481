"""One answer, from a validated question to its last event. Knows no HTTP.

Door: answer, ask, events, failures, generators, question, rewriting, run, running, transcript, work.
Imports: models.engines, models.wire, retrieval.filters, retrieval.prompting, retrieval.store, server.records.
"""
