"""The OpenAI wire as a client sees it: requests, streams, tools, thoughts, failures of engines."""
