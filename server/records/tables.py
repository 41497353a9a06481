"""The tables of this folder, as its migrations leave them. No foreign key leads into another room's tables."""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, text

from retrieval.database.columns import SECONDS, Identifier, Prose

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
    Column("user_id", Identifier, nullable=False, server_default=text("''")),
    Column("message_id", Identifier, nullable=False, server_default=text("''")),
    Column("after_id", Identifier),  # the turn that this one follows; null where it is a session's first
    Column("depth", Integer, nullable=False, server_default=text("1")),  # of turns from the first to this one
    Column("words", Prose, nullable=False, server_default=text("''")),  # of question and answer, folded, to be searched
    Index("turns_of_session", "owner", "session_id", "created"),
    Index("turns_of_user", "owner", "user_id"),
    Index("turns_of_message", "owner", "message_id"),
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
# head: the trace of the last turn of the branch that is shown. title_words: the title, folded, to be searched.
sessions = Table(
    "sessions",
    METADATA,
    Column("owner", Identifier, primary_key=True),
    Column("id", Identifier, primary_key=True),
    Column("user_id", Identifier, nullable=False),
    Column("title", Prose, nullable=False),
    Column("title_words", Prose, nullable=False),
    Column("created", SECONDS, nullable=False),
    Column("updated", SECONDS, nullable=False),
    Column("head", Identifier),
    Column("turns", Integer, nullable=False),
    Column("last_message", Prose, nullable=False),
    Index("sessions_recent", "owner", "user_id", "updated", "id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
# message: the turn as it was when it was marked, passages and all; it outlives the session.
bookmarks = Table(
    "bookmarks",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("owner", Identifier, nullable=False),
    Column("user_id", Identifier, nullable=False),
    Column("message_id", Identifier, nullable=False),
    Column("created", SECONDS, nullable=False),
    Column("note", Prose, nullable=False),
    Column("tag", Prose, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Index("bookmarks_of_message", "owner", "user_id", "message_id", unique=True),
    Index("bookmarks_recent", "owner", "user_id", "created", "id"),
    sqlite_strict=True,
)
# One row. due: something was deleted since the last scrub.
leftovers = Table("leftovers", METADATA, Column("due", Integer, nullable=False), sqlite_strict=True)
