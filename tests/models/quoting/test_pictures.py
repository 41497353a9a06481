"""Pictures that a model copied out of a document, on their way to the reader."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from models.quoting.pictures import Disarmer, disarmed

MARKDOWN = MarkdownIt("commonmark")


def loads(text: str) -> bool:
    """Whether a client that renders Markdown and HTML would fetch something."""
    return re.search(r"<(img|source|iframe)\b", MARKDOWN.render(text), re.IGNORECASE) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("![x](https://t.example/p?q=1) rest", "x (https://t.example/p?q=1) rest"),
        ("![](https://t.example/p)", "https://t.example/p"),
        ('![x](<https://t.example/p> "title")', "x (https://t.example/p)"),
        ("![a [b]](https://t.example)", "! [a [b]](https://t.example)"),
        ("![a][b]\n\n[b]: https://t.example", "! [a][b]\n\n[b]: https://t.example"),
        ("[![b](https://t.example/b)](https://t.example)", "[b (https://t.example/b)](https://t.example)"),
        ("<img src='https://t.example'> <IMG/src=x> <image>", "‹img src='https://t.example'> ‹IMG/src=x> ‹image>"),
        ("![<img src=x>](https://t.example)", "‹img src=x> (https://t.example)"),
        ("a < b, Hello! <b>x</b> [a link](https://a.example) <imgx>", None),
        ("vec![1, 2]", "vec! [1, 2]"),
        (
            "```md\n![x](https://t.example)\n```\n![y](https://t.example)",
            "```md\n![x](https://t.example)\n```\ny (https://t.example)",
        ),
    ],
)
def test_a_picture_is_its_text_and_its_address(text: str, said: str | None) -> None:
    assert disarmed(text) == (text if said is None else said)
    assert not loads(disarmed(text))


def test_ordinary_text_is_not_held() -> None:
    disarmer = Disarmer()
    assert disarmer.feed("It is [1] so.") == "It is [1] so."
    assert disarmer.feed("Yes!") == "Yes"
    assert disarmer.feed(" ![pic") == "! "
    assert disarmer.feed("](https://t.example") == ""
    assert disarmer.feed(").") == "pic (https://t.example)."
    assert disarmer.feed("a <") == "a "
    assert disarmer.finish() == "<"


PIECES = st.lists(
    st.sampled_from(
        [
            "![",
            "!",
            "[",
            "](",
            "]",
            "(",
            ")",
            "https://t.example/x",
            "x",
            " ",
            "\n",
            "\n\n",
            "```",
            "```\n",
            "~~~\n",
            "````\n",
            "    ",
            "<img src=x>",
            "<div>",
            "<",
            "`",
            "> ",
            "- ",
            "\\",
            '"',
            "![x](https://t.example)",
            "[x]: https://t.example\n",
            "가",
            "\r",
            "\t",
        ]
    ),
    max_size=14,
)


@given(PIECES, st.lists(st.integers(0, 80), max_size=6))
def test_nothing_is_fetched_however_it_is_written_and_cut(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    disarmer = Disarmer()
    said = "".join(disarmer.feed(text[a:b]) for a, b in pairwise(bounds)) + disarmer.finish()
    assert said == disarmed(text)
    assert not loads(said), said
