"""What is counted and measured of a running server."""
