"""The batcher: who shares a pass, who is dropped, who hears of an error. Passes are held at a gate, never timed."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.embedders.batcher import Batcher
from models.errors import Overloaded, Unavailable
from tests.until import SOON, until


class Panic(BaseException):
    """As Rust code raises through pyo3: no Exception."""


class Model:
    """Doubles numbers; a number is also its cost. Each pass waits for `gate` where it is closed."""

    def __init__(self) -> None:
        self.passes: list[list[int]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, values: Sequence[int]) -> list[int]:
        self.threads.add(threading.get_ident())
        self.passes.append(list(values))
        assert self.gate.wait(SOON)
        if 13 in values:
            raise ArithmeticError("13 is not for doubling")
        if 19 in values:
            raise StopIteration
        if 11 in values:
            raise Panic("a lock was poisoned")
        return [2 * value for value in values if value != 17]


def batcher(model: Model, budget: int = 100, queue_limit: int = 1000, padding: int | None = None) -> Batcher[int, int]:
    return Batcher(model, cost=abs, budget=budget, padding=padding, queue_limit=queue_limit, name="doubler")


async def held(model: Model, made: Batcher[int, int]) -> asyncio.Task[list[int]]:
    """A pass that has begun and waits at the gate."""
    model.gate.clear()
    first = asyncio.create_task(made.submit([1]))
    await until(lambda: model.passes == [[1]], SOON)
    return first


async def waiting(made: Batcher[int, int], *calls: list[int], urgent: bool = False) -> list[asyncio.Task[list[int]]]:
    before = made.waiting
    tasks = [asyncio.create_task(made.submit(call, urgent=urgent)) for call in calls]
    await until(lambda: made.waiting == before + sum(map(len, calls)), SOON)
    return tasks


@given(st.lists(st.lists(st.integers(20, 60), max_size=9), max_size=12), st.integers(1, 200))
def test_everyone_gets_their_own_results_in_order_and_every_pass_fits(calls: list[list[int]], budget: int) -> None:
    model = Model()

    async def ask() -> list[list[int]]:
        made = batcher(model, budget)
        results = await asyncio.gather(*(made.submit(call) for call in calls))
        made.close()
        return results

    assert asyncio.run(ask()) == [[2 * value for value in call] for call in calls]
    assert sorted(value for one in model.passes for value in one) == sorted(value for call in calls for value in call)
    assert all(max(one) * len(one) <= budget or len(one) == 1 for one in model.passes)
    assert len(model.threads) <= 1


async def test_who_waits_while_a_pass_runs_shares_the_next_one() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    tasks = await waiting(made, [20], [21, 22], [23])
    model.gate.set()
    assert [await task for task in (first, *tasks)] == [[2], [40], [42, 44], [46]]
    assert model.passes == [[1], [20, 21, 22, 23]]
    assert (made.passes, made.items) == (2, 5)
    made.close()


async def test_the_oldest_is_in_the_next_pass_with_those_nearest_to_it_in_length() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    tasks = await waiting(made, [30], [90], [2], [31], [29])
    model.gate.set()
    await asyncio.gather(first, *tasks)
    assert model.passes[1:] == [[29, 30, 31], [90], [2]]
    made.close()


async def test_padding_does_not_cost_more_than_a_pass_of_its_own() -> None:
    model = Model()
    made = batcher(model, budget=1000, padding=60)
    first = await held(model, made)
    tasks = await waiting(made, [200], [10] * 40, [150], [220])
    model.gate.set()
    await asyncio.gather(first, *tasks)
    assert model.passes[1:] == [[200, 220], [10] * 40, [150]]
    made.close()


Queued = tuple[int, int]  # cost, and place in the queue; newcomers have place -1


def passes_of(
    costs: Sequence[int], limits: tuple[int, int], newcomers: Sequence[int], urgent: Sequence[bool]
) -> list[list[Queued]]:
    """What runs when these queue up in this order, and with every pass a newcomer arrives, an urgent one as may be."""
    passes: list[list[Queued]] = []

    async def ask() -> None:
        loop, late, tasks = asyncio.get_running_loop(), list(zip(newcomers, urgent, strict=True)), []

        def run(values: Sequence[Queued]) -> Sequence[Queued]:
            passes.append(list(values))
            if late:
                cost, hurried = late.pop()
                loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(arrive(cost, hurried))))
            return values

        async def arrive(cost: int, hurried: bool) -> None:
            await made.submit([(cost, -1)], urgent=hurried)

        budget, padding = limits
        made = Batcher(run, cost=lambda value: value[0], budget=budget, padding=padding, wait_seconds=0, name="queue")
        await made.submit([(cost, place) for place, cost in enumerate(costs)])
        await until(lambda: not late and all(task.done() for task in tasks), SOON)
        await asyncio.gather(*tasks)
        await made.aclose()

    asyncio.run(ask())
    return passes


LIMITS = st.tuples(st.integers(1, 300), st.integers(0, 300))  # budget, padding
QUEUES = st.lists(st.integers(1, 120), min_size=1, max_size=20)
NEWCOMERS = st.lists(st.integers(1, 120), max_size=30)


@given(QUEUES, LIMITS, NEWCOMERS)
def test_what_has_k_before_it_runs_within_k_more_passes_whatever_arrives(
    costs: list[int], limits: tuple[int, int], newcomers: list[int]
) -> None:
    passes = passes_of(costs, limits, newcomers, [False] * len(newcomers))
    for lengths in ([cost for cost, _ in one] for one in passes):
        padded = max(lengths) * len(lengths)
        assert len(lengths) == 1 or (padded <= limits[0] and padded - sum(lengths) <= limits[1])
    begun = {place: number for number, one in enumerate(passes) for _, place in one}
    assert all(begun[place] <= place for place in range(len(costs)))


@given(QUEUES, LIMITS, st.lists(st.integers(1, 120), min_size=90, max_size=90))
def test_behind_urgent_newcomers_it_runs_within_four_times_as_many(
    costs: list[int], limits: tuple[int, int], newcomers: list[int]
) -> None:
    passes = passes_of(costs, limits, newcomers, [True] * len(newcomers))
    begun = {place: number for number, one in enumerate(passes) for _, place in one}
    assert all(begun[place] <= 4 * place for place in range(len(costs)))


async def test_urgent_items_go_first_but_the_others_are_not_starved() -> None:
    model = Model()
    made = batcher(model, budget=50)
    first = await held(model, made)
    tasks = await waiting(made, [40, 41, 42])
    tasks += await waiting(made, *([20 + i] for i in range(10)), urgent=True)
    model.gate.set()
    await asyncio.gather(first, *tasks)
    longest = [i for i, one in enumerate(model.passes) if one[0] >= 40]
    assert model.passes[1] == [20, 21]
    assert longest[0] == 4  # the fourth pass after the first is the oldest's, whoever is urgent
    made.close()


async def test_an_error_reaches_every_waiter_of_its_pass_and_nobody_else() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    bad = await waiting(made, [13], [14], [15])
    good = await waiting(made, [80])
    model.gate.set()
    for task in bad:
        with pytest.raises(ArithmeticError, match="13"):
            await task
    assert (await first, await good[0]) == ([2], [160])
    assert await made.submit([3]) == [6]
    made.close()


async def test_a_call_in_several_passes_fails_with_the_first_and_the_rest_is_dropped() -> None:
    model = Model()
    made = batcher(model, budget=20)
    with pytest.raises(ArithmeticError):
        await made.submit([13, 14, 15, 16])
    assert made.waiting == 0
    assert await made.submit([3]) == [6]
    assert model.passes == [[13], [3]]
    made.close()


@pytest.mark.parametrize(("value", "told"), [(19, r"doubler: StopIteration\(\)"), (11, "doubler: Panic.*poisoned")])
async def test_what_no_future_takes_as_an_error_is_one_all_the_same(value: int, told: str) -> None:
    made = batcher(Model())
    with pytest.raises(RuntimeError, match=told):
        await made.submit([value])
    assert await made.submit([3]) == [6]
    made.close()


async def test_a_wrong_number_of_results_is_an_error_and_no_hang() -> None:
    model = Model()
    made = batcher(model)
    with pytest.raises(RuntimeError, match="doubler: 1 results for 2 texts"):
        await made.submit([17, 18])
    made.close()


async def test_who_is_cancelled_before_the_pass_is_not_in_it() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    stays, leaves = await waiting(made, [20], [21, 22])
    leaves.cancel()
    await asyncio.wait([leaves])
    assert made.waiting == 1
    model.gate.set()
    assert (await first, await stays) == ([2], [40])
    assert model.passes == [[1], [20]]
    made.close()


async def test_who_is_cancelled_in_the_moment_a_pass_begins_is_not_in_it() -> None:
    model = Model()
    made = batcher(model)
    model.gate.clear()

    async def ask_and_cancel() -> None:
        await made.submit([1])
        leaves.cancel()  # the next pass is taken before `leaves` has its turn

    first = asyncio.create_task(ask_and_cancel())
    await until(lambda: model.passes == [[1]], SOON)
    stays, leaves = await waiting(made, [20], [21])
    model.gate.set()
    assert await stays == [40]
    await asyncio.wait([first, leaves])
    assert leaves.cancelled()
    assert model.passes == [[1], [20]]
    made.close()


async def test_all_who_wait_cancelled_is_no_pass() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    tasks = await waiting(made, [20], [21, 22])
    for task in tasks:
        task.cancel()
    model.gate.set()
    await asyncio.wait([first, *tasks])
    assert await made.submit([3]) == [6]
    assert model.passes == [[1], [3]]
    made.close()


async def test_who_is_cancelled_during_the_pass_hurts_nobody() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    first.cancel()
    await asyncio.wait([first])
    (other,) = await waiting(made, [20])
    model.gate.set()
    assert await other == [40]
    made.close()


async def test_a_full_queue_refuses_a_call_whole_and_at_once() -> None:
    model = Model()
    made = batcher(model, queue_limit=3)
    first = await held(model, made)
    tasks = await waiting(made, [20, 21])
    with pytest.raises(Overloaded, match="doubler: 2 texts are waiting"):
        await made.submit([22, 23])
    tasks += await waiting(made, [24])
    model.gate.set()
    await asyncio.gather(first, *tasks)
    assert await made.submit([20, 21, 22, 23]) == [40, 42, 44, 46]  # alone, a call of any size is taken
    made.close()


async def test_closing_tells_who_waits_and_finishes_what_runs() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    (left,) = await waiting(made, [20])

    def open_when_refused() -> None:
        while made.waiting:
            time.sleep(0.001)
        model.gate.set()

    opening = threading.Thread(target=open_when_refused)
    opening.start()
    made.close()
    opening.join()
    with pytest.raises(Unavailable, match="doubler is closed"):
        await left
    assert await first == [2]
    with pytest.raises(Unavailable):
        await made.submit([1])


async def test_closing_asynchronously_leaves_the_loop_free_and_no_thread_or_task() -> None:
    model = Model()
    made = batcher(model)
    first = await held(model, made)
    (left,) = await waiting(made, [20])
    closing = asyncio.create_task(made.aclose())
    with pytest.raises(Unavailable, match="doubler is closed"):
        await left
    assert not closing.done()
    model.gate.set()
    await closing
    assert await first == [2]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("doubler")]
    await made.aclose()


async def test_closing_ends_the_wait_for_company() -> None:
    made = Batcher[int, int](Model(), cost=abs, budget=100, wait_seconds=3600, name="doubler")
    alone = asyncio.create_task(made.submit([1]))
    await until(lambda: made.waiting == 1, SOON)
    await made.aclose()
    with pytest.raises(Unavailable):
        await alone


async def test_a_full_budget_ends_the_wait_for_company() -> None:
    made = Batcher[int, int](Model(), cost=abs, budget=100, wait_seconds=3600, name="doubler")
    assert await asyncio.gather(made.submit([50]), made.submit([49]), made.submit([1])) == [[100], [98], [2]]
    await made.aclose()


async def test_who_was_alone_the_last_time_does_not_wait_for_company() -> None:
    made = Batcher[int, int](Model(), cost=abs, budget=100, wait_seconds=3600, name="doubler")
    assert await made.submit([100]) == [200]
    assert await made.submit([1]) == [2]
    await made.aclose()


async def test_nothing_to_do_takes_no_pass() -> None:
    model = Model()
    made = batcher(model)
    assert await made.submit([]) == []
    assert model.passes == []
    made.close()
