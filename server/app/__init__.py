"""Puts everything together, and runs it. The only folder that knows all the others."""
