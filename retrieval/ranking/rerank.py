"""Runs the rerank stages on fused candidates under one latency budget; what is late is skipped and said so."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from models.errors import ModelError

Positions = NDArray[np.intp]
Score = Callable[[Positions], Awaitable[FloatArray]]


@dataclass(frozen=True, slots=True)
class RerankStage:
    """score: candidate positions -> (n,) float32, higher is better. keep: how many go on to the next stage.

    needless: asked before the stage; why it need not run, or None.
    """

    name: str
    score: Score
    keep: int
    needless: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Reranked:
    """order: positions of the candidates, best first; `kept[stage]` of them took part beyond that stage.

    orders: the whole order after each stage that finished, in the stages' order. degraded: stages that should have
    run and did not, skipped: stages that were not needed, both in words.
    """

    order: Positions
    kept: Mapping[str, int] = field(default_factory=dict)
    orders: Mapping[str, Positions] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


async def rerank(order: Positions, stages: Sequence[RerankStage], budget_seconds: float) -> Reranked:
    """Each stage reorders the head that the one before it kept; the tail stays behind in its old order.

    A stage that fails or outlasts the budget leaves the order as it was and is named in `degraded`; later stages still
    get what is left of the budget; a budget of 0 runs no stage and is not a degradation. Cancellation passes through.
    """
    if budget_seconds <= 0:
        return Reranked(order)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + budget_seconds
    kept: dict[str, int] = {}
    orders: dict[str, Positions] = {}
    degraded: list[str] = []
    skipped: list[str] = []
    head = len(order)
    for stage in stages:
        candidates = order[:head]
        if reason := stage.needless():
            skipped.append(f"{stage.name}: not needed, {reason}")
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    values = await stage.score(candidates)
            except TimeoutError:
                degraded.append(f"{stage.name}: skipped, over the latency budget of {budget_seconds:g} s")
            except ModelError as error:
                degraded.append(f"{stage.name}: skipped, {error}")
            else:
                order = np.concatenate([candidates[np.argsort(-values, kind="stable")], order[head:]])
                orders[stage.name] = order
        head = min(head, stage.keep)
        kept[stage.name] = head
    return Reranked(order, kept, orders, tuple(degraded), tuple(skipped))
