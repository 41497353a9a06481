"""Documents to ranked, numbered evidence. Knows no HTTP.

Ground: characters, clock, dates, language, places, threads, types.
Roof: nothing.
"""
