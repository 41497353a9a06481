"""What every route shares: bodies, streams and failures on the wire."""
