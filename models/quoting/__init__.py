"""Answers in the evidence's own sentences, and the sentences themselves."""
