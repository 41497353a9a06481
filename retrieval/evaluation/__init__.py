"""Measures every stage of the ranking on BEIR folders."""
