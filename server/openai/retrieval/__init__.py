"""Files, vector stores, search, embeddings, rerank and models, in OpenAI's form.

Door: embeddings, file_batches, files, models, rerank, search, vector_stores.
Imports: retrieval.ingest, retrieval.ranking, retrieval.store, server.access, server.answering, server.http.
"""
