"""A document whose personal data is masked, and how much of each kind that was; pure.

Each character becomes one sign, so that offsets, blocks and places stay as they are. The uploaded file is not touched.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from retrieval.privacy.patterns import Kind, found
from retrieval.types import Attributes, ParsedDocument

MASK = "●"
_NAMES: dict[Kind, str] = {
    "resident_number": "resident registration numbers",
    "card": "card numbers",
    "phone": "phone numbers",
    "email": "e-mail addresses",
    "account": "bank account numbers",
}


def mask(document: ParsedDocument, kinds: Sequence[Kind]) -> tuple[ParsedDocument, Counter[Kind]]:
    """Its text, and what was taken out of the file beside it: title, headings, attributes, address, tables' headers.

    Counted is what stands in its text and attributes: the rest repeats it.
    """
    if not kinds:
        return document, Counter()
    counts: Counter[Kind] = Counter()
    text = _masked(document.text, kinds, counts)
    attributes = _attributes(document.attributes, kinds, counts)
    if not counts and not found("\n".join((document.title, document.url, document.external_id)), kinds):
        return document, counts
    beside: Counter[Kind] = Counter()
    hidden = replace(
        document,
        text=text,
        attributes=attributes,
        title=_masked(document.title, kinds, beside),
        url=_masked(document.url, kinds, beside),
        external_id=_masked(document.external_id, kinds, beside),
        sections=tuple(
            replace(section, headings=tuple(_masked(heading, kinds, beside) for heading in section.headings))
            for section in document.sections
        ),
        blocks=tuple(
            replace(block, context=_masked(block.context, kinds, beside)) if block.context else block
            for block in document.blocks
        ),
    )
    return hidden, counts or beside


def mask_all(documents: Sequence[ParsedDocument], kinds: Sequence[Kind]) -> tuple[list[ParsedDocument], str]:
    """Those of one file, and what was masked in it, for its owner; "" where that is nothing."""
    counts: Counter[Kind] = Counter()
    masked = []
    for document in documents:
        hidden, own = mask(document, kinds)
        masked.append(hidden)
        counts += own
    return masked, told(counts)


def told(counts: Counter[Kind]) -> str:
    """For the file's owner."""
    parts = [f"{counts[kind]} {name}" for kind, name in _NAMES.items() if counts[kind]]
    return f"masked: {', '.join(parts)}" if parts else ""


def _masked(text: str, kinds: Sequence[Kind], counts: Counter[Kind]) -> str:
    """White space stays, as passages are cut at it."""
    parts, position = [], 0
    for start, end, kind in found(text, kinds):
        parts += [text[position:start], "".join(sign if sign.isspace() else MASK for sign in text[start:end])]
        position = end
        counts[kind] += 1
    return "".join(parts) + text[position:]


def _attributes(attributes: Attributes, kinds: Sequence[Kind], counts: Counter[Kind]) -> Attributes:
    """A number that is personal data is one as text."""
    hidden = {}
    for key, value in attributes.items():
        plain = f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
        masked = plain if isinstance(value, bool) else _masked(plain, kinds, counts)
        hidden[_masked(key, kinds, Counter())] = value if masked == plain else masked
    return hidden
