"""The command line: a client of the HTTP API, and what tends a data folder.

Door: itself.
Imports: models.engines, models.profiles, models.wire, retrieval.evaluation, retrieval.indexes, retrieval.store,
server.access, server.app, server.settings.
"""

from server.cli.main import app

__all__ = ["app"]
