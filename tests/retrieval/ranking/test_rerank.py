import asyncio

import numpy as np
import pytest

from models.base import FloatArray
from models.errors import Unavailable
from retrieval.ranking.rerank import Positions, RerankStage, rerank

START = np.arange(5, dtype=np.intp)


async def backwards(positions: Positions) -> FloatArray:
    return positions.astype(np.float32)


async def never(positions: Positions) -> FloatArray:
    await asyncio.Event().wait()
    return backwards(positions)  # type: ignore[return-value]


async def broken(positions: Positions) -> FloatArray:
    raise Unavailable("the reranker is down")


async def test_each_stage_reorders_only_what_the_one_before_kept() -> None:
    done = await rerank(START, [RerankStage("one", backwards, 3), RerankStage("two", backwards, 2)], 10)
    assert done.order.tolist() == [4, 3, 2, 1, 0]
    assert done.kept == {"one": 3, "two": 2}

    async def forwards(positions: Positions) -> FloatArray:
        return -positions.astype(np.float32)

    done = await rerank(START, [RerankStage("one", backwards, 3), RerankStage("two", forwards, 2)], 10)
    assert done.order.tolist() == [2, 3, 4, 1, 0]
    assert {name: order.tolist() for name, order in done.orders.items()} == {
        "one": [4, 3, 2, 1, 0],
        "two": [2, 3, 4, 1, 0],
    }


async def test_a_stage_over_the_budget_is_skipped_and_named() -> None:
    done = await rerank(START, [RerankStage("slow", never, 3)], 0.01)
    assert done.order.tolist() == START.tolist()
    assert done.orders == {}
    assert "slow" in done.degraded[0]
    assert "0.01 s" in done.degraded[0]


async def test_a_failing_stage_leaves_the_order_and_the_next_stage_still_runs() -> None:
    done = await rerank(START, [RerankStage("one", broken, 3), RerankStage("two", backwards, 2)], 10)
    assert done.order.tolist() == [2, 1, 0, 3, 4]
    assert done.degraded == ("one: skipped, the reranker is down",)


async def test_cancellation_is_not_taken_for_a_late_stage() -> None:
    task = asyncio.create_task(rerank(START, [RerankStage("slow", never, 3)], 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_equal_scores_keep_the_order_they_came_in() -> None:
    async def same(positions: Positions) -> FloatArray:
        return np.zeros(len(positions), np.float32)

    done = await rerank(START[::-1], [RerankStage("same", same, 5)], 10)
    assert done.order.tolist() == [4, 3, 2, 1, 0]


async def test_a_needless_stage_is_not_run_and_is_said_so_apart_from_failures() -> None:
    stages = [RerankStage("one", backwards, 3), RerankStage("two", broken, 2, lambda: "the first leads by 0.90")]
    done = await rerank(START, stages, 10)
    assert (done.order.tolist(), done.kept) == ([4, 3, 2, 1, 0], {"one": 3, "two": 2})
    assert done.skipped == ("two: not needed, the first leads by 0.90",)
    assert done.degraded == ()


async def test_no_budget_runs_no_stage_and_degrades_nothing() -> None:
    done = await rerank(START, [RerankStage("one", broken, 3)], 0)
    assert (done.order.tolist(), done.degraded, done.orders) == (START.tolist(), (), {})
