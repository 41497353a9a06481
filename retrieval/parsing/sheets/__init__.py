"""Workbooks to text: every sheet a section, its tables row by row, cells as a reader sees them.

Door: xls, xlsx.
Imports: retrieval.parsing.base.
"""
