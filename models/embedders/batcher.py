"""Many waiting callers, one forward pass: what arrives while a pass runs shares the next one.

The oldest waiting item is in every pass and decides its length; the items nearest to it in length fill the budget, as
long as their padding does not cost more than the pass that it saves. So an item is in one of the next k + 1 passes if
k stand before it, whatever arrives later. Urgent items (a question, beside thousands of passages being ingested) have
three passes of four to themselves while there are any; the fourth is the oldest item's.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.errors import Overloaded, Unavailable

In = TypeVar("In")
Out = TypeVar("Out")

_PASS_FOR_ALL = 4


class _Call(Generic[Out]):
    """One submit: its results as they come, and the future that has them all."""

    def __init__(self, count: int) -> None:
        self.results: dict[int, Out] = {}
        self.count = count
        self.done: asyncio.Future[list[Out]] = asyncio.get_running_loop().create_future()

    def set(self, place: int, result: Out) -> None:
        self.results[place] = result
        if len(self.results) == self.count and not self.done.done():
            self.done.set_result([self.results[i] for i in range(self.count)])

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen: a caller cancelled in this moment leaves no "never retrieved" in the log


@dataclass(frozen=True, slots=True, eq=False)
class _Item(Generic[In, Out]):
    value: In
    cost: int
    call: _Call[Out]
    place: int
    urgent: bool


class Batcher(Generic[In, Out]):
    """For one event loop at a time. `run` is called in one worker thread, with items whose padded cost fits the budget.

    run: items -> as many results, in their order. cost: of one item, in tokens. budget: tokens of a pass, padding
    included (the longest item times their number); an item above it runs alone. padding: of these, in tokens, at most:
    about what one more pass costs; None: as many as the budget holds. queue_limit: items waiting at most,
    but for a call that finds none waiting. wait_seconds: how long the first call waits for company while nothing runs;
    where the last pass had none it does not wait, so a lone user never does twice.
    passes, items: run so far, for metrics; waiting: now, without those that run.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Sequence[Out]],
        *,
        cost: Callable[[In], int],
        budget: int,
        padding: int | None = None,
        queue_limit: int = 4096,
        wait_seconds: float = 0.003,
        name: str = "model",
    ) -> None:
        self.name = name
        self.passes = 0
        self.items = 0
        self._run = run
        self._cost = cost
        self._budget = budget
        self._padding = budget if padding is None else padding
        self._queue_limit = queue_limit
        self._wait_seconds = wait_seconds
        self._waiting: list[_Item[In, Out]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-batch")
        self._working: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._shared = True
        self._closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def submit(self, values: Sequence[In], *, urgent: bool = False) -> list[Out]:
        """Results in the order of `values`. Cancelled: what has not begun to run never does.

        Raises Overloaded where the queue has no room for all of them, Unavailable after close, and what `run` raised.
        """
        if self._closed:
            raise Unavailable(f"{self.name} is closed")
        if not values:
            return []
        if self._waiting and len(self._waiting) + len(values) > self._queue_limit:
            raise Overloaded(f"{self.name}: {len(self._waiting)} texts are waiting")
        call: _Call[Out] = _Call(len(values))
        self._waiting += [_Item(value, self._cost(value), call, i, urgent) for i, value in enumerate(values)]
        if self._working is None or self._working.done():
            self._arrived = asyncio.Event()  # of this event loop
            self._working = asyncio.create_task(self._work(), name=f"{self.name}-batch")
        self._arrived.set()
        try:
            return await call.done
        finally:
            if len(call.results) < call.count:
                self._waiting = [item for item in self._waiting if item.call is not call]

    def close(self) -> None:
        """What waits gets Unavailable; a pass that runs finishes: blocks until it has. On the loop's thread."""
        self._refuse()
        self._thread.shutdown()

    async def aclose(self) -> None:
        """As close, while the loop goes on. Leaves no thread and no task."""
        self._refuse()
        try:
            if self._working is not None:
                await asyncio.wait([self._working])
        finally:
            self._thread.shutdown(wait=self._working is None or self._working.done())

    def _refuse(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            item.call.fail(Unavailable(f"{self.name} is closed"))
        self._arrived.set()

    async def _work(self) -> None:
        """Passes until nothing waits."""
        loop = asyncio.get_running_loop()
        if self._shared:
            await self._company()
        while batch := self._take():
            outcome = await loop.run_in_executor(self._thread, self._outcome, [item.value for item in batch])
            for i, item in enumerate(batch):
                if isinstance(outcome, Exception):
                    item.call.fail(outcome)
                else:
                    item.call.set(item.place, outcome[i])
            self._shared = any(item.call is not batch[0].call for item in batch)
            self.passes += 1
            self.items += len(batch)
            await asyncio.sleep(0)  # lets those who got their results ask again, and so share the next pass

    def _outcome(self, values: Sequence[In]) -> Sequence[Out] | Exception:
        """On the worker thread. Every failure becomes an exception that a future takes: nobody may wait for ever."""
        try:
            results = self._run(values)
            if len(results) == len(values):
                return results
            return RuntimeError(f"{self.name}: {len(results)} results for {len(values)} texts")
        except StopIteration as error:
            return RuntimeError(f"{self.name}: {error!r}")
        except Exception as error:
            return error
        except BaseException as error:  # a panic in Rust code is no Exception
            return RuntimeError(f"{self.name}: {error!r}")

    async def _company(self) -> None:
        """Until the budget is full or the wait is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                while not self._closed and sum(item.cost for item in self._waiting) < self._budget:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take(self) -> list[_Item[In, Out]]:
        """The next pass, shortest first; empty where nothing waits."""
        # A caller who was just cancelled has had no turn yet to take its items back.
        self._waiting = [item for item in self._waiting if not item.call.done.done()]
        if not self._waiting:
            return []
        urgent = [item for item in self._waiting if item.urgent] if self.passes % _PASS_FOR_ALL else []
        batch = self._fill(urgent or self._waiting)
        taken = set(map(id, batch))
        self._waiting = [item for item in self._waiting if id(item) not in taken]
        return sorted(batch, key=lambda item: item.cost)

    def _fill(self, items: Sequence[_Item[In, Out]]) -> list[_Item[In, Out]]:
        """The first and its nearest in length, by age where equally near, as many as make a good pass."""
        oldest, *others = items
        batch, longest, real = [oldest], oldest.cost, oldest.cost
        for item in sorted(others, key=lambda item: abs(item.cost - oldest.cost)):
            if longest * (len(batch) + 1) > self._budget:
                break
            padded = max(longest, item.cost) * (len(batch) + 1)
            if padded <= self._budget and padded - real - item.cost <= self._padding:
                batch.append(item)
                longest, real = max(longest, item.cost), real + item.cost
        return batch
