"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: clock, language, threads, types.
Roof: nothing.
"""
