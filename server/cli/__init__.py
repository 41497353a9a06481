"""The command line: a client of the HTTP API, and what tends a data folder."""

from server.cli.main import app

__all__ = ["app"]
