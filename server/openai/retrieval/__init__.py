"""Files, vector stores, search, embeddings, rerank and models, in OpenAI's form."""
