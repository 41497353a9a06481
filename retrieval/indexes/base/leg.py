"""A leg of the search: one index asked with one query."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.base import FloatArray
from retrieval.filters.allowed import Allowed, OnlyKeys, PushedDown
from retrieval.types import Hit


class Leg(Protocol):
    @property
    def name(self) -> str:
        """Of its scores."""

    @property
    def filters(self) -> bool:
        """Whether its own search evaluates filters: `candidates` is then given these (PushedDown), else the keys."""

    async def candidates(self, limit: int, allowed: Allowed) -> list[Hit]:
        """The `limit` best, best first."""

    async def scores(self, keys: Sequence[int]) -> FloatArray:
        """(len(keys),) float32, exact, on the scale of `candidates`; 0 for a key that is not there."""


@dataclass(frozen=True, slots=True)
class LocalLeg:
    """Of an index in this process. search: limit, keys that are allowed (None: everything). exact: see Leg.scores."""

    name: str
    search: Callable[[int, Collection[int] | None], list[Hit]]
    exact: Callable[[Sequence[int]], FloatArray]
    filters: bool = False

    async def candidates(self, limit: int, allowed: Allowed) -> list[Hit]:
        assert not isinstance(allowed, PushedDown)
        return await asyncio.to_thread(self.search, limit, allowed.keys if isinstance(allowed, OnlyKeys) else None)

    async def scores(self, keys: Sequence[int]) -> FloatArray:
        return await asyncio.to_thread(self.exact, keys)


async def exact_scores(asked: Sequence[tuple[Leg, Sequence[int]]]) -> list[FloatArray]:
    """Leg.scores of each. The local legs share a thread: changing it costs more than most of them take."""
    local = [(leg, keys) for leg, keys in asked if isinstance(leg, LocalLeg)]
    work = asyncio.to_thread(lambda: [leg.exact(keys) for leg, keys in local])
    others = asyncio.gather(*(leg.scores(keys) for leg, keys in asked if not isinstance(leg, LocalLeg)))
    here, there = map(iter, await asyncio.gather(work, others))
    return [next(here) if isinstance(leg, LocalLeg) else next(there) for leg, _ in asked]
