"""Names that look the same: macOS writes 가 in two characters (NFD), others in one (NFC). Kept as they came."""

import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text

from retrieval.database.engine import Database
from retrieval.database.migration import Migrations, upgrade
from retrieval.filters.syntax import parse
from retrieval.store.base.values import NotFound
from retrieval.store.migrations import MIGRATIONS
from retrieval.store.store import Store
from tests.retrieval.publishing import passages, publish

FORMS = ("NFC", "NFD")
NAMES = ("가이드", "Résumé", "パン", "Ṩ")


def form(name: str, how: str) -> str:
    return unicodedata.normalize(how, name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("held", FORMS)
@pytest.mark.parametrize("asked", FORMS)
def test_a_store_is_found_by_a_name_that_looks_the_same_and_keeps_its_own(
    store: Store, name: str, held: str, asked: str
) -> None:
    made = store.vector_stores.create("ann", form(name, held))
    assert store.vector_stores.resolve("ann", form(name, asked)).id == made.id
    assert store.vector_stores.ensure("ann", form(name, asked)).id == made.id
    assert store.vector_stores.find("ann", form(name, asked)).name == form(name, held)


def test_the_exact_name_comes_first_whichever_is_older(store: Store) -> None:
    made = {how: store.vector_stores.create("ann", form("가", how)).id for how in ("NFD", "NFC")}
    assert {how: store.vector_stores.resolve("ann", form("가", how)).id for how in FORMS} == made


def test_a_name_composed_by_half_is_found_too(store: Store) -> None:
    half = form("보고서", "NFD") + form("가이드", "NFC")
    made = store.vector_stores.create("ann", half)
    assert {store.vector_stores.resolve("ann", form(half, how)).id for how in FORMS} == {made.id}


def test_a_new_name_is_found_in_every_form_and_the_old_one_no_more(store: Store, vs: str) -> None:
    store.vector_stores.update("ann", vs, name=form("창고", "NFD"))
    assert store.vector_stores.resolve("ann", form("창고", "NFC")).id == vs
    other = store.vector_stores.ensure("ann", "handbook")
    assert other.id != vs


def filters(key: str, value: str) -> Iterator[dict[str, Any]]:
    yield from ({"type": kind, "key": key, "value": value} for kind in ("eq", "gte", "lte"))
    yield {"type": "in", "key": key, "value": ["x", value]}
    yield {"type": "and", "filters": [{"type": "eq", "key": key, "value": value}]}


def found(store: Store, vs: str, filter: dict[str, Any]) -> set[int]:
    return store.passages.allowed_keys("ann", store.vector_stores.resolve("ann", vs), parse(filter))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("held", FORMS)
@pytest.mark.parametrize("asked", FORMS)
def test_filters_find_keys_and_values_that_look_the_same(
    store: Store, vs: str, name: str, held: str, asked: str
) -> None:
    attributes = {form("부서", held): form(name, held), "n": 1}
    publish(store, vs, "a.txt", ["alpha"], attributes)
    publish(store, vs, "b.txt", ["beta"], {"부서": "zz", "n": 2})
    (mine,) = [key for key, passage in passages(store, vs).items() if passage.chunk.text == "alpha"]
    for filter in filters(form("부서", asked), form(name, asked)):
        assert mine in found(store, vs, filter), filter
    for kind in ("ne", "nin"):
        value = form(name, asked)
        no = {"type": kind, "key": form("부서", asked), "value": value if kind == "ne" else [value]}
        assert mine not in found(store, vs, no)
    assert passages(store, vs)[mine].chunk.attributes == attributes


def test_attributes_that_are_set_anew_or_taken_over_by_a_new_version_are_compared_alike(store: Store, vs: str) -> None:
    first = publish(store, vs, "a.txt", ["alpha", "beta"])
    wanted = {"type": "eq", "key": "팀", "value": "가"}
    store.attachments.update_attributes("ann", vs, first.file_id, {form("팀", "NFD"): form("가", "NFD")})
    assert len(found(store, vs, wanted)) == 2
    store.attachments.update_attributes("ann", vs, first.file_id, {"팀": "나"})
    assert found(store, vs, wanted) == set()
    publish(store, vs, "a.txt", ["alpha", "gamma"], {form("팀", "NFD"): form("가", "NFD")})
    assert found(store, vs, wanted) == set(passages(store, vs))
    publish(store, vs, "a.txt", ["alpha", "gamma", "delta"], {"팀": "가"})
    assert found(store, vs, wanted) == set(passages(store, vs))


def test_a_file_from_macos_replaces_that_of_the_same_look_and_shows_its_own_name(store: Store, vs: str) -> None:
    publish(store, vs, form("안내.txt", "NFC"), ["old", "kept"])
    before = {p.chunk.text: p.chunk.document_id for p in passages(store, vs).values()}
    newer = publish(store, vs, form("안내.txt", "NFD"), ["new", "kept"])
    after = {p.chunk.text: p.chunk for p in passages(store, vs).values()}
    assert set(after) == {"new", "kept"}
    assert after["kept"].document_id == before["kept"]
    assert {chunk.filename for chunk in after.values()} == {newer.filename} == {form("안내.txt", "NFD")}
    assert store.vector_stores.find("ann", vs).counts.total == 2 - 1


def test_the_same_content_under_both_names_is_two_files_of_one_version(store: Store, vs: str) -> None:
    attached = publish(store, vs, form("가.txt", "NFC"), ["alpha"])
    other = store.files.add("ann", form("가.txt", "NFD"), store.files.content("ann", attached.file_id))
    with pytest.raises(NotFound):
        store.attachments.get("ann", vs, other.id)
    assert store.attachments.attach("ann", vs, other.id).version == attached.version


@pytest.fixture
def earlier(tmp_path: Path) -> Migrations:
    """Up to the revision before names were compared so."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    for path in MIGRATIONS.folder.glob("000[1-6]_*.py"):
        shutil.copy(path, folder)
    return Migrations(folder, MIGRATIONS.table, before_alembic=MIGRATIONS.before_alembic)


ROWS = """
INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at)
    VALUES ('vs_1', 'ann', :name, '{}', 5, 6), ('vs_2', 'ann', 'plain', '{}', 5, 6);
INSERT INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at)
    VALUES ('file-1', 'ann', :file, '', 'assistants', 'aa', 0, 5),
    ('file-2', 'ann', :other, '', 'assistants', 'bb', 0, 5),
    ('file-3', 'ann', :twice, '', 'assistants', 'cc', 0, 5);
INSERT INTO store_files (store, file, filename, sha256, status, stage, visible, attributes, created_at)
    VALUES (1, 1, :file, 'aa', 'completed', 'indexed', 1, :attributes, 5),
    (1, 2, :other, 'bb', 'completed', 'indexed', 1, '{"n": 1}', 5),
    (2, 2, :other, 'bb', 'completed', 'indexed', 1, '{}', 5), (2, 3, :twice, 'cc', 'completed', 'indexed', 1, '{}', 5);
INSERT INTO documents (version, id, ordinal, sha256, external_id, title, url, text, own_attributes, attributes)
    VALUES (1, 'doc_1', 0, 'd', '', '', '', 't', '{}', :attributes),
    (2, 'doc_2', 0, 'd', '', '', '', 't', '{"n": 1}', '{"n": 1}');
"""


def test_what_was_stored_before_is_found_like_what_comes(database_url: URL, earlier: Migrations) -> None:
    decomposed = form('{"부서": "가", "n": 2}', "NFD")
    given = {"name": form("창고", "NFD"), "file": form("가.txt", "NFD"), "attributes": decomposed}
    given |= {"other": "나.txt", "twice": form("나.txt", "NFD")}
    with closing(Database(database_url)) as database:
        assert upgrade(database, earlier)
        with database.write() as db:
            for statement in ROWS.split(";\n")[:-1]:
                db.execute(text(statement), {k: v for k, v in given.items() if f":{k}" in statement})
        assert upgrade(database, MIGRATIONS)
        with database.read() as db:
            names = db.execute(text("SELECT name, composed_name FROM vector_stores ORDER BY n")).all()
            files = db.execute(text("SELECT filename FROM store_files ORDER BY version")).scalars().all()
            matching = db.execute(text("SELECT id FROM documents WHERE composed IS NOT NULL")).scalars().all()
    assert [tuple(row) for row in names] == [(form("창고", "NFD"), "창고"), ("plain", "plain")]
    assert files == ["가.txt", "나.txt", "나.txt", form("나.txt", "NFD")]  # the last one is another file there
    assert matching == ["doc_1"]
