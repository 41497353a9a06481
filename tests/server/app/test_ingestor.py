"""A whole server with children for its parsers, as it has them by default."""

import sys
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import house


@pytest.mark.skipif(sys.platform != "linux", reason="looks for its children in /proc")
async def test_a_server_parses_in_children_unless_it_is_told_otherwise(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, parsing={}) as home:
        store = await home.openai.vector_stores.create(name="children")
        for name, content in (("a.md", b"# Parcels\n\nA lost parcel is refunded."), ("b.txt", b"\x00\x01\x02")):
            await home.openai.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=(name, content), poll_interval_ms=50
            )
        files = await home.openai.vector_stores.files.list(store.id, order="asc")
        assert [each.status for each in files.data] == ["completed", "failed"]
        found = await home.openai.vector_stores.search(store.id, query="lost parcel")
        assert found.data[0].filename == "a.md"
        assert "retrieval.sandbox" in child_commands()


@pytest.mark.parametrize("workers", [0, 1])
async def test_the_settings_names_of_columns_reach_the_parsers(
    workers: int, data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    columns = {"question": ["증상"], "answer": ["해결책"], "category": ["업무"]}
    async with house(data_dir, embedder, tokenizer, parsing={"workers": workers, "columns": columns}) as home:
        store = await home.openai.vector_stores.create(name="columns")
        row = "증상,해결책,업무\n화면이 꺼져요,전원을 다시 켜세요.,PC\n".encode()
        await home.openai.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("faq.csv", row), poll_interval_ms=50
        )
        found = await home.openai.vector_stores.search(
            store.id, query="화면", filters={"type": "eq", "key": "category", "value": "PC"}
        )
        assert found.data[0].content[0].text == "화면이 꺼져요\n전원을 다시 켜세요."


def child_commands() -> str:
    children = " ".join(task.read_text() for task in Path("/proc/self/task").glob("*/children")).split()
    return " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in children)
