"""Scans in an ingest: told, stopped, resumed, and in nobody's way. Real children, real tesseract."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.ingest.scans import Pages, Scans
from retrieval.parsing.base.recognition import Unread
from retrieval.sandbox.pool import Ocr, Pool
from retrieval.sandbox.tesseract import Tesseract
from retrieval.threads import Threads
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, Bench, FakeEmbedder
from tests.retrieval.ingest.scan_child import PAGES
from tests.retrieval.parsing.pdf.scans import many, scan
from tests.retrieval.sandbox.test_recognition import processes
from tests.tesseract import TESSERACT
from tests.until import PATIENCE, until

ROOT = Path(__file__).resolve().parents[3]
SWEEPING = replace(PACE, renewal=0.1)
ENGLISH = Ocr("eng", seconds=PATIENCE)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@TESSERACT
async def test_a_scan_tells_how_far_it_is_and_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    folder, seen = tmp_path / "recognised", set[Pages | None]()
    async with bench.ingestor(FakeEmbedder(), parser=Pool(1, ocr=ENGLISH), recognised=folder) as ingestor:
        file = await bench.add("scan.pdf", scan(*many(3)))
        version = (await ingestor.submit(OWNER, bench.vs, file)).version
        waiting = asyncio.create_task(ingestor.wait(OWNER, bench.vs, file))
        while not waiting.done():
            seen.add(ingestor.scans.pages(version))
            if told := ingestor.scans.pages_in(bench.vs):
                assert told.total == 3
            await asyncio.sleep(0.005)
        ended = await waiting
        assert ended.status == "completed"
        assert "recognised by OCR" in ended.warnings.messages[0]
        assert {None, Pages(0, 3), Pages(1, 3), Pages(2, 3)} <= seen
        assert ingestor.scans.pages(version) is None
        assert ingestor.scans.pages_in(bench.vs) is None
    assert any("page number 3" in text for text in await bench.texts())
    assert list(folder.iterdir()) == []


@TESSERACT
async def test_a_scan_that_is_deleted_stops_at_once_and_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "recognised"
    async with bench.ingestor(
        FakeEmbedder(), parser=Pool(1, ocr=ENGLISH), recognised=folder, pace=SWEEPING
    ) as ingestor:
        file = await bench.add("scan.pdf", scan(*many(60)))
        await ingestor.submit(OWNER, bench.vs, file)
        await until(lambda: bool(list(folder.glob("*/*.tsv"))), PATIENCE)
        await asyncio.to_thread(bench.store.files.delete, OWNER, file)
        await until(lambda: ingestor.scans.pages_in(bench.vs) is None and not list(folder.iterdir()), PATIENCE)
        assert not processes("tesseract")


@TESSERACT
async def test_a_scan_goes_on_after_kill_9_with_the_page_that_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(killed_after, 4, tmp_path)
    begun = 0
    read = Tesseract.read

    async def counted(self: Tesseract, picture: bytes) -> str | Unread:
        nonlocal begun
        begun += 1
        return await read(self, picture)

    monkeypatch.setattr(Tesseract, "read", counted)
    bench, folder = Bench(tmp_path), tmp_path / "recognised"
    try:
        async with bench.ingestor(FakeEmbedder(), parser=Pool(1, ocr=ENGLISH), recognised=folder):
            await until(bench.is_idle, PATIENCE)
        text = " ".join(await bench.texts())
        assert [f"page number {number}" in text for number in range(1, PAGES + 1)] == [True] * PAGES
        assert 0 < begun <= PAGES - 4
        assert not list(folder.iterdir())
    finally:
        bench.close()


def killed_after(pages: int, data_dir: Path) -> None:
    """An ingest of `PAGES` pages, when so many of them are on disk."""
    command = [sys.executable, "-m", "tests.retrieval.ingest.scan_child", str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line.split()[1]) >= pages:
                break
        child.kill()
    assert child.returncode == -signal.SIGKILL


@TESSERACT
async def test_long_scans_hold_up_neither_text_nor_each_other_for_good(bench: Bench) -> None:
    parser = Pool(1, ocr=ENGLISH)
    async with bench.ingestor(FakeEmbedder(), workers=2 + ENGLISH.files, parser=parser) as ingestor:
        scans = [await bench.add(f"{number}.pdf", scan(*many(6 + number))) for number in range(4)]
        for file in scans:
            await ingestor.submit(OWNER, bench.vs, file)
        await until(lambda: parser.crowded, PATIENCE)
        assert (await bench.ingest(ingestor, "a.txt", "plain text")).status == "completed"
        unfinished = await asyncio.to_thread(bench.store.queue.unfinished)
        assert unfinished >= 3  # those that wait for a seat, and one that has it
        ended = [await ingestor.wait(OWNER, bench.vs, file) for file in scans]
        assert [each.status for each in ended] == ["completed"] * 4


async def test_what_is_kept_of_settled_files_is_swept(tmp_path: Path) -> None:
    threads = Threads(1, "test")
    scans = Scans(tmp_path, threads, lambda versions: {2} & set(versions))
    for version in (1, 2):
        await scans.of(version, "vs").keep("picture", "words")
    (tmp_path / "other").mkdir()
    assert await scans.of(2, "vs").kept("picture") == "words"
    assert await scans.of(2, "vs").kept("another") is None
    await scans.sweep()
    assert sorted(os.listdir(tmp_path)) == ["2", "other"]
    again = scans.of(2, "vs")
    again.expect(1)
    again.end()
    await scans.clear(2)
    assert sorted(os.listdir(tmp_path)) == ["other"]
    await threads.aclose()


async def test_a_page_that_cannot_be_kept_is_recognised_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("no folder")
    threads = Threads(1, "test")
    scan = Scans(tmp_path, threads, lambda versions: set(versions)).of(1, "vs")
    await scan.keep("picture", "words")
    assert await scan.kept("picture") is None
    await threads.aclose()


def test_the_more_wait_the_longer_each_waits(tmp_path: Path) -> None:
    scans = Scans(None, Threads(1, "test"), lambda versions: set(versions))
    first = scans.wait(1)
    assert scans.waits(1)
    assert not scans.waits(2)
    assert first < scans.wait(2) <= max(scans.wait(number) for number in range(1000)) <= 300
