import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from tests.retrieval.parsing.sound import read_or_refused


def test_code_pages_and_unicode_are_read_as_paragraphs() -> None:
    korean = "".join(f"\\'{byte:02x}" for byte in "한글".encode("cp949"))
    content = f"{{\\rtf1\\ansi\\ansicpg949{{\\info{{\\title My title}}}}First {korean}.\\par Second \\u44032?.\\par}}"
    (document,) = parse(content.encode(), "a.rtf")
    assert (document.title, document.text) == ("My title", "First 한글.\n\nSecond 가.")


def test_deep_groups_are_refused() -> None:
    with pytest.raises(ParseError, match="deep"):
        parse(b"{\\rtf1 " + b"{" * 5000 + b"x" + b"}" * 5000 + b"}", "a.rtf")


@settings(max_examples=150, deadline=None)
@given(st.text("{}\\'0af u4par \n가", max_size=120))
def test_anything_is_read_or_refused(body: str) -> None:
    read_or_refused(b"{\\rtf1" + body.encode(), "a.rtf")
