"""A mail as a document: who wrote to whom, when, of what; then what was written."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retrieval.parsing.base.building import Builder
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.joining import joined
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.nesting import Nesting, Whole, warned
from retrieval.types import ParsedDocument

_MOST = 512  # characters of an attribute
File = tuple[str, bytes, str]  # name, content, media type


def letter(
    headers: Mapping[str, str],
    body: tuple[str, bool],
    files: Sequence[File],
    filename: str,
    limits: Limits,
    nesting: Nesting,
) -> list[ParsedDocument]:
    """headers: by their English names, in reading order. body: text, and whether that is HTML. files: attached.

    The mail first, then the documents of its attachments. Raises ParseError where there is nothing to read.
    """
    head = Builder(limits)
    head.paragraph("\n".join(f"{name}: {value}" for name, value in headers.items() if value))
    title = headers.get("Subject", "")
    text, html = body
    documents: list[ParsedDocument] = []
    warnings: list[str] = []
    if html and text.strip():
        try:
            (read, *_) = nesting.member(text.encode(), "body.html", "text/html; charset=utf-8")
            above = head.build(filename, title)
            documents = [joined([above, replace(read, member="")], title=above.title)]
        except Whole:
            raise
        except ParseError as error:
            if error.code != "empty_file":
                warnings.append(f"its text could not be read: {error}")
    elif text.strip():
        head.paragraph(text)
    if not documents and not head.empty:
        documents = [head.build(filename, title)]
    attributes = {name.lower(): value[:_MOST] for name, value in headers.items() if value and name != "Subject"}
    documents = [replace(document, attributes=attributes) for document in documents]
    for name, content, media_type in files:
        try:
            documents += nesting.member(content, name, media_type)
        except Whole:
            raise
        except ParseError as error:
            warnings.append(f"{name}: {error}")
    return warned(documents, warnings)
