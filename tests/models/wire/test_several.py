"""Several choices from several requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from models.base import Prompt, Sampling, TokenDelta, Usage
from models.errors import Overloaded
from models.wire.several import several

PROMPT = Prompt(())
ended: list[int | None] = []


@asynccontextmanager
async def writing(prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
    """Its seed is its text; 13 fails, 99 never ends."""

    async def deltas() -> AsyncIterator[TokenDelta]:
        yield TokenDelta(str(sampling.seed))
        if sampling.seed == 13:
            raise Overloaded("full")
        if sampling.seed == 99:
            await asyncio.Event().wait()
        yield TokenDelta(finish_reason="stop", usage=Usage(7, 2, 3, 1))

    try:
        yield deltas()
    finally:
        ended.append(sampling.seed)


async def test_every_choice_has_its_own_seed_and_one_end_and_usage_of_all_is_last() -> None:
    async with several(writing, PROMPT, Sampling(seed=1, n=3)) as stream:
        deltas = [delta async for delta in stream]
    texts = [(delta.choice, delta.text) for delta in deltas if delta.text]
    assert sorted(texts) == [(0, "1"), (1, "2"), (2, "3")]
    assert sorted(delta.choice for delta in deltas if delta.finish_reason) == [0, 1, 2]
    assert [delta.usage for delta in deltas if delta.usage] == [deltas[-1].usage] == [Usage(7, 6, 3, 3)]


async def test_one_failure_fails_and_closes_all() -> None:
    ended.clear()

    async def read() -> None:
        async with several(writing, PROMPT, Sampling(seed=12, n=3)) as stream:
            async for _ in stream:
                pass

    with pytest.raises(Overloaded):
        await read()
    assert sorted(filter(None, ended)) == [12, 13, 14]


async def test_leaving_closes_all() -> None:
    ended.clear()
    async with several(writing, PROMPT, Sampling(seed=98, n=2)) as stream:
        await anext(stream)
    assert sorted(filter(None, ended)) == [98, 99]
