import asyncio
from collections.abc import AsyncIterator

import pytest

from server.answering.running import Reason, Running

Message = dict[str, str]


async def counting(until: int, closed: list[bool], *, hold: bool = False) -> AsyncIterator[int]:
    try:
        for number in range(until):
            yield number
        if hold:
            await asyncio.Event().wait()
    finally:
        closed.append(True)


async def all_of(running: Running[int]) -> list[int]:
    got: list[int] = []
    while (items := await running.next(60)) is not None:
        got += items
    return got


async def test_every_item_arrives_in_order_and_then_none() -> None:
    closed: list[bool] = []
    assert await all_of(Running(counting(100, closed), last=lambda: -1)) == list(range(100))
    assert closed == [True]


async def test_nothing_within_the_time_is_an_empty_list() -> None:
    running = Running(counting(0, [], hold=True))
    assert await running.next(0.01) == []
    await running.close()


@pytest.mark.parametrize("reason", ["disconnected", "stopped", "shutdown"])
async def test_cancelled_work_is_closed_and_ends_with_its_last_item(reason: Reason) -> None:
    closed: list[bool] = []
    running = Running(counting(2, closed, hold=True), last=lambda: -1)
    assert await running.next(60) == [0, 1]
    running.cancel(reason)
    assert await all_of(running) == [-1]
    assert (closed, running.reason) == ([True], reason)


async def test_work_cancelled_before_its_first_step_still_ends_with_its_last_item() -> None:
    running = Running(counting(5, []), last=lambda: -1)
    running.cancel("stopped")
    async with asyncio.timeout(60):
        assert await all_of(running) == [-1]


async def test_what_the_work_raises_reaches_the_reader_after_its_items() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise KeyError("broken")

    running = Running(failing())
    assert await running.next(60) == [1]
    with pytest.raises(KeyError, match="broken"):
        await running.next(60)
