from models.base import Block
from retrieval.prompting.prompt import build
from retrieval.types import Chunk, ScoredChunk, indexed_text, repeated_header

HEADER, ROW = "이름 | 값", "속도 | 3"
GOING_ON = (Block("row", 0, len(ROW), HEADER),)
WHOLE = (Block("header", 0, len(HEADER)), Block("row", len(HEADER) + 1, len(HEADER) + 1 + len(ROW), HEADER))


def test_a_passage_that_goes_on_with_a_table_has_its_header_before_it() -> None:
    assert indexed_text("표", ("표", "사양"), ROW, GOING_ON) == f"표\n사양\n{HEADER}\n{ROW}"
    assert indexed_text("표", (), f"{HEADER}\n{ROW}", WHOLE) == f"표\n{HEADER}\n{ROW}"
    assert indexed_text("표", (), ROW) == f"표\n{ROW}"
    assert repeated_header((Block("prose", 0, 3), Block("row", 4, 9))) == ""


def test_an_engine_reads_the_header_too() -> None:
    chunk = Chunk(1, "c", "d", "f", "vs", 0, ROW, 40, 40 + len(ROW), blocks=GOING_ON)
    prompt = build("속도는?", [ScoredChunk(chunk, 1.0)])
    assert f"{HEADER}\n{ROW}" in prompt.messages[-1].content
    assert prompt.passages == (ROW,)
