"""Webhooks with what is on its way to them; and what became of the tries of a file outlasts the server."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0013", "0012"
LONG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OPEN, PENDING, ENDED = (sa.text(each) for each in ("announced = 0", "status = 'pending'", "ended_at IS NOT NULL"))
STRICT = {"sqlite_autoincrement": True, "sqlite_strict": True}


def upgrade() -> None:
    for name in ("deaths", "tries", "unforeseen"):
        op.add_column("store_files", _count(name))
    op.add_column("store_files", sa.Column("waited", SECONDS, nullable=False, server_default=sa.text("0")))
    op.add_column("batches", _count("announced"))
    _index("batches_unannounced", "batches", ["store"], OPEN)
    _webhooks()
    _deliveries()


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        *_identity(),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("events", sa.Text),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("failing_since", SECONDS),
        sa.Column("created_at", LONG, nullable=False),
        **STRICT,
    )
    op.create_index("webhooks_by_owner", "webhooks", ["owner", "n"])
    op.create_table(
        "webhook_events",
        *_identity(),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("created_at", SECONDS, nullable=False),
        **STRICT,
    )


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        *_identity(),
        _of("webhooks", "webhook"),
        _of("webhook_events", "event"),
        sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        _count("attempts"),
        _count("step"),
        sa.Column("due", SECONDS, nullable=False),
        sa.Column("leased_by", sa.Text),
        sa.Column("response_code", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("tried_at", SECONDS),
        sa.Column("ended_at", SECONDS),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'failed')"),
        **STRICT,
    )
    op.create_index("webhook_deliveries_by_webhook", "webhook_deliveries", ["webhook", "n"])
    op.create_index("webhook_deliveries_by_event", "webhook_deliveries", ["event"])
    _index("webhook_deliveries_due", "webhook_deliveries", ["webhook", "due"], PENDING)
    _index("webhook_deliveries_ended", "webhook_deliveries", ["ended_at"], ENDED)


def _identity() -> list[sa.Column[str] | sa.Column[int]]:
    number = sa.Column("n", LONG, sa.Identity(), primary_key=True)
    return [number, sa.Column("id", sa.Text, nullable=False, unique=True)]


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _of(table: str, name: str) -> sa.Column[int]:
    return sa.Column(name, LONG, sa.ForeignKey(f"{table}.n", ondelete="CASCADE"), nullable=False)


def _index(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
