"""The hostile files of ../shared through the real parsers in a child with the limits that a server gives it."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from retrieval.parsing import ParseError
from retrieval.sandbox.pool import Confinement, Pool

SHARED = Path(os.environ.get("RAGPOD_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
FOLDER = SHARED / "data" / "docs" / "hostile"
FILES = sorted(path for path in FOLDER.glob("*") if path.is_file()) if FOLDER.is_dir() else []


@pytest.mark.skipif(not FILES, reason="../shared/data/docs/hostile is not here")
async def test_every_hostile_file_is_refused_or_read_in_time_and_the_next_one_is_read() -> None:
    pool = Pool(1, Confinement(seconds=20.0))
    try:
        for path in FILES:
            content, before = path.read_bytes(), time.monotonic()
            with suppress(ParseError):
                documents = await pool.parse(content, path.name)
                assert all(document.text.strip() for document in documents), path.name
            assert time.monotonic() - before < 60, path.name  # 20 s and a new child, on a busy machine
            assert (await pool.parse(b"still here", "a.txt"))[0].text == "still here"
    finally:
        await pool.aclose()
