"""One answer, from a validated question to its last event. Knows no HTTP."""
