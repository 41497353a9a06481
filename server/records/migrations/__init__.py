"""The history of the tables of server/records: a script a revision, never changed once released.

Before Alembic, PRAGMA user_version counted the same first four steps in `turns.db`.

Door: itself.
Imports: retrieval.database.
"""

from pathlib import Path

from retrieval.database.migration import Migrations

MIGRATIONS = Migrations(Path(__file__).parent, "records_version", before_alembic=("0001", "0002", "0003", "0004"))
