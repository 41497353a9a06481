"""Several choices from an engine that writes one to a request: as many requests at once, their deltas as they come."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from models.base import Prompt, Sampling, TokenDelta, Usage

Stream = Callable[[Prompt, Sampling], AbstractAsyncContextManager[AsyncIterator[TokenDelta]]]
_Item = TokenDelta | BaseException


@asynccontextmanager
async def several(stream: Stream, prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
    """As models.base.Generator.stream. A seed counts up from choice to choice: the same one would write the same."""
    queue: asyncio.Queue[_Item] = asyncio.Queue()
    tasks = [asyncio.create_task(_relay(stream, prompt, sampling, i, queue)) for i in range(sampling.n)]
    try:
        yield _merged(queue, sampling.n)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _relay(stream: Stream, prompt: Prompt, sampling: Sampling, choice: int, queue: asyncio.Queue[_Item]) -> None:
    seed = None if sampling.seed is None else sampling.seed + choice
    try:
        async with stream(prompt, replace(sampling, n=1, seed=seed)) as deltas:
            async for delta in deltas:
                queue.put_nowait(replace(delta, choice=choice))
    except Exception as error:
        queue.put_nowait(error)


async def _merged(queue: asyncio.Queue[_Item], choices: int) -> AsyncGenerator[TokenDelta, None]:
    """The first error ends all. Usage of all comes with the last delta."""
    usages: list[Usage] = []
    ended = 0
    while ended < choices:
        item = await queue.get()
        if isinstance(item, BaseException):
            raise item
        if item.finish_reason is None:
            yield item
            continue
        ended += 1
        usages += [item.usage] if item.usage else []
        yield replace(item, usage=total(usages) if ended == choices and usages else None)


def total(usages: list[Usage]) -> Usage:
    """The same prompt counts once."""
    return Usage(
        max(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        min(usage.cached_tokens for usage in usages),
        sum(usage.reasoning_tokens for usage in usages),
    )
