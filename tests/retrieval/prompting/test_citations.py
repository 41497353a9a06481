"""Citation marks, split any way over the deltas."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.prompting.citations import CitationParser, MarkPart, Part, TextPart


def parse(deltas: list[str], count: int = 3) -> list[Part]:
    parser = CitationParser(count)
    return [part for delta in deltas for part in parser.feed(delta)] + parser.finish()


def marks(text: str, count: int = 3) -> list[tuple[int, str]]:
    return [(part.marker, part.text) for part in parse([text], count) if isinstance(part, MarkPart)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("서울입니다 [1].", [(1, "[1]")]),
        ("서울입니다[2]", [(2, "[2]")]),
        ("a language[1], and so on", [(1, "[1]")]),
        ("a language.[1]", [(1, "[1]")]),
        ("both [1][3].", [(1, "[1]"), (3, "[3]")]),
        ("both [1, 2].", [(1, "[1"), (2, ", 2]")]),
        ("both [1,3]", [(1, "[1"), (3, ",3]")]),
        ("spaced [ 2 ]", [(2, "[ 2 ]")]),
        ("nested [[1]]", [(1, "[1]")]),
        ("one good [9, 2]", [(2, "[9, 2]")]),
        ("one good [2, 9] more", [(2, "[2, 9]")]),
        ("a stray ` tick\nthen [1]", [(1, "[1]")]),
        ("`code` [1]", [(1, "[1]")]),
        ("```\ncode\n```\n[1]", [(1, "[1]")]),
        ("say (see above)[1]", [(1, "[1]")]),
        ("in 3.11[1]", [(1, "[1]")]),
    ],
)
def test_marks_of_existing_sources_are_citations(text: str, expected: list[tuple[int, str]]) -> None:
    assert marks(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "beyond [9] and [4]",
        "zero [0] and [01]",
        "not numbers [a] [x] [ ] [] [^1] [1-2] [1.2] [-1]",
        "a link [1](https://example.org) and an image ![2](x.png)",
        "[1]: https://example.org\n[2]: other",
        "index x[1], sys.argv[1], row_2[1], f()[1]",
        "a list xs = [1, 2]",
        "inline `d[1] or [1]` and ``a ` [2]`` code",
        "```python\nprint([1])\n```",
        "unfinished [1",
        "unfinished [1, ",
        "[１]",
    ],
)
def test_everything_else_stays_text(text: str) -> None:
    assert marks(text) == []
    assert "".join(part.text for part in parse([text])) == text


def test_without_sources_nothing_is_a_citation() -> None:
    assert parse(["[1][2]"], count=0) == [TextPart("[1][2]")]


def test_spans_count_code_points() -> None:
    assert parse(["한🙂 [1]"]) == [TextPart("한🙂 "), MarkPart("[1]", 1, 3, 6)]


def test_a_mark_split_over_deltas_is_held_until_it_is_one() -> None:
    parser = CitationParser(12)
    assert parser.feed("답 [") == [TextPart("답 ")]
    assert parser.feed("1") == []
    assert parser.feed("2") == []
    assert parser.feed("]") == []
    assert parser.feed(".") == [MarkPart("[12]", 12, 2, 6), TextPart(".")]
    assert parser.finish() == []


def test_text_that_can_no_longer_become_a_mark_is_not_held() -> None:
    parser = CitationParser(3)
    assert parser.feed("[a") == [TextPart("[a")]
    assert parser.feed("[1234") == [TextPart("[1234")]
    assert parser.feed("[9]") == [TextPart("[9]")]


TEXTS = st.text("[]123490, `\n=:(x_.가", max_size=40)


@given(TEXTS, st.lists(st.integers(0, 40), max_size=8), st.integers(0, 12))
def test_any_cutting_gives_the_same_marks_and_the_same_text(text: str, cuts: list[int], count: int) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = parse([text[a:b] for a, b in pairwise(bounds)], count)
    whole = parse([text], count)
    assert "".join(part.text for part in parts) == text
    assert [p for p in parts if isinstance(p, MarkPart)] == [p for p in whole if isinstance(p, MarkPart)]
    assert all(part.text for part in parts)


@given(TEXTS, st.integers(0, 12))
def test_every_span_is_the_marks_own_text_and_spans_ascend(text: str, count: int) -> None:
    found = [part for part in parse([text], count) if isinstance(part, MarkPart)]
    assert all(text[mark.start : mark.end] == mark.text and 1 <= mark.marker <= count for mark in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(TEXTS)
def test_what_is_held_back_could_still_become_a_mark(text: str) -> None:
    parser = CitationParser(5)
    emitted = ""
    for end in range(len(text)):
        emitted += "".join(part.text for part in parser.feed(text[end]))
        held = text[: end + 1].removeprefix(emitted)
        assert re.fullmatch(r"(\[[\d, ]*\]?)?", held)


@given(st.lists(st.integers(0, 60), max_size=6))
def test_in_json_only_marks_in_strings_are_citations(cuts: list[int]) -> None:
    text = r'{"days": [1, 2], "a \" [9]": "one [1]", "b\\": [1], "c": "two [2][3]"}'
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parser = CitationParser(2, json=True)
    parts = [part for a, b in pairwise(bounds) for part in parser.feed(text[a:b])] + parser.finish()
    assert "".join(part.text for part in parts) == text
    marks = [(part.marker, part.start) for part in parts if isinstance(part, MarkPart)]
    assert marks == [(1, text.index('[1]"')), (2, text.index("[2][3]"))]
