"""Books (EPUB 2 and 3): the chapters of the spine, each read as HTML, under the names of its table of contents."""

import posixpath
from typing import Any
from urllib.parse import unquote

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.joining import joined
from retrieval.parsing.base.limits import Budget, Limits
from retrieval.parsing.base.safe import Archive, attribute, local, root
from retrieval.parsing.web import html
from retrieval.types import ParsedDocument

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
# Fonts may be garbled against copying, and are all that is then.
_OF_FONTS = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """A chapter that cannot be read is a warning. Raises ParseError."""
    archive = Archive(content, limits)
    _refuse_encrypted(archive)
    package = _package(archive)
    book = root(archive.read(package))
    folder = posixpath.dirname(package)
    items = {attribute(one, "id"): one for one in book.iter() if local(one) == "item"}
    title = next((one.text or "" for one in book.iter() if local(one) == "title"), "").strip()
    names = _contents(archive, folder, items)
    chapters: list[ParsedDocument] = []
    headings: list[str] = []
    warnings: list[str] = []
    characters = Budget(limits.characters, "characters of text")
    for reference in (one for one in book.iter() if local(one) == "itemref"):
        if (item := items.get(attribute(reference, "idref"))) is None or "nav" in attribute(item, "properties").split():
            continue
        part = _joined(folder, attribute(item, "href"))
        try:
            (chapter, *_) = html.parse(archive.read(part), posixpath.basename(part), limits)
        except ParseError as error:
            if error.code in ("too_large", "encrypted_file"):
                raise
            warnings.append(f"{part}: {error}")
            continue
        if chapter.text.strip():
            characters.take(len(chapter.text))
            chapters.append(chapter)
            headings.append("" if chapter.sections else names.get(part, ""))
    if not chapters:
        raise ParseError("empty_file", "the book holds no text" + "".join(f"; {one}" for one in warnings[:3]))
    whole = joined(chapters, title=title, headings=headings)
    return [
        ParsedDocument(
            whole.text, whole.title, sections=whole.sections, blocks=whole.blocks, warning="; ".join(warnings)
        )
    ]


def _refuse_encrypted(archive: Archive) -> None:
    if _ENCRYPTION not in archive:
        return
    methods = [one for one in root(archive.read(_ENCRYPTION)).iter() if local(one) == "EncryptionMethod"]
    if any(attribute(one, "Algorithm") not in _OF_FONTS for one in methods):
        raise ParseError("encrypted_file", "it is protected against copying: only its own reader can open it")


def _package(archive: Archive) -> str:
    found = (attribute(one, "full-path") for one in root(archive.read(_CONTAINER)).iter() if local(one) == "rootfile")
    return next((path for path in found if path), "")


def _contents(archive: Archive, folder: str, items: dict[str, Any]) -> dict[str, str]:
    """Part -> the name of the chapter that begins it; what cannot be read names nothing."""
    names: dict[str, str] = {}
    for item in items.values():
        if attribute(item, "media-type") == "application/x-dtbncx+xml":
            part = _joined(folder, attribute(item, "href"))
            try:
                ncx = root(archive.read(part))
            except ParseError:
                continue
            for point in (one for one in ncx.iter() if local(one) == "navPoint"):
                text = next((one.text or "" for one in point.iter() if local(one) == "text"), "")
                source = next((attribute(one, "src") for one in point.iter() if local(one) == "content"), "")
                names.setdefault(_joined(posixpath.dirname(part), source), " ".join(text.split()))
    return names


def _joined(folder: str, reference: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(reference.partition("#")[0])))
