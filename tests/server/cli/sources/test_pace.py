"""Turns at a host, by a clock of the test's own."""

import asyncio

import pytest

from server.cli.sources.pace import LONGEST_DELAY, Pace

pytestmark = pytest.mark.asyncio


class Clock:
    def __init__(self) -> None:
        self.time, self.slept = 100.0, list[float]()

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))


async def test_one_host_waits_and_another_does_not() -> None:
    clock = Clock()
    pace = Pace(1.0, now=clock, sleep=clock.sleep)
    for host in ("a", "a", "b", "a"):
        await pace.wait(host)
    assert clock.slept == [1.0, 2.0]
    clock.time += 60
    await pace.wait("a")
    assert clock.slept == [1.0, 2.0]


async def test_a_host_may_ask_for_more_but_not_for_ever() -> None:
    clock = Clock()
    pace = Pace(1.0, now=clock, sleep=clock.sleep)
    await pace.wait("a", 5.0)
    await pace.wait("a", 86_400.0)
    await pace.wait("a", 0.0)
    assert clock.slept == [5.0, 5.0 + LONGEST_DELAY]


async def test_a_lane_is_of_one_host() -> None:
    pace = Pace(0.0)
    async with pace.lane("a"):
        assert pace.lane("a").locked()
        async with asyncio.timeout(5), pace.lane("b"):
            assert pace.lane("b") is not pace.lane("a")
