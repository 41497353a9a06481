import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Block, IntArray
from retrieval.passages.chunking import chunk
from retrieval.types import ParsedDocument, Section, Span

KOREAN = "환불은 영업일 기준 사흘이 걸립니다. 카드로 결제하셨다면 카드사 사정에 따라 더 늦어질 수 있어요. "
ENGLISH = "Refunds take three working days. If you paid by card, your bank may need longer. "


def token_spans(text: str) -> IntArray:
    """A small stand-in for a subword tokenizer: up to two syllables, five letters, or one sign a token."""
    spans = [match.span() for match in re.finditer(r"[가-힣]{1,2}|[^\W가-힣]{1,5}|[^\w\s]", text)]
    return np.array(spans, np.int32).reshape(-1, 2)


def texts(document: ParsedDocument, spans: Sequence[Span]) -> list[str]:
    return [document.text[span.start : span.end] for span in spans]


def test_a_short_document_stays_whole_without_the_space_around_it() -> None:
    document = ParsedDocument(text="\n 배송은 얼마나 걸리나요?\n이틀 걸립니다. \n")
    (span,) = chunk(document, token_spans)
    assert document.text[span.start : span.end] == "배송은 얼마나 걸리나요?\n이틀 걸립니다."
    assert span.token_count == len(token_spans(document.text))


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_document_without_text_has_no_passage(text: str) -> None:
    assert chunk(ParsedDocument(text=text), token_spans) == []


def test_passages_hold_at_most_the_size_and_are_never_crumbs() -> None:
    document = ParsedDocument(text=KOREAN * 60)
    counts = [span.token_count for span in chunk(document, token_spans, size=100, overlap=20)]
    assert len(counts) > 10
    assert max(counts) <= 100
    assert min(counts) >= 32


@pytest.mark.parametrize("sentence", [KOREAN, ENGLISH])
def test_passages_begin_and_end_with_whole_sentences(sentence: str) -> None:
    document = ParsedDocument(text=(sentence * 30).strip())
    for text in texts(document, chunk(document, token_spans, size=120, overlap=30)):
        assert text.endswith(".")
        assert re.match(r"환불은|카드로|Refunds|If", text)


def test_korean_sentences_end_without_a_space_after_them() -> None:
    document = ParsedDocument(text="회원으로 가입해 주세요.결제는 카드로 합니다." * 40)
    for text in texts(document, chunk(document, token_spans, size=100, overlap=0)):
        assert re.search(r"(주세요|합니다)\.$", text)


def test_neighbours_share_whole_sentences_within_the_overlap() -> None:
    document = ParsedDocument(text=KOREAN * 40)
    spans = chunk(document, token_spans, size=120, overlap=40)
    for one, other in pairwise(spans):
        shared = document.text[other.start : one.end]
        assert 0 < len(token_spans(shared)) <= 40
        assert re.match(r"환불은|카드로", shared)


def test_paragraphs_are_preferred_to_sentences() -> None:
    document = ParsedDocument(text="\n\n".join([(KOREAN * 3).strip()] * 12))
    for text in texts(document, chunk(document, token_spans, size=180, overlap=0)):
        assert text.startswith("환불은")
        assert len(re.findall("환불은", text)) % 3 == 0


def test_a_new_section_begins_a_new_passage_that_repeats_nothing() -> None:
    body = KOREAN * 4
    text = f"# 환불\n{body}\n# 배송\n{body}\n# 결제\n{body}"
    starts = [match.start() for match in re.finditer("#", text)]
    names = ("환불", "배송", "결제")
    document = ParsedDocument(text=text, sections=tuple(Section(s, (n,)) for s, n in zip(starts, names, strict=True)))
    spans = chunk(document, token_spans, size=180, overlap=40)
    assert [span.start for span in spans] == starts
    assert [span.headings for span in spans] == [("환불",), ("배송",), ("결제",)]


def test_sections_too_short_to_stand_alone_stay_with_their_neighbours() -> None:
    text = "".join(f"# 제목 {i}\n짧은 글.\n" for i in range(60))
    sections = tuple(Section(m.start(), (m[0],)) for m in re.finditer(r"# 제목 \d+", text))
    spans = chunk(ParsedDocument(text=text, sections=sections), token_spans)
    assert min(span.token_count for span in spans) >= 25
    assert all(span.start in {section.start for section in sections} for span in spans)


def test_each_passage_knows_the_page_it_begins_on() -> None:
    page = KOREAN * 10
    text = "\f".join([page] * 3)
    sections = tuple(Section(i * (len(page) + 1), page=i + 1) for i in range(3))
    spans = chunk(ParsedDocument(text=text, sections=sections), token_spans, size=150, overlap=0)
    assert [span.page for span in spans] == sorted(1 + span.start // (len(page) + 1) for span in spans)
    assert {span.page for span in spans} == {1, 2, 3}


def test_numbers_of_a_list_stay_with_their_items() -> None:
    text = "\n".join(f"{i}. 항목의 내용을 여기에 적습니다 그리고 조금 더 적습니다" for i in range(1, 60))
    for part in texts(document := ParsedDocument(text=text), chunk(document, token_spans, size=100, overlap=20)):
        assert re.match(r"\d+\. ", part)


@pytest.mark.parametrize(
    "text",
    [
        "가나다라마바사" * 3_000,
        "a" * 20_000,
        "\U0001d518" * 5_000,
        "가 " * 10_000,
        "x" + " " * 50_000 + "y",
        ". " * 9_000,
    ],
    ids=["hangul", "letters", "unknown", "words", "spaces", "stops"],
)
def test_text_without_natural_borders_keeps_to_the_size(text: str) -> None:
    document = ParsedDocument(text=text)
    spans = chunk(document, token_spans, size=50, overlap=10)
    assert max(span.token_count for span in spans) <= 51
    assert max(span.end - span.start for span in spans) <= 51 * 65
    assert uncovered(document.text, spans) == ""


def test_a_tokenizer_that_sees_no_token_still_gives_bounded_passages() -> None:
    spans = chunk(ParsedDocument(text="?" * 100_000), lambda text: np.zeros((0, 2), np.int32), size=50, overlap=10)
    assert max(span.end - span.start for span in spans) <= 51 * 65


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (10, -1), (0, 0)])
def test_an_overlap_that_is_not_less_than_the_size_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        chunk(ParsedDocument(text="글"), token_spans, size=size, overlap=overlap)


def uncovered(text: str, spans: Sequence[Span]) -> str:
    position, left = 0, ""
    for span in spans:
        left += text[position : span.start] if span.start > position else ""
        position = max(position, span.end)
    return (left + text[position:]).strip()


_PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "다. ",
                "요.",
                "\n\n",
                "\n- ",
                " ",
                "환불",
                "서울은",
                "word ",
                "e\u0301",
                "한",
                "👨‍👩‍👧",
                "🇰🇷",
                "1. ",
                "\f",
                "\t",
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(pieces=_PIECES, size=st.integers(4, 60), share=st.floats(0, 0.9), cuts=st.sets(st.integers(0, 300), max_size=6))
def test_passages_cover_the_text_in_order_and_split_no_character(
    pieces: list[str], size: int, share: float, cuts: set[int]
) -> None:
    text = "".join(pieces)
    sections = tuple(Section(cut, (str(cut),)) for cut in sorted(cuts) if cut < len(text))
    document = ParsedDocument(text=text, sections=sections)
    spans = chunk(document, token_spans, size=size, overlap=int(size * share))
    assert uncovered(text, spans) == ""
    assert spans == chunk(document, token_spans, size=size, overlap=int(size * share))
    for one, other in pairwise(spans):
        assert one.start < other.start
        assert one.end < other.end
    for span in spans:
        passage = text[span.start : span.end]
        assert passage == passage.strip() != ""
        inside_sections = any(section.start in (span.start, span.end) for section in sections)
        assert (
            inside_sections
            or not re.match("[\u0300-\u036f\u1160-\u11ff\u200d]", text[span.start :][:1])
            or span.start == 0
        )


_PARTS = st.lists(
    st.tuples(st.sampled_from(["prose", "row", "item", "code", "answer"]), st.integers(1, 40)), max_size=30
)


@settings(max_examples=300, deadline=None)
@given(parts=_PARTS, size=st.integers(8, 60), share=st.floats(0, 0.9))
def test_what_fits_into_a_passage_is_whole_in_one(parts: list[tuple[Any, int]], size: int, share: float) -> None:
    text, blocks = "", []
    for number, (kind, words) in enumerate(parts):
        body = ". ".join(f"w{number}x{i}" for i in range(words))
        text += ("\n\n" if kind == "prose" else "\n") if text else ""
        blocks.append(Block(kind, len(text), len(text) + len(body)))
        text += body
    spans = chunk(ParsedDocument(text=text), token_spans, blocks, size=size, overlap=int(size * share))
    assert uncovered(text, spans) == ""
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(spans))
    for block in blocks:
        if block.kind != "prose" and len(token_spans(text[block.start : block.end])) <= size:
            assert any(span.start <= block.start and block.end <= span.end for span in spans), text[block.start :][:20]
    assert all(span.token_count <= size for span in spans)
