"""Whatever is raised in the middle of an ingest: the file is tried again or has failed, and the rest goes on."""

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadRequest
from retrieval.ingest.upkeep import Upkeep
from retrieval.threads import Threads
from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder
from tests.retrieval.watching import before, with_step
from tests.until import PATIENCE, until


class Panic(BaseException):
    """As a library in Rust raises one."""


ODD = [
    RuntimeError("odd"),
    MemoryError(),
    KeyError("odd"),
    OSError(5, "odd"),
    AssertionError(),
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
    Panic("odd"),
]
IN_THREADS = [*ODD, StopIteration(), GeneratorExit()]
FOR_EVER = 10_000
STEPS = ["claim", "next_due", "release", "add_documents", "save_vectors", "publish", "fail", "complete"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def raising(error: BaseException, times: int, on: str = "") -> Callable[..., Any]:
    """A call that raises `times` times where `on` is in its arguments, then is nothing."""
    left = times

    def call(*arguments: object) -> None:
        nonlocal left
        if left and on in str(arguments):
            left -= 1
            raise error

    return call


async def both_ways(
    bench: Bench, install: Callable[[FakeEmbedder, Callable[..., Any]], None], odd: BaseException
) -> None:
    """What is raised twice is outlived; what is raised for ever fails its own file, and no other."""
    embedder = FakeEmbedder()
    install(embedder, raising(odd, 2, "passing"))
    async with bench.ingestor(embedder, workers=2) as ingestor:
        done = await bench.ingest(ingestor, "a.txt", "passing trouble")
        assert (done.status, done.error) == ("completed", None)
    install(embedder, raising(odd, FOR_EVER, "lasting"))
    async with bench.ingestor(embedder, workers=2) as ingestor:
        bad = [bench.ingest(ingestor, f"bad{i}.txt", f"lasting trouble {i}") for i in range(3)]
        for failed in await asyncio.gather(*bad):
            assert failed.status == "failed"
            assert failed.error
            assert failed.error.code == "server_error"
            assert "failed at this file 5 times" in failed.error.message
            assert "odd" not in failed.error.message
        assert (await bench.ingest(ingestor, "good.txt", "all is well")).status == "completed"
        assert await bench.is_idle()
    assert await bench.texts() == ["all is well", "passing trouble"]
    assert await bench.is_level()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
async def test_an_embedder_may_raise_anything(bench: Bench, odd: BaseException) -> None:
    def install(embedder: FakeEmbedder, call: Callable[..., Any]) -> None:
        embedder.before = call

    await both_ways(bench, install, odd)


@pytest.mark.parametrize("odd", IN_THREADS, ids=lambda odd: type(odd).__name__)
async def test_a_tokenizer_may_raise_anything(bench: Bench, odd: BaseException) -> None:
    await both_ways(bench, lambda _, call: before(bench.tokenizer, "terms", call), odd)


@pytest.mark.parametrize("odd", IN_THREADS, ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize("step", STEPS)
async def test_the_store_may_raise_anything_for_a_while(bench: Bench, odd: BaseException, step: str) -> None:
    embedder = FakeEmbedder()
    before(with_step(bench.store, step), step, raising(odd, 3))
    if step in ("fail", "release"):
        embedder.before = raising(RuntimeError(), FOR_EVER if step == "fail" else 1)
    async with bench.ingestor(embedder, workers=1) as ingestor:
        done = await asyncio.wait_for(bench.ingest(ingestor, "a.txt", "alpha"), PATIENCE)
        assert done.status == ("failed" if step == "fail" else "completed")
        await until(bench.is_idle, PATIENCE)
        embedder.before = lambda _: None
        assert (await bench.ingest(ingestor, "b.txt", "beta")).status == "completed"


@pytest.mark.parametrize("odd", IN_THREADS, ids=lambda odd: type(odd).__name__)
async def test_the_indexes_may_raise_anything_for_a_while(bench: Bench, odd: BaseException) -> None:
    before(bench.manager, "refresh", raising(odd, 3))
    async with bench.ingestor(FakeEmbedder()) as ingestor:
        done = await asyncio.wait_for(bench.ingest(ingestor, "a.txt", "alpha"), PATIENCE)
        assert done.status == "completed"
        assert await bench.is_level()


async def test_a_file_that_the_engine_refuses_fails_at_once(bench: Bench) -> None:
    embedder, calls = FakeEmbedder(), 0

    def refuse(_: Sequence[str]) -> None:
        nonlocal calls
        calls += 1
        raise BadRequest("no such model")

    embedder.before = refuse
    async with bench.ingestor(embedder) as ingestor:
        failed = await bench.ingest(ingestor, "a.txt", "alpha")
        assert failed.error
        assert (failed.error.code, failed.error.message) == ("server_error", "no such model")
        assert calls == 1


@pytest.mark.parametrize("said", ["failure", "the indexes of"])
async def test_a_task_that_dies_itself_is_logged_and_replaced_and_its_file_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture, said: str
) -> None:
    """Where even the dealing with a failure fails."""
    log, died = logging.getLogger("ragpod.ingest"), []

    def broken(record: logging.LogRecord) -> bool:
        if said in record.getMessage() and len(died) < 2:
            died.append(record)
            raise RuntimeError("the log is broken")
        return True

    log.addFilter(broken)
    try:
        embedder = FakeEmbedder()
        embedder.before = raising(RuntimeError(), 2)
        before(bench.manager, "refresh", raising(RuntimeError(), 2))
        async with bench.ingestor(embedder, workers=1) as ingestor:
            done = await asyncio.wait_for(bench.ingest(ingestor, "a.txt", "alpha"), PATIENCE)
            assert done.status == "completed"
            assert await bench.is_idle()
    finally:
        log.removeFilter(broken)
    assert len(died) == 2
    assert [record.getMessage() for record in caplog.records if "died" in record.getMessage()]
    assert await bench.texts() == ["alpha"]


async def test_an_ingestor_closes_while_an_embedder_swallows_that_it_was_cancelled(bench: Bench) -> None:
    embedder = FakeEmbedder()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("something else") from None

    embedder.before = lambda _: stubborn()
    async with bench.ingestor(embedder) as ingestor:
        file_id = await bench.add("a.txt", "alpha")
        await ingestor.submit(OWNER, bench.vs, file_id)
        await embedder.waiting.wait()
        await asyncio.wait_for(ingestor.aclose(), PATIENCE)
    assert bench.store.attachments.get(OWNER, bench.vs, file_id).status == "in_progress"  # the next start's to finish


@pytest.mark.parametrize("error", [StopIteration(), GeneratorExit()], ids=lambda error: type(error).__name__)
async def test_what_a_coroutine_cannot_raise_comes_out_of_a_thread_as_an_error(error: BaseException) -> None:
    threads = Threads(1, "test")
    with pytest.raises(RuntimeError, match="out of a thread"):
        await asyncio.wait_for(threads.run(raising(error, 1)), PATIENCE)
    await threads.aclose()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
async def test_the_upkeep_outlives_anything(bench: Bench, odd: BaseException) -> None:
    rounds = 0

    def count() -> None:
        nonlocal rounds
        rounds += 1

    before(bench.store.retention, "expire", raising(odd, 2))
    before(bench.store.retention, "next_expiry", raising(odd, 1))
    before(bench.store.retention, "expire", count)
    upkeep = Upkeep(bench.store, bench.manager, seconds=0.005)
    upkeep.start()
    await until(lambda: rounds >= 4, PATIENCE)
    await upkeep.aclose()
    ended, _ = rounds, await asyncio.sleep(0.05)
    assert rounds == ended
