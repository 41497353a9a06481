import asyncio
import threading

import pytest

from retrieval.threads import Threads
from tests.until import PATIENCE, until


async def test_no_more_run_at_once_than_there_are_threads() -> None:
    threads, gate, running = Threads(2, "few"), threading.Event(), set[int]()

    def work(number: int) -> int:
        running.add(number)
        assert gate.wait(PATIENCE)
        return number

    calls = [asyncio.create_task(threads.run(work, number)) for number in range(6)]
    await until(lambda: len(running) == 2 and threads.unfinished == 6, PATIENCE)
    assert running == {0, 1}
    gate.set()
    assert await asyncio.gather(*calls) == list(range(6))
    assert threads.unfinished == 0
    threads.close()


async def test_what_a_function_raises_reaches_its_caller_and_keywords_reach_the_function() -> None:
    threads = Threads(1, "one")
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")
    assert await threads.run(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]
    threads.close()


async def test_closing_finishes_what_waits_or_lets_it_fall_and_more_may_follow() -> None:
    threads, gate = Threads(1, "one"), threading.Event()
    first, second = (asyncio.create_task(threads.run(gate.wait, PATIENCE)) for _ in range(2))
    await until(lambda: threads.unfinished == 2, PATIENCE)
    closing = asyncio.create_task(threads.aclose())
    await until(second.done, PATIENCE)
    gate.set()
    await closing
    assert await first
    assert second.cancelled()
    gate.clear()
    last = [asyncio.create_task(threads.run(gate.wait, PATIENCE)) for _ in range(2)]
    await until(lambda: threads.unfinished == 2, PATIENCE)
    closing = asyncio.create_task(asyncio.to_thread(threads.close))
    gate.set()
    await closing
    assert await asyncio.gather(*last) == [True, True]
