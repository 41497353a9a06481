"""Texts to vectors: multilingual-e5-small on ONNX Runtime, BGE-M3 on torch; many callers share one forward pass.

Door: batcher, bge_m3, bge_m3_encoder, e5, tokens.
Imports: models.torch.
"""
