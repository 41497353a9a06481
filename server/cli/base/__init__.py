"""What every command has: the server's client, where that is found or made, options, and what is said.

Door: client, connection, options, outcomes, terminal.
Imports: models.wire, retrieval.database, retrieval.store.base, server.access, server.app, server.settings.
"""
