"""Engines: started, watched and ended as processes (llama.cpp, vLLM), or someone else's at a URL.

Door: cards, connected, engine, llama_cpp, process, vllm.
Imports: models.quoting, models.wire.
"""
