"""Files on their way to being found, and what tends them afterwards."""
