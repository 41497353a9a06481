"""What is kept of answers. Knows no HTTP."""
