"""One answer, from a validated question to its last event. Knows no HTTP.

Door: answer, ask, events, failures, generators, question, rewriting, run, running, transcript, work.
Imports: models.engines, models.quoting, models.wire, retrieval.blobs, retrieval.filters, retrieval.prompting,
retrieval.store.base, server.records.
"""
