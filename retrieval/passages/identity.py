"""What makes a document of a file the same document after a re-ingest."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from retrieval.types import IdentifiedDocument, ParsedDocument


def identify(store_id: str, filename: str, documents: Sequence[ParsedDocument]) -> list[IdentifiedDocument]:
    """A row is known by its own id, else by its content; a file's only document by the filename alone, an archive's
    member by its path.

    Equal keys are told apart by their order, so two equal rows, or rows with one id, stay two documents.
    """
    seen, members = Counter[str](), Counter(document.member for document in documents)
    identified = []
    for ordinal, document in enumerate(documents):
        parsed = storable(document)
        content = _content_hash(parsed)
        if parsed.external_id:
            key = f"id {parsed.external_id}" if not parsed.member else f"id {parsed.member} {parsed.external_id}"
        elif parsed.member and members[parsed.member] == 1:
            key = f"member {parsed.member}"
        else:
            key = f"content {content}" if len(documents) > 1 else "file"
        seen[key] += 1
        name = json.dumps([store_id, filename, key, seen[key]])
        document_id = f"doc_{hashlib.sha256(name.encode()).hexdigest()[:24]}"
        identified.append(IdentifiedDocument(document_id, content, ordinal, parsed))
    return identified


def storable(document: ParsedDocument) -> ParsedDocument:
    """Lone surrogates (JSON may smuggle them in) become question marks: no database takes them. Offsets stay."""
    return replace(
        document,
        text=_clean(document.text),
        title=_clean(document.title),
        external_id=_clean(document.external_id),
        url=_clean(document.url),
        attributes=_clean_attributes(document.attributes),
        sections=tuple(replace(s, headings=tuple(_clean(h) for h in s.headings)) for s in document.sections),
    )


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _clean_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {_clean(key): _clean(value) if isinstance(value, str) else value for key, value in attributes.items()}


def _content_hash(document: ParsedDocument) -> str:
    sections = [[section.start, section.headings, section.page] for section in document.sections]
    known = [document.external_id, document.title, document.url, document.text, document.attributes, sections]
    # What came later to documents is in the hash where they have it: those of before stay the same documents.
    if document.regions or document.member:
        edges = hashlib.sha256(b"".join(region.edges for region in document.regions)).hexdigest()
        places = [[*astuple(region)[:4], region.slide, region.sheet, region.cells] for region in document.regions]
        known += [places, edges, document.member]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
