"""Connections get what the descriptors leave; where that is next to nothing, the server says what to do."""

import os
import resource

import pytest

from server.listening.descriptors import LEAST, room_for


@pytest.fixture
def used() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(soft, hard): the first is what the process has, the last what it was given. A real hard limit cannot be raised
    again.
    """
    limits = [(0, 0)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
    return limits


def test_the_soft_limit_is_raised_for_all_that_are_wanted(used: int, limits: list[tuple[int, int]]) -> None:
    limits[0] = (used + 10, used + 1000)
    assert room_for(100, kept=64) == 100
    assert limits[-1] == (used + 164, used + 1000)


def test_the_rest_of_a_hard_limit_is_what_there_is(used: int, limits: list[tuple[int, int]]) -> None:
    limits[0] = (used + 10, used + 64 + 40)
    assert room_for(100, kept=64) == 40


@pytest.mark.parametrize("wanted", [100, 4])
def test_too_few_are_an_error_that_says_how_many_it_takes(
    used: int, limits: list[tuple[int, int]], wanted: int
) -> None:
    least = min(LEAST, wanted)
    limits[0] = (used, used + 64 + least)
    assert room_for(wanted, kept=64) == least
    limits[0] = (used, used + 64 + least - 1)
    with pytest.raises(OSError, match=rf"{used + 64 + least - 1} file descriptors .*ulimit -n {used + 64 + least}\)"):
        room_for(wanted, kept=64)
