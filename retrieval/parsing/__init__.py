"""Files to text: bytes, a name and a media type in; documents with sections and attributes out.

Pure and picklable, so that the same call can run in a limited child process; no setting of the process is touched.

Door: itself.
Imports: nothing.
"""

import importlib

from retrieval.parsing.errors import ParseError
from retrieval.parsing.formats import detect
from retrieval.parsing.limits import Limits, within
from retrieval.types import ParsedDocument

__all__ = ["Limits", "ParseError", "parse"]

_USUAL = Limits()


def parse(content: bytes, filename: str, media_type: str = "", limits: Limits = _USUAL) -> list[ParsedDocument]:
    """The documents of one file: one, or one a row for CSV and JSONL; none of them empty. Raises ParseError."""
    format = detect(filename, media_type)
    if not content or content.isspace():
        raise ParseError("empty_file", f"{filename} is empty")
    within(limits.bytes, len(content), filename, "bytes")
    parser = importlib.import_module(format.module)
    documents: list[ParsedDocument] = parser.parse(content, filename, limits)
    kept = [document for document in documents if document.text and not document.text.isspace()]
    if not kept:
        raise ParseError("empty_file", f"{filename} holds no text")
    within(limits.characters, sum(len(document.text) for document in kept), filename, "characters of text")
    return kept
