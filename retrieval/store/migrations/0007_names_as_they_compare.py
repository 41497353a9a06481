"""Names and attributes beside themselves as they compare, and what a file's owner is told of how it was read.

Unicode writes 가 in one character or in two, and macOS writes names in two: they compare composed (NFC). A store's
name and a document's attributes stay as they came. A file's name in a vector store is what its versions replace each
other by: it becomes composed here, and files.filename has it as it came.
"""

import json
import unicodedata
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision, down_revision = "0007", "0006"
JSON_OBJECT: sa.types.TypeEngine[Any] = sa.Text().with_variant(JSONB(), "postgresql")
STORES = sa.table("vector_stores", sa.column("n"), sa.column("name"), sa.column("composed_name"))
VERSIONS = sa.table("store_files", sa.column("version"), sa.column("store"), sa.column("filename"))
DOCUMENTS = sa.table(
    "documents", sa.column("n"), sa.column("attributes", JSON_OBJECT), sa.column("composed", JSON_OBJECT)
)


def upgrade() -> None:
    op.add_column("vector_stores", sa.Column("composed_name", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("store_files", sa.Column("warnings", sa.Text))
    op.add_column("documents", sa.Column("composed", JSON_OBJECT))
    connection = op.get_bind()
    _compose_stores(connection)
    _compose_filenames(connection)
    _compose_attributes(connection)
    op.drop_index("vector_stores_by_owner", "vector_stores")
    op.create_index("vector_stores_by_owner", "vector_stores", ["owner", "composed_name"])


def _compose_stores(connection: sa.Connection) -> None:
    connection.execute(sa.update(STORES).values(composed_name=STORES.c.name))
    change = (
        sa.update(STORES).where(STORES.c.n == sa.bindparam("number")).values(composed_name=sa.bindparam("composed"))
    )
    for number, name in connection.execute(sa.select(STORES.c.n, STORES.c.name)).all():
        if (composed := _composed(name)) != name:
            connection.execute(change, {"number": number, "composed": composed})


def _compose_filenames(connection: sa.Connection) -> None:
    """But where a vector store has files of both names, which stay two."""
    spellings: dict[tuple[int, str], set[str]] = defaultdict(set)
    for store, filename in connection.execute(sa.select(VERSIONS.c.store, VERSIONS.c.filename).distinct()):
        spellings[store, _composed(filename)].add(filename)
    change = sa.update(VERSIONS).where(
        VERSIONS.c.store == sa.bindparam("of"), VERSIONS.c.filename == sa.bindparam("was")
    )
    for (store, composed), names in spellings.items():
        if len(names) == 1 and composed not in names:
            connection.execute(change.values(filename=composed), {"of": store, "was": names.pop()})


def _compose_attributes(connection: sa.Connection) -> None:
    change = sa.update(DOCUMENTS).where(DOCUMENTS.c.n == sa.bindparam("number"))
    change = change.values(composed=sa.bindparam("with", type_=JSON_OBJECT))
    last = 0
    while rows := connection.execute(
        sa.select(DOCUMENTS.c.n, DOCUMENTS.c.attributes).where(DOCUMENTS.c.n > last).order_by(DOCUMENTS.c.n).limit(1000)
    ).all():
        last = rows[-1].n
        for number, attributes in rows:
            held = json.loads(attributes) if isinstance(attributes, str) else attributes
            composed = {_composed(key): _composed(value) for key, value in held.items()}
            if composed != held:
                written = json.dumps(composed, ensure_ascii=False) if isinstance(attributes, str) else composed
                connection.execute(change, {"number": number, "with": written})


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value
