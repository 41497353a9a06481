"""Puts everything together, and runs it. The only folder that knows all the others.

Door: build, profile, run.
Imports: models.engines, models.profiles, models.quoting, retrieval.indexes, retrieval.indexes.dense, retrieval.ingest,
retrieval.passages, retrieval.ranking, retrieval.store, server.access, server.answering, server.api, server.http,
server.openai.chat, server.openai.responses, server.openai.retrieval, server.records, server.settings, server.telemetry.
"""
