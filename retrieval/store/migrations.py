"""The schema's history: PRAGMA user_version counts the scripts that a database has been through."""

import sqlite3
from pathlib import Path

from retrieval.store.types import NewerDatabase

SCRIPTS = ("schema.sql", "schema_2.sql", "schema_3.sql")


def migrate(connection: sqlite3.Connection) -> None:
    """Applies what is missing, each script in one transaction. Raises NewerDatabase."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(SCRIPTS):
        raise NewerDatabase(
            f"the database has schema {version}, this ragpod knows schemas up to {len(SCRIPTS)}: use a newer ragpod"
        )
    for number, name in enumerate(SCRIPTS[version:], version + 1):
        script = Path(__file__).with_name(name).read_text("utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
