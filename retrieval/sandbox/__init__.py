"""Parsing in limited child processes: what a hostile or broken file does there reaches neither server nor disk.

Door: pool.
Imports: retrieval.parsing, retrieval.parsing.base.
"""
