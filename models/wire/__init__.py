"""The OpenAI wire as a client sees it: requests, streams, tools, thoughts, failures of engines.

Door: chat_template, engine_errors, engine_traits, openai_client, several, sse, thinking, token_counting, whole_answer.
Imports: nothing.
"""
