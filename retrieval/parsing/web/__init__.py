"""HTML, of pages, mails and books, to readable text.

Door: html.
Imports: retrieval.parsing.base.
"""
