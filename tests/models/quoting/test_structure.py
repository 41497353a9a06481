"""A text as blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quoting.structure import blocks, cells

TABLE = "| Plan | Month |\n|---|---:|\n| Hobby | $0 |\n| Pro \\| Plus | $19 |"


def shown(text: str) -> list[tuple[str, str, str]]:
    return [(block.kind, text[block.start : block.end], block.context) for block in blocks(text)]


def test_a_row_carries_its_header() -> None:
    assert shown(TABLE) == [
        ("row", "| Hobby | $0 |", "| Plan | Month |"),
        ("row", "| Pro \\| Plus | $19 |", "| Plan | Month |"),
    ]
    assert cells("| Pro \\| Plus | $19 |") == ["Pro | Plus", "$19"]


def test_a_table_without_a_border_has_a_first_line_of_names() -> None:
    text = "Plan | Month\nHobby | $0\nPro | $19"
    assert [context for _, _, context in shown(text)] == ["Plan | Month"] * 2
    numbers = "1 | 2\n3 | 4"
    assert [context for _, _, context in shown(numbers)] == ["", ""]


def test_a_single_row_of_a_table_that_was_cut_is_a_row() -> None:
    assert shown("| Pro | $19 |") == [("row", "| Pro | $19 |", "")]


@pytest.mark.parametrize("text", ["Either this | or that.", "x | y\nno bar here"])
def test_a_bar_in_prose_makes_no_table(text: str) -> None:
    assert {kind for kind, _, _ in shown(text)} == {"prose"}


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
@pytest.mark.parametrize("lead", ["Do this:", "이렇게 해 주세요.", "순서는 다음과 같습니다."])
def test_items_carry_what_introduces_them(lead: str, gap: str) -> None:
    assert shown(f"{lead}{gap}1. a\n2. b\n   more") == [
        ("prose", lead, ""),
        ("item", "1. a", lead),
        ("item", "2. b\n   more", lead),
    ]


def test_code_is_whole_with_its_blank_lines_and_without_its_fences() -> None:
    assert shown("Run:\n\n```sh\na\n\nb\n```\n\nDone.") == [
        ("prose", "Run:", ""),
        ("code", "a\n\nb", ""),
        ("prose", "Done.", ""),
    ]
    assert shown("~~~\nnever closed\n") == [("code", "never closed", "")]


def test_definitions_are_lines_of_their_own() -> None:
    text = (
        "**Snapshot**: the state of a folder at one moment in time.\n**Pruning**: the deletion of what no rule keeps."
    )
    assert [said for _, said, _ in shown(text)] == text.split("\n")


@given(st.text("가다. a1|\n#*-`:~=\t", max_size=120))
def test_blocks_ascend_within_the_text_and_lose_no_word(text: str) -> None:
    found = blocks(text)
    edges = [edge for block in found for edge in (block.start, block.end)]
    assert edges == sorted(edges)
    assert all(0 <= block.start < block.end <= len(text) for block in found)
    said = "".join(text[block.start : block.end] + block.context for block in found)
    if "`" not in text and "~" not in text:
        assert {character for character in text if character.isalnum()} <= set(said)
