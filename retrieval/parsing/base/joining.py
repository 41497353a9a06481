"""Several documents to one that holds them in turn, an empty line between them."""

from collections.abc import Sequence
from dataclasses import replace

from retrieval.types import ParsedDocument, Section

_BETWEEN = "\n\n"


def joined(documents: Sequence[ParsedDocument], *, title: str = "", headings: Sequence[str] = ()) -> ParsedDocument:
    """Offsets are moved with the text; all else but `title` is the first one's, warnings are of all.

    headings: of each document, "" for none: the section that all of it stands in. Raises ValueError without documents.
    """
    texts: list[str] = []
    sections: list[Section] = []
    blocks, regions = [], []
    at = 0
    for number, document in enumerate(documents):
        above = tuple(name for name in headings[number : number + 1] if name)
        if (above or sections) and (not document.sections or document.sections[0].start > 0):
            sections.append(Section(at, above))
        for section in document.sections:
            own = section.headings[1:] if above and section.headings[:1] == above else section.headings
            sections.append(replace(section, start=section.start + at, headings=above + own))
        blocks += [replace(block, start=block.start + at, end=block.end + at) for block in document.blocks]
        regions += [replace(region, start=region.start + at, end=region.end + at) for region in document.regions]
        texts.append(document.text)
        at += len(document.text) + len(_BETWEEN)
    first = documents[0]
    return replace(
        first,
        text=_BETWEEN.join(texts),
        title=title or first.title,
        sections=tuple(sections),
        blocks=tuple(blocks),
        regions=tuple(regions),
        warning="; ".join(dict.fromkeys(document.warning for document in documents if document.warning)),
    )
