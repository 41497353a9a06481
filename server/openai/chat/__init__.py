"""POST /v1/chat/completions, and the engine itself by its own id."""
