"""Documents to ranked, numbered evidence. Knows no HTTP."""
