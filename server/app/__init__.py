"""Puts everything together, and runs it. The only folder that knows all the others.

Door: build, profile, run, stores.
Imports: models.engines, models.profiles, models.quoting, retrieval.indexes, retrieval.indexes.dense,
retrieval.ingest, retrieval.passages, retrieval.prompting, retrieval.ranking, retrieval.sandbox, retrieval.store,
retrieval.store.base, retrieval.store.generations, server.access, server.answering, server.api, server.http,
server.listening, server.openai.chat, server.openai.responses, server.openai.retrieval, server.records, server.settings,
server.telemetry, server.webhooks.
"""
