"""What is kept of answers. Knows no HTTP.

Door: database, errors, responses, turns, upkeep.
Imports: retrieval.database, server.records.migrations.
"""
