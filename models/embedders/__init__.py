"""Texts to vectors: multilingual-e5-small on ONNX Runtime, BGE-M3 on torch; many callers share one forward pass."""
