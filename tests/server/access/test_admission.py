import asyncio

import pytest

from server.access.admission import Admission
from server.answering.failures import QueueFull, QueueTimeout, failure_of


async def test_a_full_queue_refuses_with_429_and_a_retry_time() -> None:
    admission = Admission(answers=1, queue=0, seconds=60)
    async with admission.admit():
        with pytest.raises(QueueFull) as caught:
            async with admission.admit():
                pass
    failure = failure_of(caught.value)
    assert (failure.status, failure.code) == (429, "queue_full")
    assert failure.retry_after is not None


async def test_waiting_too_long_answers_503_and_leaves_the_queue() -> None:
    admission = Admission(answers=1, queue=1, seconds=0.01)
    async with admission.admit():
        with pytest.raises(QueueTimeout) as caught:
            async with admission.admit():
                pass
    assert (failure_of(caught.value).status, admission.waiting, admission.running) == (503, 0, 0)


async def test_who_waits_longest_goes_first() -> None:
    admission, order = Admission(answers=1, queue=3, seconds=60), []

    async def one(number: int) -> None:
        async with admission.admit():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(4)))
    assert order == [0, 1, 2, 3]


async def test_a_cancelled_waiter_takes_no_place() -> None:
    admission = Admission(answers=1, queue=1, seconds=60)
    async with admission.admit():
        waiter = asyncio.create_task(admission.admit().__aenter__())
        await asyncio.sleep(0)
        assert admission.waiting == 1
        waiter.cancel()
        await asyncio.wait([waiter])
    async with admission.admit():
        assert (admission.waiting, admission.running) == (0, 1)
