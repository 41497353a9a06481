"""How well a text answers a question: late interaction over token vectors, cross-encoders, one by URL."""
