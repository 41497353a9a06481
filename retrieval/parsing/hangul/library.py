"""hwp2markdown 0.1 (imported as hwp2md, pinned): its blocks to our pieces. No other module knows its blocks."""

from collections.abc import Iterable, Iterator, Sequence

import olefile
from hwp2md.blocks import Block, Image, Inline, Link, Math, Note, NoteRef, Paragraph, Table
from hwp2md.convert import read_blocks
from hwp2md.errors import DrmProtectedError, EncryptedDocumentError
from hwp2md.hwp5.body import ReadContext, parse_blocks
from hwp2md.hwp5.docinfo import parse_docinfo
from hwp2md.hwp5.reader import BinDataStore
from hwp2md.hwp5.records import decode_para_text, iter_records
from hwp2md.skips import SkipCounter, SkipKind

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.safe import elements, local
from retrieval.parsing.hangul.container import Streams, markup, package, refuse_old, streams
from retrieval.parsing.hangul.pieces import Piece, Reading

_ZIP, _OLE = b"PK\x03\x04", olefile.MAGIC
_CONTROL, _TEXT = 71, 67  # HWPTAG_CTRL_HEADER, HWPTAG_PARA_TEXT
_MARGINS = (b"daeh", b"toof")  # "head" and "foot", as their bytes stand
_MOST_MARGINS = 100
_LEFT_OUT: dict[SkipKind, str] = {
    "memo": "memos",
    "hidden_comment": "hidden comments",
    "chart_legacy": "charts without data",
    "ole": "embedded objects",
    "textart": "pieces of word art",
    "form_control": "form fields",
}


def read(content: bytes, limits: Limits) -> Reading:
    """Raises ParseError."""
    refuse_old(content)
    try:
        if content.startswith(_OLE):
            return _binary(streams(content, limits))
        if content.startswith(_ZIP):
            return _package(content, limits)
        title = markup(content)
        skips = SkipCounter()
        return _read(read_blocks(content, skips=skips), skips, title)
    except ParseError:
        raise
    except (EncryptedDocumentError, DrmProtectedError):
        raise ParseError("encrypted_file", "it opens with a password alone, or is locked by DRM") from None
    except RecursionError:
        raise ParseError("too_large", "its parts are nested too deep") from None
    except Exception as error:
        raise ParseError("invalid_file", f"it is damaged: {str(error)[:200] or type(error).__name__}") from None


def _binary(found: Streams) -> Reading:
    """hwp 5.0. A section that cannot be read is a warning, unless it is the only one."""
    skips = SkipCounter()
    context = ReadContext(skips)
    info = parse_docinfo(found.document)
    store = BinDataStore(info, {}, compressed=False, skips=None)
    blocks: list[Block] = []
    warnings: list[str] = []
    margins: list[str] = []
    for number, section in enumerate(found.sections, 1):
        try:
            blocks.extend(parse_blocks(iter_records(section), info, store, context))
            margins += _margins(section)
        except Exception as error:
            if len(found.sections) == 1:
                raise
            warnings.append(f"section {number} could not be read: {str(error)[:100]}")
    blocks.extend(context.note_blocks())
    if not blocks and warnings:
        raise ParseError("invalid_file", f"it is damaged: {warnings[0]}")
    reading = _read(blocks, skips, found.title, margins)
    reading.warnings = warnings
    return reading


def _margins(section: bytes) -> Iterator[str]:
    """Headers and footers of pages: the paragraphs below their control."""
    below = -1
    for record in iter_records(section):
        if below >= 0 and record.level > below:
            if record.tag_id == _TEXT:
                yield decode_para_text(record.payload)
            continue
        below = record.level if record.tag_id == _CONTROL and record.payload[:4] in _MARGINS else -1


def _package(content: bytes, limits: Limits) -> Reading:
    kept, sections, title = package(content, limits)
    skips = SkipCounter()
    blocks = read_blocks(kept, skips=skips)
    margins = [
        "\n".join("".join(t.itertext()) for t in each.iter() if local(t) == "t")
        for section in sections
        for each in elements(section, "header", "footer")
    ]
    return _read(blocks, skips, title, margins)


def _read(blocks: Sequence[Block], skips: SkipCounter, title: str, margins: Iterable[str] | None = None) -> Reading:
    """margins: headers and footers; None where they have not been looked for."""
    counts = dict(skips.items())
    left_out = [f"{counts[kind]} {name}" for kind, name in _LEFT_OUT.items() if counts.get(kind)]
    if margins is None and counts.get("header_footer"):
        left_out.append(f"{counts['header_footer']} headers or footers")
    own = dict.fromkeys(text.strip() for text in margins or () if any(map(str.isalpha, text)))
    pieces = [Piece("margin", text) for text in list(own)[:_MOST_MARGINS]]
    return Reading(title, [*_pieces(blocks), *pieces], left_out)


def _pieces(blocks: Sequence[Block]) -> Iterator[Piece]:
    """Footnotes follow the paragraph or table that refers to them."""
    notes = {(block.kind, block.number): block for block in blocks if isinstance(block, Note)}
    for block in blocks:
        if isinstance(block, Paragraph):
            yield _paragraph(block)
            inlines: Iterable[Inline] = block.inlines
        elif isinstance(block, Table):
            rows = [[_text(cell) for cell in row] for row in block.cells] if block.cells else block.rows
            yield Piece("table", rows=rows)
            inlines = (inline for row in block.cells for cell in row for inline in cell)
        else:
            continue
        for inline in inlines:
            if isinstance(inline, NoteRef) and (note := notes.pop((inline.kind, inline.number), None)):
                yield _note(note)
    yield from map(_note, notes.values())


def _paragraph(block: Paragraph) -> Piece:
    text = _text(block.inlines) if block.inlines else block.text
    if block.level > 0:
        return Piece("heading", text, block.level)
    if block.list_info is not None:
        return Piece("item", text, block.list_info.depth, block.list_info.label or "-")
    return Piece("paragraph", text)


def _note(note: Note) -> Piece:
    text = "\n".join(_text(each.inlines) if each.inlines else each.text for each in note.paragraphs)
    return Piece("footnote", f"{note.number}) {text}" if text.strip() else "")


def _text(inlines: Iterable[Inline]) -> str:
    """As a reader sees it: a link's words, an equation in LaTeX where it could be put so."""
    parts: list[str] = []
    for each in inlines:
        if isinstance(each, str):
            parts.append(each)
        elif isinstance(each, Link):
            parts.append(each.text)
        elif isinstance(each, Math):
            parts.append(f"${each.latex}$" if each.latex else each.script)
        elif not isinstance(each, Image):
            parts.append(f"({each.number})" if each.kind == "endnote" else f"[{each.number}]")
    return "".join(parts)
