"""Thoughts kept out of answers, however their tags are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Sampling
from models.wire.thinking import ThinkSplitter, asks_to_think, qwen3_sampling, thinking_budget, thinking_of

PIECES = st.sampled_from(["<think>", "</think>", "<", "</", "think>", "<thi", "\n", " ", "a", "<b>", "답"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def split(parts: list[str], *, opened: bool = False) -> tuple[str, str]:
    splitter = ThinkSplitter(opened=opened)
    got = [*(splitter.feed(part) for part in parts), splitter.last()]
    return "".join(thoughts for thoughts, _ in got), "".join(answer for _, answer in got)


@given(TEXTS, st.lists(st.integers(0, 60)), st.booleans())
def test_any_cutting_gives_the_same_thoughts_and_answer(text: str, cuts: list[int], opened: bool) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    parts = [text[start:end] for start, end in pairwise(places)]
    assert split(parts, opened=opened) == split([text], opened=opened) == split(list(text), opened=opened)


@given(TEXTS)
def test_nothing_is_lost_but_the_tags_and_the_space_around_them(text: str) -> None:
    start = text.lstrip()
    if start.startswith("<think>"):
        thoughts, _, answer = start.removeprefix("<think>").partition("</think>")
        assert split([text]) == (thoughts, answer.lstrip())
    else:
        assert split([text]) == ("", text)


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>\nHm.\n</think>\n\nSeoul [1].", False, ("\nHm.\n", "Seoul [1].")),
        ("\n<think></think>Seoul", False, ("", "Seoul")),
        ("Hm.</think>Seoul", True, ("Hm.", "Seoul")),
        ("<think>Hm.</think>Seoul", True, ("Hm.", "Seoul")),
        ("Write `<think>` and `</think>` around it.", False, ("", "Write `<think>` and `</think>` around it.")),
        ("<think>a</think>Use <think>b</think> so.", False, ("a", "Use <think>b</think> so.")),
        ("<thing> is no tag", False, ("", "<thing> is no tag")),
        ("<thi", False, ("", "<thi")),
        ("<think>cut off </thi", False, ("cut off </thi", "")),
    ],
)
def test_only_a_block_at_the_beginning_is_thought(text: str, opened: bool, expected: tuple[str, str]) -> None:
    assert split([text], opened=opened) == expected


def test_text_of_an_engine_that_sends_thoughts_apart_is_the_answer() -> None:
    splitter = ThinkSplitter(opened=True)
    splitter.separated()
    assert splitter.feed("<think> is a tag") == ("", "<think> is a tag")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Qwen/Qwen3-32B-FP8", "switch"),
        ("qwen3-32b", "switch"),
        ("Qwen3-30B-A3B-Thinking-2507", "always"),
        ("Qwen3-30B-A3B-Instruct-2507", "unknown"),
        ("Qwen3-Coder-30B", "unknown"),
        ("QwQ-32B", "always"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "always"),
        ("gpt-4o", "unknown"),
    ],
)
def test_the_name_says_who_thinks(model: str, expected: str) -> None:
    assert thinking_of(model) == expected


@pytest.mark.parametrize(("effort", "thinks"), [(None, False), ("none", False), ("minimal", True), ("high", True)])
def test_an_effort_turns_thinking_on(effort: str | None, thinks: bool) -> None:
    sampling = Sampling(extra={"reasoning_effort": effort} if effort else {})
    assert asks_to_think(sampling) is thinks
    assert qwen3_sampling(sampling)["temperature"] == (0.6 if thinks else 0.7)
    assert ("thinking_token_budget" in qwen3_sampling(sampling)) is thinks
    assert (thinking_budget(effort) > 0) is thinks


def test_thinking_leaves_a_quarter_of_the_tokens_for_the_answer() -> None:
    fields = qwen3_sampling(Sampling(max_tokens=400, extra={"reasoning_effort": "high"}))
    assert fields["thinking_token_budget"] == 300
    assert fields["top_p"] == 0.95
    low = qwen3_sampling(Sampling(max_tokens=9000, extra={"reasoning_effort": "low"}))
    assert low["thinking_token_budget"] == 1024
