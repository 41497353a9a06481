"""The tables of this folder, as its migrations leave them. No foreign key leads into another room's tables."""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, text

from retrieval.database.columns import SECONDS, Identifier

METADATA = MetaData()

_HELD = text("held_by IS NOT NULL")
turns = Table(
    "turns",
    METADATA,
    Column("trace_id", Identifier, primary_key=True),
    Column("owner", Identifier, nullable=False),
    Column("session_id", Identifier, nullable=False),
    Column("created", SECONDS, nullable=False),
    Column("turn", LargeBinary, nullable=False),
    Column("held_by", Identifier),  # the server that works at it; null when it has ended
    Column("held_until", SECONDS),  # afterwards nobody does
    Index("turns_of_session", "owner", "session_id", "created"),
    Index("turns_held", "held_by", sqlite_where=_HELD, postgresql_where=_HELD),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
responses = Table(
    "responses",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("owner", Identifier, nullable=False),
    Column("created_at", SECONDS, nullable=False),
    Column("previous_id", Identifier),
    Column("input", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("trace_id", Identifier),  # of the turn that made it
    Index("responses_of_turn", "trace_id"),
    sqlite_strict=True,
)
# One row. due: something was deleted since the last scrub.
leftovers = Table("leftovers", METADATA, Column("due", Integer, nullable=False), sqlite_strict=True)
