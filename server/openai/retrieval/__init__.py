"""Files, vector stores, search, embeddings, rerank and models, in OpenAI's form.

Door: consistency, embeddings, file_batches, files, generations, models, progress, rerank, search, vector_stores.
Imports: retrieval.ingest, retrieval.ranking, retrieval.store, retrieval.store.base, retrieval.store.generations,
server.access, server.answering, server.http.
"""
