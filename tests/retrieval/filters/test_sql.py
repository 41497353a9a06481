import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.filters.sql import condition
from retrieval.filters.syntax import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES, parse
from tests.retrieval.filters.test_syntax import nested

BOOK = {"lang": "ko", "year": 2024, "price": 9.5, "draft": False, "한글 키": "값", "one": 1, "true": True}


def passes(filters: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    compiled = condition(parse(filters), "attributes")
    db = sqlite3.connect(":memory:")
    try:
        sql = f"SELECT count(*) FROM (SELECT ? AS attributes) WHERE {compiled.sql}"
        row = db.execute(sql, (json.dumps(attributes, ensure_ascii=False), *compiled.values)).fetchone()
        return bool(row[0])
    finally:
        db.close()


@pytest.mark.parametrize(
    ("kind", "key", "value", "expected"),
    [
        ("eq", "lang", "ko", True),
        ("eq", "lang", "en", False),
        ("eq", "한글 키", "값", True),
        ("eq", "year", 2024, True),
        ("eq", "year", 2024.0, True),
        ("eq", "year", "2024", False),
        ("eq", "draft", False, True),
        ("eq", "draft", 0, False),
        ("eq", "one", True, False),
        ("eq", "true", 1, False),
        ("eq", "missing", "x", False),
        ("ne", "lang", "en", True),
        ("ne", "lang", "ko", False),
        ("ne", "missing", "x", True),
        ("gt", "year", 2023, True),
        ("gt", "year", 2024, False),
        ("gte", "year", 2024, True),
        ("lt", "price", 10, True),
        ("lte", "price", 9.5, True),
        ("lt", "lang", "zz", True),
        ("gt", "lang", 5, False),
        ("lt", "missing", 5, False),
        ("in", "lang", ["en", "ko"], True),
        ("in", "year", ["2024", 2024], True),
        ("in", "draft", [True, False], True),
        ("in", "lang", [], False),
        ("nin", "lang", ["en"], True),
        ("nin", "lang", ["ko"], False),
        ("nin", "missing", ["ko"], True),
        ("eq", "year", 10**30, False),
        ("lt", "year", 10**30, True),
        ("eq", "lang", "' OR 1=1 --", False),
        ("eq", "a.b[0]'; DROP TABLE x", "ko", False),
    ],
)
def test_a_comparison_holds_inside_its_own_type(kind: str, key: str, value: Any, expected: bool) -> None:
    assert passes({"type": kind, "key": key, "value": value}, BOOK) is expected


def test_dots_and_brackets_in_a_key_are_part_of_its_name() -> None:
    assert passes({"type": "eq", "key": "a.b[0]", "value": 1}, {"a.b[0]": 1})
    assert not passes({"type": "eq", "key": "a.b", "value": 1}, {"a": {"b": 1}})


def test_compounds_nest() -> None:
    ko = {"type": "eq", "key": "lang", "value": "ko"}
    old = {"type": "lt", "key": "year", "value": 2000}
    assert passes({"type": "or", "filters": [old, {"type": "and", "filters": [ko, ko]}]}, BOOK)
    assert not passes({"type": "and", "filters": [ko, old]}, BOOK)


def test_the_largest_filter_that_is_allowed_runs() -> None:
    many = {"type": "in", "key": "lang", "value": [*map(str, range(MAX_VALUES - 1)), "ko"]}
    assert passes({"type": "and", "filters": [many] * MAX_CONDITIONS}, BOOK)
    assert not passes(nested(MAX_DEPTH), BOOK)


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), min_size=1, max_size=8)
scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


def family(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


@given(attributes=st.dictionaries(names, scalars, max_size=4), value=scalars, data=st.data())
def test_equality_and_order_agree_with_python(attributes: dict[str, Any], value: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(attributes)) | names if attributes else names)
    held = attributes.get(key)
    same_family = held is not None and family(held) is family(value)
    equal = same_family and held == value
    assert passes({"type": "eq", "key": key, "value": value}, attributes) is equal
    assert passes({"type": "nin", "key": key, "value": [value]}, attributes) is not equal
    if not isinstance(value, bool):
        assert passes({"type": "gt", "key": key, "value": value}, attributes) is (same_family and held > value)
