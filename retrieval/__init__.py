"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: characters, clock, columns, dates, language, places, threads, types.
Roof: nothing.
"""
