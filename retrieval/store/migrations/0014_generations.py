"""A vector store may have several generations of passages, each a row with files, log and indexes of its own."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0014", "0013"
LONG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Alembic adds no column with a reference on SQLite.
OF = "ALTER TABLE vector_stores ADD COLUMN generation_of {} REFERENCES vector_stores (n) ON DELETE CASCADE"


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    op.add_column("vector_stores", sa.Column("index_id", sa.Text, nullable=False, server_default=sa.text("''")))
    connection.exec_driver_sql(OF.format("INTEGER" if sqlite else "BIGINT"))
    op.add_column("vector_stores", sa.Column("generation_state", sa.Text))
    op.add_column("vector_stores", sa.Column("generation_ended", LONG))
    op.add_column("vector_stores", sa.Column("cutting", sa.Text))
    connection.exec_driver_sql("UPDATE vector_stores SET index_id = id")
    op.create_index("vector_stores_by_index", "vector_stores", ["index_id"], unique=True)
    beside = sa.text("generation_of IS NOT NULL")
    op.create_index(
        "vector_stores_generations", "vector_stores", ["generation_of"], sqlite_where=beside, postgresql_where=beside
    )
