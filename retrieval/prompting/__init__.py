"""Numbered evidence into a prompt, and citation marks out of an answer."""
