"""Files that are parsed in children, in an ingest: one that does harm fails alone, one that is deleted is let go."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.sandbox.pool import Confinement, Pool
from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder

STUBS = Confinement(seconds=60.0, memory_bytes=300_000_000, entry="tests.retrieval.sandbox.stubs:parse")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def test_a_file_that_harms_its_parser_fails_and_the_others_go_on(bench: Bench) -> None:
    async with bench.ingestor(FakeEmbedder(), parser=Pool(2, STUBS)) as ingestor:
        names = ["say one", "abort", "say two", "eat", "fail", "say three"]
        files = [await bench.add(f"{i}.txt", words) for i, words in enumerate(names)]
        for file in files:
            await ingestor.submit(OWNER, bench.vs, file)
        ended = [await ingestor.wait(OWNER, bench.vs, file) for file in files]
        codes = [each.error.code if each.error else None for each in ended]
        assert codes == [None, "parser_failed", None, "parser_failed", "parser_failed", None]
        assert await bench.texts() == ["one", "three", "two"]


async def test_a_file_that_is_deleted_while_it_is_parsed_is_let_go(bench: Bench) -> None:
    async with bench.ingestor(FakeEmbedder(), workers=1, parser=Pool(1, STUBS)) as ingestor:
        first = await bench.add("a.txt", "loop")
        await ingestor.submit(OWNER, bench.vs, first)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(bench.store.attachments.detach, OWNER, bench.vs, first)
        assert (await bench.ingest(ingestor, "b.txt", "say next")).status == "completed"  # its one parser was free


async def test_an_ingestor_that_is_closed_waits_for_no_parser(bench: Bench) -> None:
    async with asyncio.timeout(30):
        async with bench.ingestor(FakeEmbedder(), parser=Pool(1, STUBS)) as ingestor:
            file = await bench.add("a.txt", "loop")
            await ingestor.submit(OWNER, bench.vs, file)
            await asyncio.sleep(1.0)
    async with bench.ingestor(FakeEmbedder()) as ingestor:
        assert (await ingestor.wait(OWNER, bench.vs, file)).status == "completed"  # and taken up anew
