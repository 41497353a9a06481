"""What holds of every document, whatever its file: blocks and regions ascend, lie in the text, and show something."""

from collections.abc import Iterable

import pytest

from retrieval.parsing import ParseError, parse
from retrieval.types import ParsedDocument


def sound(documents: Iterable[ParsedDocument]) -> None:
    for document in documents:
        for marks in (document.blocks, document.regions):
            end = 0
            for mark in marks:
                assert end <= mark.start < mark.end <= len(document.text)
                assert document.text[mark.start : mark.end].strip()
                end = mark.end
        assert all(len(region.edges) in (0, 16 * (region.end - region.start)) for region in document.regions)
        starts = [section.start for section in document.sections]
        assert starts == sorted(starts)
        assert all(start <= len(document.text) for start in starts)


def read_or_refused(content: bytes, filename: str, *codes: str) -> None:
    """Sound documents, at least one, or a ParseError with something to say; of these codes where some are named."""
    try:
        documents = parse(content, filename)
    except ParseError as error:
        assert str(error)  # noqa: PT017  either is right
        assert not codes or error.code in codes  # noqa: PT017
        return
    if not documents:
        pytest.fail("neither documents nor an error")
    sound(documents)
