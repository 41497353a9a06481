"""The plain HTTP API that other backends call."""
