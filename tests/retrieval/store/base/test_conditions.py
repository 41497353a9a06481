"""A filter on rows of both databases: they agree with each other, and with what the filter says in Python."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, delete, insert, select

from retrieval.database.columns import JsonObject
from retrieval.database.engine import Database
from retrieval.filters.syntax import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    OPERATORS,
    ORDERINGS,
    Comparison,
    Compound,
    Filter,
    parse,
)
from retrieval.store.base.conditions import condition
from tests.databases import empty_database
from tests.retrieval.filters.test_syntax import nested

BOOK = {"lang": "ko", "year": 2024, "price": 9.5, "draft": False, "한글 키": "값", "one": 1, "true": True}
METADATA = MetaData()
rows = Table("rows", METADATA, Column("n", Integer, primary_key=True), Column("attributes", JsonObject, nullable=False))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """SQLite's, PostgreSQL's."""
    with ExitStack() as opened:
        found = []
        for kind in ("sqlite", "postgresql"):
            url = opened.enter_context(empty_database(kind, tmp_path_factory.mktemp(kind)))
            found.append(opened.enter_context(closing(Database(url))))
            with found[-1].write() as db:
                METADATA.create_all(db)
        yield found


def passing(database: Database, filter: Filter, objects: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of the objects."""
    with database.write(durable=False) as db:
        db.execute(delete(rows))
        db.execute(insert(rows), [{"n": n, "attributes": each} for n, each in enumerate(objects)])
        found = set(db.scalars(select(rows.c.n).where(condition(filter, rows.c.attributes, sqlite=database.is_sqlite))))
    return [n in found for n in range(len(objects))]


def passes(databases: list[Database], filters: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    """On both."""
    one, two = (passing(database, parse(filters), [attributes]) for database in databases)
    assert one == two == [holds(parse(filters), attributes)]
    return one[0]


def holds(filter: Filter, attributes: Mapping[str, Any]) -> bool:
    """What retrieval/filters/syntax.py says, in Python."""
    if isinstance(filter, Compound):
        return (all if filter.connective == "and" else any)(holds(part, attributes) for part in filter.parts)
    held = attributes.get(filter.key)
    if filter.operator in ORDERINGS:
        (value,) = filter.values
        return same_type(held, value) and bool(getattr(operator, ORDERED[filter.operator])(held, value))
    either = any(same_type(held, value) and held == value for value in filter.values)
    return either != (filter.operator in ("ne", "nin"))


ORDERED = {"gt": "gt", "gte": "ge", "lt": "lt", "lte": "le"}


def same_type(held: Any, value: Any) -> bool:
    return held is not None and family(held) is family(value)


def family(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


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
def test_a_comparison_holds_inside_its_own_type(
    databases: list[Database], kind: str, key: str, value: Any, expected: bool
) -> None:
    assert passes(databases, {"type": kind, "key": key, "value": value}, BOOK) is expected


def test_dots_and_brackets_in_a_key_are_part_of_its_name(databases: list[Database]) -> None:
    assert passes(databases, {"type": "eq", "key": "a.b[0]", "value": 1}, {"a.b[0]": 1})
    assert not passes(databases, {"type": "eq", "key": "a.b", "value": 1}, {"a": {"b": 1}})


def test_compounds_nest(databases: list[Database]) -> None:
    ko = {"type": "eq", "key": "lang", "value": "ko"}
    old = {"type": "lt", "key": "year", "value": 2000}
    nest = {"type": "or", "filters": [old, {"type": "and", "filters": [ko, ko]}]}
    assert passes(databases, nest, BOOK)
    assert not passes(databases, {"type": "and", "filters": [ko, old]}, BOOK)


def test_the_largest_filter_that_is_allowed_runs(databases: list[Database]) -> None:
    many = {"type": "in", "key": "lang", "value": [*map(str, range(MAX_VALUES - 1)), "ko"]}
    assert passes(databases, {"type": "and", "filters": [many] * MAX_CONDITIONS}, BOOK)
    assert not passes(databases, nested(MAX_DEPTH), BOOK)


@pytest.mark.parametrize(("one", "other"), [("Z", "a"), ("a", "á"), ("가", "힣"), ("2024-01-31", "2024-02"), ("", " ")])
def test_strings_are_ordered_by_code_point_whatever_the_databases_language(
    databases: list[Database], one: str, other: str
) -> None:
    assert passes(databases, {"type": "lt", "key": "k", "value": other}, {"k": one})
    assert not passes(databases, {"type": "gte", "key": "k", "value": other}, {"k": one})


def test_nul_in_a_value_is_found_as_it_is_kept(databases: list[Database]) -> None:
    """On PostgreSQL as U+FFFD. SQLite's JSON functions end a string at NUL, and so order it as what is before that."""
    for value in ("a\0b", "\0"):
        for kind, expected in (("eq", [True, True]), ("in", [True, True]), ("gte", [False, True])):
            wanted = Comparison(kind, "k", (value,))  # no filter from outside may hold one
            assert [passing(each, wanted, [{"k": value}]) for each in databases] == [[each] for each in expected]


# A key that is too long or has quotes, backslashes or control characters is no attribute's, and no filter's.
names = st.sampled_from(["a", "a.b", "a[0]", "$", "한글", "A", "'", "%s", ":x", "{", "\ud7ff\U0001f600"]) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), min_size=1, max_size=8
)
# The databases differ in NUL alone, which is tested above.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
scalars = st.one_of(
    st.sampled_from(["", "1", "true", 0, 1, 1.0, True, False, -0.0, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e300, 0.1]),
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
objects = st.dictionaries(names, scalars, max_size=4)


@st.composite
def comparisons(draw: st.DrawFn, held: Sequence[Mapping[str, Any]]) -> Comparison:
    """Mostly about what some of the objects have."""
    pairs = [pair for each in held for pair in each.items()]
    keys = st.sampled_from([key for key, _ in pairs]) | names if pairs else names
    values: st.SearchStrategy[Any] = st.sampled_from([value for _, value in pairs]) | scalars if pairs else scalars
    chosen = draw(st.sampled_from(OPERATORS))
    if chosen in ("in", "nin"):
        return Comparison(chosen, draw(keys), tuple(draw(st.lists(values, max_size=4))))
    ordered = values.filter(lambda value: not isinstance(value, bool))
    return Comparison(chosen, draw(keys), (draw(ordered if chosen in ORDERINGS else values),))


def filters(held: Sequence[Mapping[str, Any]]) -> st.SearchStrategy[Filter]:
    def compound(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.builds(Compound, st.sampled_from(["and", "or"]), parts)

    return st.recursive(comparisons(held), compound, max_leaves=6)


@settings(max_examples=150)
@given(held=st.lists(objects, min_size=1, max_size=5), data=st.data())
def test_both_databases_agree_with_python(
    databases: list[Database], held: list[dict[str, Any]], data: st.DataObject
) -> None:
    filter = data.draw(filters(held))
    expected = [holds(filter, each) for each in held]
    assert [passing(database, filter, held) for database in databases] == [expected, expected]
