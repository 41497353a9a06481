"""Documents of Hangul (hwp, hwpx, HWPML) to text.

What reads them stands behind `pieces.Reading` alone, so that another library can take its place.

Door: parser.
Imports: retrieval.parsing.base.
"""
