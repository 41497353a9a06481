"""The tables of webhooks, among the store's. Times are Unix seconds."""

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, Integer, Table, Text, text

from retrieval.database.columns import LONG, SECONDS, Identifier, Prose
from retrieval.store.base.tables import METADATA as METADATA

_PENDING: dict[str, Any] = {"sqlite_where": text("status = 'pending'"), "postgresql_where": text("status = 'pending'")}
_ENDED: dict[str, Any] = {
    "sqlite_where": text("ended_at IS NOT NULL"),
    "postgresql_where": text("ended_at IS NOT NULL"),
}


def _of(table: str, name: str) -> Column[int]:
    return Column(name, LONG, ForeignKey(f"{table}.n", ondelete="CASCADE"), nullable=False)


webhooks = Table(
    "webhooks",
    METADATA,
    Column("n", LONG, Identity(), primary_key=True),
    Column("id", Identifier, nullable=False, unique=True),
    Column("owner", Identifier, nullable=False),
    Column("url", Prose, nullable=False),
    Column("description", Prose, nullable=False),
    Column("events", Text),  # JSON, a list of types; null for all
    Column("secrets", Text, nullable=False),  # JSON, [secret, until when or null] of each, the newest first
    Column("enabled", Integer, nullable=False, server_default=text("1")),
    Column("disabled_reason", Prose),
    Column("failing_since", SECONDS),  # the first failure after the last success
    Column("created_at", LONG, nullable=False),
    Index("webhooks_by_owner", "owner", "n"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
webhook_events = Table(
    "webhook_events",
    METADATA,
    Column("n", LONG, Identity(), primary_key=True),
    Column("id", Identifier, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("payload", Prose, nullable=False),  # JSON, as it is signed and sent
    Column("created_at", SECONDS, nullable=False),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
# An event on its way to one of those that listen. step: of the schedule, since it was last put up. due: when it may be
# tried; while somebody is at it, when he is taken for dead.
webhook_deliveries = Table(
    "webhook_deliveries",
    METADATA,
    Column("n", LONG, Identity(), primary_key=True),
    Column("id", Identifier, nullable=False, unique=True),
    _of("webhooks", "webhook"),
    _of("webhook_events", "event"),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("step", Integer, nullable=False, server_default=text("0")),
    Column("due", SECONDS, nullable=False),
    Column("leased_by", Text),
    Column("response_code", Integer),  # of the last attempt; null where there was no answer
    Column("error", Prose),
    Column("tried_at", SECONDS),
    Column("ended_at", SECONDS),
    CheckConstraint("status IN ('pending', 'delivered', 'failed')"),
    Index("webhook_deliveries_by_webhook", "webhook", "n"),
    Index("webhook_deliveries_by_event", "event"),
    Index("webhook_deliveries_due", "webhook", "due", **_PENDING),
    Index("webhook_deliveries_ended", "ended_at", **_ENDED),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
