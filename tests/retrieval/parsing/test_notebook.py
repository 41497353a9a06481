import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from tests.retrieval.parsing.sound import read_or_refused


def cell(kind: str, source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, **more}


def test_cells_are_headings_paragraphs_and_code() -> None:
    outputs = [{"output_type": "stream", "text": ["3\n"]}, {"data": {"text/plain": "4", "image/png": "AAAA"}}]
    cells = [
        cell("markdown", ["# 제목\n", "\n", "First line\n", "second.\n", "```\n", "x = 1\n", "```\n"]),
        cell("code", "print(1 + 2)", outputs=outputs),
        cell("raw", "raw text"),
    ]
    (document,) = parse(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}).encode(), "a.ipynb")
    assert document.title == "제목"
    assert document.text == "# 제목\n\nFirst line\nsecond.\n\nx = 1\n\nprint(1 + 2)\n\n3\n\n4\n\nraw text"
    assert [block.kind for block in document.blocks] == ["heading", "prose", "code", "code", "code", "code", "prose"]
    assert all(document.text[block.start : block.end].strip() for block in document.blocks)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"cells": 3}', b'{"cells": [1]}'])
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        parse(content, "a.ipynb")
    assert refused.value.code == "invalid_file"


_JSON = st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from(["source", "outputs", "data", "text", "text/plain", "level"]), x, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["markdown", "code", "heading", "raw", ""]), _JSON), max_size=4))
def test_any_cells_are_read_or_refused(cells: list[tuple[str, Any]]) -> None:
    made = [{"cell_type": kind} | (more if isinstance(more, dict) else {"source": more}) for kind, more in cells]
    read_or_refused(json.dumps({"cells": made}).encode(), "a.ipynb")
