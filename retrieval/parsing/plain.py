"""Plain text: kept as it is; form feeds, where pdftotext and others leave them, count pages."""

from retrieval.parsing.base.encoding import decode, titled
from retrieval.parsing.base.limits import Limits, within
from retrieval.types import ParsedDocument, Section


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    text = decode(content, most=limits.characters)
    within(limits.pages, text.count("\f") + 1, "pages")
    return [ParsedDocument(text=text, title=titled(filename), sections=_pages(text))]


def _pages(text: str) -> tuple[Section, ...]:
    if "\f" not in text:
        return ()
    sections = [Section(start=0, page=1)]
    position = text.find("\f")
    while position >= 0:
        sections.append(Section(start=position + 1, page=len(sections) + 1))
        position = text.find("\f", position + 1)
    return tuple(sections)
