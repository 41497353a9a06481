"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: characters, clock, dates, embedders, language, places, threads, types.
Roof: nothing.
"""
