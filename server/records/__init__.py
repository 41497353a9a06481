"""What is kept of answers. Knows no HTTP.

Door: bookmarks, database, errors, responses, sessions, turn, turns, upkeep.
Imports: retrieval.database, server.records.migrations.
"""
