"""Files to text: bytes, a name and a media type in; documents with sections and attributes out.

Pure and picklable, so that the same call can run in a limited child process; no setting of the process is touched.

Door: itself, formats.
Imports: retrieval.parsing.base, retrieval.parsing.cells, retrieval.parsing.containers, retrieval.parsing.hangul,
retrieval.parsing.office, retrieval.parsing.pdf, retrieval.parsing.sheets, retrieval.parsing.web.
"""

import importlib

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, within
from retrieval.parsing.base.nesting import Nesting, warned
from retrieval.parsing.base.recognition import Recognise
from retrieval.parsing.formats import detect
from retrieval.types import ParsedDocument

__all__ = ["Limits", "ParseError", "parse"]

_USUAL = Limits()


def parse(
    content: bytes,
    filename: str,
    media_type: str = "",
    limits: Limits = _USUAL,
    recognise: Recognise | None = None,
) -> list[ParsedDocument]:
    """The documents of one file: one, or one a row for CSV and JSONL, one a file inside it for archives and mail; none
    of them empty. recognise: for pictures of text, at any depth; None: there is no OCR. Raises ParseError.
    """
    return _read(content, filename, media_type, limits, Nesting.outermost(limits, _read, recognise))


def _read(content: bytes, filename: str, media_type: str, limits: Limits, nesting: Nesting) -> list[ParsedDocument]:
    if not content or content.isspace():
        raise ParseError("empty_file", "it is empty")
    within(limits.bytes, len(content), "bytes")
    format, told = detect(content, filename, media_type, limits)
    parser = importlib.import_module(format.module)
    more = (nesting,) if format.holds else (nesting.recognise,) if format.pictured else ()
    documents: list[ParsedDocument] = parser.parse(content, filename, limits, *more)
    kept = [document for document in documents if document.text and not document.text.isspace()]
    if not kept:
        raise ParseError("empty_file", "it holds no text")
    within(limits.characters, sum(len(document.text) for document in kept), "characters of text")
    return warned(kept, [told] if told else [])
