"""The history of the tables of retrieval/store: a script a revision, never changed once released.

Before Alembic, PRAGMA user_version counted the same first five steps in `ragpod.db`. There was no store on PostgreSQL
then, so they do nothing there, and 0006 makes all the tables.

Door: itself.
Imports: retrieval.database.
"""

from pathlib import Path

from retrieval.database.migration import Migrations

MIGRATIONS = Migrations(Path(__file__).parent, "store_version", before_alembic=("0001", "0002", "0003", "0004", "0005"))
