"""Workers serve owners and vector stores in turns: whose a version is, and when it was claimed."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0012", "0011"
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
UNFINISHED, CLAIMED = sa.text("status = 'in_progress'"), sa.text("claimed_at IS NOT NULL")
OWNERS = "UPDATE store_files SET owner = (SELECT v.owner FROM vector_stores v WHERE v.n = store_files.store)"


def upgrade() -> None:
    op.add_column("store_files", sa.Column("owner", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("store_files", sa.Column("claimed_at", SECONDS))
    op.get_bind().exec_driver_sql(OWNERS)
    op.drop_index("store_files_unfinished", "store_files")
    _index("store_files_unfinished", ["owner", "store", "version"], UNFINISHED)
    _index("store_files_turns_of_owner", ["owner", "claimed_at"], CLAIMED)
    _index("store_files_turns_of_store", ["store", "claimed_at"], CLAIMED)


def _index(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, "store_files", columns, sqlite_where=where, postgresql_where=where)
