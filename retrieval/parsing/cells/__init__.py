"""Text to rows of cells: the grammar of RFC 4180, which delimiter a file has, and what is done where it breaks a rule.

Door: delimiter, grammar, table.
Imports: nothing.
"""
