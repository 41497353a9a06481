from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.filters.syntax import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    Comparison,
    Compound,
    InvalidFilter,
    parse,
)
from retrieval.store.base.values import StoreError


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(depth - 1):
        inner = {"type": "and", "filters": [inner]}
    return inner


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"type": "like", "key": "a", "value": "b"}, r"filters.type must be one of eq, .*, not 'like'"),
        ({"key": "a", "value": "b"}, "filters.type must be one of"),
        ({"type": ["eq"], "key": "a", "value": "b"}, "filters.type must be one of"),
        ({"type": "eq", "value": "b"}, "filters.key must be a string"),
        ({"type": "eq", "key": "", "value": "b"}, "filters.key must be a string of 1 to"),
        ({"type": "eq", "key": 'a"b', "value": "b"}, "filters.key may not hold quotes"),
        ({"type": "eq", "key": "a\\", "value": "b"}, "backslashes"),
        ({"type": "eq", "key": "a"}, "filters.value is missing"),
        ({"type": "eq", "key": "a", "value": None}, "filters.value must be a string, a number or a boolean"),
        ({"type": "eq", "key": "a", "value": [1]}, "filters.value must be a string"),
        ({"type": "eq", "key": "a", "value": float("nan")}, "must be a string, a number"),
        ({"type": "eq", "key": "a", "value": "\ud800"}, "lone surrogate"),
        ({"type": "gt", "key": "a", "value": True}, "must be a number or a string for gt"),
        ({"type": "in", "key": "a", "value": "abc"}, "filters.value must be a list"),
        ({"type": "in", "key": "a", "value": [1] * (MAX_VALUES + 1)}, "at most 1000 values"),
        ({"type": "and", "filters": []}, "at least one filter"),
        ({"type": "and", "filters": "eq"}, "at least one filter"),
        ({"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}, 7]}, r"filters.filters\[1\] must be"),
        ({"type": "eq", "key": "a", "value": 1, "boost": 2}, "unknown field 'boost'"),
        (nested(MAX_DEPTH + 1), "nested deeper than 8"),
        (
            {"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}] * (MAX_CONDITIONS + 1)},
            "at most 100 comparisons",
        ),
    ],
)
def test_a_bad_filter_is_refused_with_its_place(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFilter, match=message) as refused:
        parse(filters)
    assert str(refused.value).startswith(refused.value.param)
    assert refused.value.param.startswith("filters")
    assert not isinstance(refused.value, StoreError)


def test_a_filter_becomes_a_tree() -> None:
    ko = {"type": "in", "key": "lang", "value": ["ko", 1, True]}
    old = {"type": "lt", "key": "year", "value": 10**30}
    assert parse({"type": "or", "filters": [ko, {"type": "and", "filters": [old]}]}) == Compound(
        "or",
        (Comparison("in", "lang", ("ko", 1, True)), Compound("and", (Comparison("lt", "year", (1e30,)),))),
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(["eq", "ne", "gt", "in", "nin", "and", "or", "like"]) | values
nodes = st.recursive(
    st.fixed_dictionaries({}, optional={"type": kinds, "key": values, "value": values, "filters": values}),
    lambda inner: st.fixed_dictionaries({"type": kinds, "filters": st.lists(inner, max_size=3)}),
    max_leaves=8,
)


@given(nodes)
def test_whatever_is_sent_is_a_tree_or_refused_with_its_place(node: dict[str, Any]) -> None:
    tree, place = None, "filters"
    try:
        tree = parse(node)
    except InvalidFilter as error:
        place = error.param
    assert place.startswith("filters")
    assert tree is None or parse(node) == tree
