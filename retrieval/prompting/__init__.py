"""Numbered evidence into a prompt, and citation marks out of an answer.

Door: citations, prompt, prompt_texts.
Imports: models.quoting, models.wire.
"""
