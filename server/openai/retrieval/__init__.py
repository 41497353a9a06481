"""Files, vector stores, search, embeddings, rerank and models, in OpenAI's form.

Door: consistency, embeddings, file_batches, files, generations, models, pages, progress, rerank, search, vector_stores.
Imports: retrieval.ingest, retrieval.parsing, retrieval.ranking, retrieval.sandbox, retrieval.store,
retrieval.store.base, retrieval.store.generations, server.access, server.answering, server.http.
"""
