"""Parsing in limited child processes: what a hostile or broken file does there reaches neither server nor disk.

Tesseract is one more program that is confined so, whose pictures come from such a child.

Door: in_threads, pool, tesseract.
Imports: retrieval.parsing, retrieval.parsing.base, retrieval.parsing.pdf.
"""
