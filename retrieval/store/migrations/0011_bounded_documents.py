"""Documents that hold for a time only are found without looking at the others."""

from alembic import op
from sqlalchemy import text

revision, down_revision = "0011", "0010"
SQLITE = "json_type(attributes, '$.valid_from') IS NOT NULL OR json_type(attributes, '$.valid_until') IS NOT NULL"
POSTGRESQL = "jsonb_exists(attributes, 'valid_from') OR jsonb_exists(attributes, 'valid_until')"


def upgrade() -> None:
    op.create_index(
        "documents_bounded", "documents", ["version"], sqlite_where=text(SQLITE), postgresql_where=text(POSTGRESQL)
    )
