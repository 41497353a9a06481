"""The command line: a client of the HTTP API, and what tends a data folder.

Door: itself.
Imports: models.engines, models.profiles, retrieval.database, retrieval.evaluation, retrieval.indexes,
retrieval.sandbox, retrieval.store, retrieval.store.base, server.access, server.app, server.backup, server.cli.base,
server.cli.sources, server.outgoing, server.settings.
"""

from server.cli.main import app

__all__ = ["app"]
