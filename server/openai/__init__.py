"""The OpenAI surface: chat, responses, and retrieval (files, vector stores, search, embeddings, rerank, models)."""
