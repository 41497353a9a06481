"""The watchdog of the server's tests."""

import asyncio
import gc
import time
from collections.abc import Callable

import pytest

from tests.watchdog import Watchdog

SHORT = 0.01


def work(seconds: float = 3 * SHORT) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def rest() -> None:
    time.sleep(3 * SHORT)


async def called(callback: Callable[[], None]) -> list[str]:
    watchdog = Watchdog(SHORT)
    with watchdog.watching():
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return watchdog.found


@pytest.fixture
def as_if_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.watchdog._OUR_OWN", ())


@pytest.mark.usefixtures("as_if_of_the_server")
async def test_a_callback_that_works_too_long_is_named() -> None:
    (line,) = await called(work)
    assert "work" in line


@pytest.mark.usefixtures("as_if_of_the_server")
async def test_a_step_of_a_task_is_named_with_the_place_that_it_came_to() -> None:
    async def too_long() -> None:
        work()
        await asyncio.Event().wait()

    watchdog = Watchdog(SHORT)
    with watchdog.watching():
        task = asyncio.create_task(too_long())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    task.cancel()
    (line,) = watchdog.found
    assert "too_long" in line
    assert "locks.py" in line


@pytest.mark.usefixtures("as_if_of_the_server")
async def test_waiting_and_collecting_garbage_are_no_work() -> None:
    heap, took = [[number] for number in range(300_000)], list[float]()

    def collect() -> None:
        since = time.thread_time()
        gc.collect()
        took.append(time.thread_time() - since)

    assert await called(rest) == []
    assert await called(collect) == []
    assert heap
    assert took[0] > SHORT


async def test_what_a_test_does_itself_is_no_fault() -> None:
    assert await called(work) == []


@pytest.mark.usefixtures("as_if_of_the_server")
async def test_what_is_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.watchdog.KNOWN", {"work": "it is known"})
    assert await called(work) == []
