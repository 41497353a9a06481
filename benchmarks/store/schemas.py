"""A schema of a benchmark's own on a PostgreSQL server, dropped afterwards."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def schema(server: str) -> Iterator[Any]:
    """The URL of an empty one."""
    from sqlalchemy import create_engine, make_url, text

    engine, name = create_engine(server, isolation_level="AUTOCOMMIT"), f"bench_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        try:
            yield make_url(server).update_query_dict({"options": f"-csearch_path={name}"})
        finally:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()
