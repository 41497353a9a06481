"""A store on each database, and one that is SQLite's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.store.store import Store
from tests.databases import Time, opened_store


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=("sqlite", "postgresql"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path, time: Time) -> Iterator[Store]:
    with opened_store(kind, tmp_path, time) as opened:
        yield opened


@pytest.fixture
def sqlite_store(tmp_path: Path, time: Time) -> Iterator[Store]:
    with opened_store("sqlite", tmp_path, time) as opened:
        yield opened


@pytest.fixture
def postgresql_store(tmp_path: Path) -> Iterator[Store]:
    with opened_store("postgresql", tmp_path) as opened:
        yield opened


@pytest.fixture
def vs(store: Store) -> str:
    return store.vector_stores.create("ann", "handbook").id
