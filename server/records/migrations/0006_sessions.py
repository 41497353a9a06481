"""Sessions of turns, bookmarks, and whose they are."""

import json
import unicodedata
from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0006", "0005"
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
AT_ONCE = 200  # turns in memory


def upgrade() -> None:
    for column in (
        sa.Column("user_id", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("message_id", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("after_id", sa.Text),
        sa.Column("depth", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("words", sa.Text, nullable=False, server_default=sa.text("''")),
    ):
        op.add_column("turns", column)
    op.create_table(
        "sessions",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("title_words", sa.Text, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("updated", SECONDS, nullable=False),
        sa.Column("head", sa.Text),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("last_message", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bookmarks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("message", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    _learn(op.get_bind())
    op.create_index("turns_of_user", "turns", ["owner", "user_id"])
    op.create_index("turns_of_message", "turns", ["owner", "message_id"])
    op.create_index("sessions_recent", "sessions", ["owner", "user_id", "updated", "id"])
    op.create_index("bookmarks_of_message", "bookmarks", ["owner", "user_id", "message_id"], unique=True)
    op.create_index("bookmarks_recent", "bookmarks", ["owner", "user_id", "created", "id"])


def _learn(db: sa.Connection) -> None:
    """From the turns themselves: whose each is, its words, and the sessions of more than one turn, in their order.

    A session of one turn stays none: until now every question got a session's id of its own, asked for or not.
    """
    names = ("trace_id", "owner", "session_id", "user_id", "message_id", "after_id", "words")
    turns = sa.table(
        "turns",
        *(sa.column(name, sa.Text) for name in names),
        sa.column("created", SECONDS),
        sa.column("depth", sa.Integer),
        sa.column("turn", sa.LargeBinary),
    )
    key = (turns.c.owner, turns.c.session_id, turns.c.created, turns.c.trace_id)
    named = [sa.bindparam(name, type_=each.type) for name, each in zip("osct", key, strict=True)]
    ahead = sa.select(*key, turns.c.turn).where(sa.tuple_(*key) > sa.tuple_(*named)).order_by(*key).limit(AT_ONCE)
    tell = (
        sa.update(turns)
        .where(turns.c.trace_id == sa.bindparam("named"))
        .values(
            {name: sa.bindparam(f"told_{name}") for name in ("user_id", "message_id", "after_id", "depth", "words")}
        )
    )
    place: dict[str, Any] = {"o": "", "s": "", "c": -1.0, "t": ""}
    session = _Session()
    while rows := db.execute(ahead, place).all():
        told = []
        for row in rows:
            turn = _object(row.turn)
            if session.key != (row.owner, row.session_id):
                session.write(db)
                session = _Session((row.owner, row.session_id), created=row.created)
            told.append({"named": row.trace_id, **session.add(row.trace_id, row.created, turn)})
        db.execute(tell, told)
        last = rows[-1]
        place = {"o": last.owner, "s": last.session_id, "c": last.created, "t": last.trace_id}
    session.write(db)


class _Session:
    def __init__(self, key: tuple[str, str] | None = None, created: float = 0.0) -> None:
        self.key, self.created, self.updated = key, created, created
        self.turns, self.user_id, self.title, self.last = 0, "", "", ""
        self.head: str | None = None

    def add(self, trace_id: str, created: float, turn: dict[str, Any]) -> dict[str, Any]:
        """What the row of one more turn says."""
        labels = turn.get("labels") or {}
        question, answer = str(turn.get("question", "")), str(turn.get("answer", ""))
        named = labels.get("user") or labels.get("safety_identifier")
        user = named if isinstance(named, str) and "\0" not in named else ""
        said = {
            "told_user_id": user,
            "told_message_id": str(turn.get("message_id", "")),
            "told_after_id": self.head,
            "told_depth": self.turns + 1,
            "told_words": _words(f"{question}\n{answer}"),
        }
        self.turns, self.head, self.updated = self.turns + 1, trace_id, created
        self.user_id = self.user_id or user
        self.title = self.title or _line(question)[:60]
        self.last = _line(answer or question)[:200]
        return said

    def write(self, db: sa.Connection) -> None:
        if self.key is None or self.turns < 2:
            return
        names = ("owner", "id", "user_id", "title", "title_words", "head", "last_message")
        sessions = sa.table(
            "sessions",
            *(sa.column(name, sa.Text) for name in names),
            *(sa.column(name, SECONDS) for name in ("created", "updated")),
            sa.column("turns", sa.Integer),
        )
        owner, identity = self.key
        row: dict[str, Any] = {
            "owner": owner,
            "id": identity,
            "user_id": self.user_id,
            "title": self.title,
            "head": self.head,
        }
        row |= {"title_words": _words(self.title), "created": self.created, "updated": self.updated}
        db.execute(sa.insert(sessions), row | {"turns": self.turns, "last_message": self.last})


def _object(turn: bytes) -> dict[str, Any]:
    try:
        found = json.loads(turn)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().replace("\0", "\ufffd")


def _line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())
