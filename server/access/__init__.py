"""Who asks, and what is let in."""
