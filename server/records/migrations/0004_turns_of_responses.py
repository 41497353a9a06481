"""A response knows its turn; and whether deleted bytes are left, which nobody scrubbed before."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"
AT_ONCE = 200  # responses in memory; each may be a megabyte


def upgrade() -> None:
    op.add_column("responses", sa.Column("trace_id", sa.Text))
    _learn(op.get_bind())
    op.create_index("responses_of_turn", "responses", ["trace_id"])
    op.create_table("leftovers", sa.Column("due", sa.Integer, nullable=False), sqlite_strict=True)
    op.execute("INSERT INTO leftovers (due) VALUES (1)")


def _learn(db: sa.Connection) -> None:
    """From the responses themselves. In Python, as both databases have JSON functions of their own."""
    columns = sa.column("id", sa.Text), sa.column("response", sa.LargeBinary), sa.column("trace_id", sa.Text)
    identity, response, trace_id = columns
    responses = sa.table("responses", *columns)
    ahead = sa.select(identity, response).where(identity > sa.bindparam("after")).order_by(identity).limit(AT_ONCE)
    tell = sa.update(responses).where(identity == sa.bindparam("of_id")).values({trace_id: sa.bindparam("told")})
    after = ""
    while rows := db.execute(ahead, {"after": after}).all():
        told = [{"of_id": row.id, "told": found} for row in rows if (found := _trace_id(row.response))]
        if told:
            db.execute(tell, told)
        after = rows[-1].id


def _trace_id(response: bytes) -> str | None:
    """None where an early version did not say."""
    try:
        said: Any = json.loads(response)["ragpod"]["trace_id"]
    except (KeyError, TypeError, ValueError):
        return None
    return said if isinstance(said, str) else None
