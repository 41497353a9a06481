"""Engines: started, watched and ended as processes (llama.cpp, vLLM), or someone else's at a URL."""
