"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: clock, language, types.
Roof: nothing.
"""
