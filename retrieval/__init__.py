"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: characters, clock, columns, dates, embedders, language, places, threads, types.
Roof: nothing.
"""
