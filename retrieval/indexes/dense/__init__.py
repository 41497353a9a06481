"""The dense leg: vectors in FAISS, or on a GPU."""
