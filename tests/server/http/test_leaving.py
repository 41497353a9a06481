import asyncio
from collections.abc import AsyncIterator

import pytest

from server.answering.running import Running
from server.http.leaving import cancelled_on_disconnect

Message = dict[str, str]


async def held(closed: list[bool]) -> AsyncIterator[int]:
    try:
        yield 0
        await asyncio.Event().wait()
    finally:
        closed.append(True)


async def test_a_client_that_leaves_cancels_the_work_while_nothing_is_sent() -> None:
    messages: asyncio.Queue[Message] = asyncio.Queue()
    closed: list[bool] = []
    running = Running(held(closed), last=lambda: -1)
    async with cancelled_on_disconnect(running, messages.get):
        messages.put_nowait({"type": "http.request"})
        messages.put_nowait({"type": "http.disconnect"})
        assert await running.next(60) == [0]
        assert await running.next(60) == [-1]
    assert (closed, running.reason) == ([True], "disconnected")


async def test_work_never_outlives_its_response() -> None:
    closed: list[bool] = []
    running = Running(held(closed))

    async def respond() -> None:
        async with cancelled_on_disconnect(running, asyncio.Queue[Message]().get):
            await asyncio.sleep(0)
            raise RuntimeError("response failed")

    with pytest.raises(RuntimeError, match="response failed"):
        await respond()
    assert closed == [True]
