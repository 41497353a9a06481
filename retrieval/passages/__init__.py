"""Documents to passages and their terms: chunks, windows, lexical terms, identities."""
