"""What attributes say of time: `valid_from`, `valid_until`, `updated_at`, as people write dates; pure.

A date alone is that whole day, by the clock of the machine where it names no zone of its own.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Any

VALID_FROM, VALID_UNTIL, UPDATED_AT = "valid_from", "valid_until", "updated_at"
BOUNDS = (VALID_FROM, VALID_UNTIL)
_DATE = re.compile(r"(\d{4})\s*(?:[-./]|년)\s*(\d{1,2})\s*(?:[-./]|월)\s*(\d{1,2})\s*(?:일|\.)?")
_MILLISECONDS = 1e11  # Unix seconds beyond the year 5000 are milliseconds


def moment(value: Any, *, ends: bool = False) -> float | None:
    """Unix seconds; None for what is no time. value: ISO 8601, a date as in "2026. 11. 28." or "2026년 11월 28일", or
    Unix seconds. ends: of a day its last moment, else its first.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _of_number(float(value))
    text = str(value).strip()
    try:
        if (day := _day(text)) is not None:
            return datetime.combine(day + timedelta(days=ends), time()).astimezone().timestamp()
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def valid(attributes: Mapping[str, Any], now: float) -> bool:
    """Whether a document with these attributes holds at `now` (Unix seconds). An end is no part of what it bounds."""
    begins, ends = moment(attributes.get(VALID_FROM)), moment(attributes.get(VALID_UNTIL), ends=True)
    return (begins is None or begins <= now) and (ends is None or now < ends)


def _day(text: str) -> date | None:
    """Raises ValueError for a day that no month has."""
    found = _DATE.fullmatch(text)
    return date(int(found[1]), int(found[2]), int(found[3])) if found else None


def _of_number(value: float) -> float | None:
    if not isfinite(value) or value < 0:
        return None
    return value / 1000 if value > _MILLISECONDS else value
