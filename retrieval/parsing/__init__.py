"""Files to text: bytes, a name and a media type in; documents with sections and attributes out.

Pure and picklable, so that the same call can run in a limited child process.

Door: itself.
Imports: nothing.
"""

import importlib

from retrieval.parsing.errors import ParseError
from retrieval.parsing.formats import detect
from retrieval.types import ParsedDocument

__all__ = ["MAX_CHARACTERS", "ParseError", "parse"]

MAX_CHARACTERS = 100_000_000  # of text out of one file, over all its documents


def parse(content: bytes, filename: str, media_type: str = "") -> list[ParsedDocument]:
    """The documents of one file: one, or one a row for CSV and JSONL; none of them empty. Raises ParseError."""
    format = detect(filename, media_type)
    if not content.strip():
        raise ParseError("empty_file", f"{filename} is empty")
    parser = importlib.import_module(format.module)
    documents = [document for document in parser.parse(content, filename) if document.text.strip()]
    if not documents:
        raise ParseError("empty_file", f"{filename} holds no text")
    characters = sum(len(document.text) for document in documents)
    if characters > MAX_CHARACTERS:
        message = f"{filename} holds {characters:,} characters of text; at most {MAX_CHARACTERS:,} are indexed"
        raise ParseError("too_large", message)
    return documents
