"""What parsers of every format share: text of bytes, limits, the one way to fail, a document as it grows.

Door: building, encoding, errors, joining, limits, nesting, package, recognition, records, safe, sections.
Imports: nothing.
"""
