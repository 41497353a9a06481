"""The learned lexical leg: token weights in an inverted index."""
