"""Numbered evidence into a prompt, and citation marks out of an answer.

Door: citations, prompt, prompt_texts, small_talk.
Imports: models.quoting, models.wire.
"""
