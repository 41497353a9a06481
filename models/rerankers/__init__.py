"""How well a text answers a question: late interaction over token vectors, cross-encoders, one by URL.

Door: cross_encoder, late_interaction, late_interaction_torch, remote_reranker.
Imports: models.embedders, models.torch.
"""
