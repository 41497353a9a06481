from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.dates import moment, valid

DAY = 24 * 3600
NOON = datetime(2026, 11, 28, 12).astimezone().timestamp()


@pytest.mark.parametrize("value", ["2026-11-28", "2026. 11. 28.", "2026/11/28", "2026년 11월 28일", "2026.11.28"])
def test_a_date_is_its_whole_day(value: str) -> None:
    begins, ends = moment(value), moment(value, ends=True)
    assert begins is not None
    assert ends is not None
    assert begins < NOON < ends
    assert ends - begins in (DAY, DAY - 3600, DAY + 3600)


@pytest.mark.parametrize(
    "value",
    ["2026-11-28T03:00:00Z", "2026-11-28T12:00:00+09:00", "2026-11-28 03:00:00+00:00", 1795834800, 1795834800000.0],
)
def test_a_moment_is_the_same_however_it_is_written(value: Any) -> None:
    assert moment(value) == datetime(2026, 11, 28, 3, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("value", [None, True, "", "soon", "2026-13-01", "2026-02-30", -1, float("nan"), float("inf")])
def test_what_is_no_time_bounds_nothing(value: Any) -> None:
    assert moment(value) is None
    assert valid({"valid_from": value, "valid_until": value}, NOON)


def test_a_document_holds_from_its_first_day_to_the_end_of_its_last() -> None:
    bounded = {"valid_from": "2026-11-28", "valid_until": "2026-11-28"}
    assert valid(bounded, NOON)
    assert not valid(bounded, NOON + DAY)
    assert not valid(bounded, NOON - DAY)
    assert not valid({"valid_until": NOON}, NOON)


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.dates().map(str), st.datetimes().map(str)))
def test_anything_is_a_time_or_none(value: Any) -> None:
    assert moment(value) is None or moment(value, ends=True) >= moment(value)  # type: ignore[operator]
