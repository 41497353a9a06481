"""What scripts/verify_streaming.py says of two texts."""

import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from streaming.results import Failed, NotAsked  # type: ignore[import-not-found]
from streaming.text import difference, not_repeated, same  # type: ignore[import-not-found]

WORDS = st.lists(st.text(min_size=1), min_size=3, max_size=12)


@given(WORDS, st.data())
def test_a_piece_said_twice_is_doubled_and_a_piece_left_out_is_lost(words: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words) - 1))
    whole = "".join(words)
    assert difference(whole, whole) == ""
    assert difference(whole, "".join(words[: at + 1] + words[at:])) == "doubled"
    assert difference(whole, "".join(words[:at] + words[at + 1 :])) == "lost"


@given(WORDS)
def test_pieces_in_another_order_are_reordered(words: list[str]) -> None:
    other = [words[1], words[0], *words[2:]]
    assume("".join(other) != "".join(words))
    assert difference("".join(words), "".join(other)) == "reordered"


def test_a_stream_that_goes_on_differently_once_is_no_fault_but_twice_the_same_is() -> None:
    wholes, other = ["one two three"] * 4, "one two four"
    with pytest.raises(NotAsked, match="among themselves"):
        same(wholes, [other, wholes[0]])
    with pytest.raises(Failed, match="another one"):
        same(wholes, [other, other])
    with pytest.raises(Failed, match="lost"):
        same(wholes, ["one three", wholes[0]])
    with pytest.raises(NotAsked, match="not comparable"):
        same(["one", "two"], ["one", "one"])


def test_a_short_word_said_twice_is_not_a_repeated_text() -> None:
    assert not_repeated(["ha", "ha"])
    with pytest.raises(Failed, match="repeats"):
        not_repeated(["Hello ", "world", ".", "Hello world."])
