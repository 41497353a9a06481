"""What a file's first bytes and parts say it is, whatever its name: names lie, and these formats cannot be mistaken.

Text families (Markdown, CSV, source code …) look alike: of them nothing is said here.
"""

import re
from io import BytesIO

import olefile

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.safe import Archive

_HEAD = 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HWP = b"HWP Document File"
_OOXML = {
    "word/document.xml": "Word",
    "ppt/presentation.xml": "PowerPoint",
    "xl/workbook.xml": "Excel",
    "xl/workbook.bin": "Excel binary",
}
_MIMETYPES = {
    "application/epub+zip": "EPUB",
    "application/hwp+zip": "Hangul",
    "application/vnd.oasis.opendocument.text": "OpenDocument",
    "application/vnd.oasis.opendocument.text-template": "OpenDocument",
    "application/vnd.oasis.opendocument.presentation": "OpenDocument",
    "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument",
}
# What is recognised and not read, and what its owner can do.
_REFUSED = (
    (b"\x89PNG\r\n", "a PNG image: put it into a PDF, whose text is recognised where that is switched on"),
    (b"\xff\xd8\xff", "a JPEG image: put it into a PDF, whose text is recognised where that is switched on"),
    (b"GIF8", "a GIF image: put it into a PDF, whose text is recognised where that is switched on"),
    (b"II*\x00", "a TIFF image: put it into a PDF, whose text is recognised where that is switched on"),
    (b"MM\x00*", "a TIFF image: put it into a PDF, whose text is recognised where that is switched on"),
    (b"\x1f\x8b", "a gzip archive: unpack it, or pack a zip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it, or pack a zip"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it, or pack a zip"),
    (b"\xfd7zXZ", "an xz archive: unpack it, or pack a zip"),
    (b"BZh", "a bzip2 archive: unpack it, or pack a zip"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\x00", "an SQLite database: export its tables as CSV"),
    (b"\x80\x04\x95", "a pickle, which may run whatever it holds: convert it to JSON lines"),
    (b"\x80\x03}", "a pickle, which may run whatever it holds: convert it to JSON lines"),
    (b"PAR1", "a Parquet file: export it as CSV"),
)
_ENCRYPTED = "it opens with a password alone: save it without one and send it again"
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|html|head|body|table)\b", re.I | re.S)


def kind(content: bytes, limits: Limits) -> str | None:
    """The name of the format (retrieval.parsing.formats) that the content is of; None where its name is to say.

    Raises ParseError encrypted_file, unsupported_file (with what to do), invalid_file for a damaged container.
    """
    head = content[:_HEAD]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _of_zip(content, limits)
    if head.startswith(_OLE):
        return _of_ole(content)
    if b"%PDF-" in head:  # after what stands at the very beginning: an archive may hold a PDF as it is
        return "PDF"
    if head.startswith(_HWP):
        raise ParseError("unsupported_file", "it is a document of Hangul 2.1 or 3: save it as HWPX and send it again")
    if head.lstrip().startswith(b"{\\rtf"):
        return "RTF"
    if b"<HWPML" in head or "<HWPML".encode("utf-16-le") in head:
        return "Hangul"
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise ParseError("unsupported_file", f"its content is {what}")
    return None


def is_html(content: bytes) -> bool:
    return _HTML.match(content[:_HEAD].removeprefix(b"\xef\xbb\xbf")) is not None


def _of_zip(content: bytes, limits: Limits) -> str:
    archive = Archive(content, limits)
    if "mimetype" in archive:
        named = archive.read("mimetype").decode("ascii", "replace").strip()
        if named in _MIMETYPES:
            return _MIMETYPES[named]
    found = next((name for part, name in _OOXML.items() if part in archive), None)
    if found is None and "[Content_Types].xml" in archive:
        types = archive.read("[Content_Types].xml")
        mains = ((b"wordprocessingml", "Word"), (b"presentationml", "PowerPoint"), (b"spreadsheetml", "Excel"))
        found = next((name for mark, name in mains if mark + b".document.main" in types or mark in types), None)
    if found == "Excel binary":
        raise ParseError("unsupported_file", "it is a binary workbook (xlsb): save it as xlsx and send it again")
    if found is None and "Contents/content.hpf" in archive:
        return "Hangul"
    return found or "zip"


def _of_ole(content: bytes) -> str:
    try:
        with olefile.OleFileIO(BytesIO(content)) as file:
            streams = {"/".join(path) for path in file.listdir()}
    except (OSError, ValueError, IndexError, TypeError, MemoryError, RecursionError) as error:
        raise ParseError("invalid_file", f"it is a damaged Office document or HWP: {error}") from None
    if "EncryptedPackage" in streams:
        raise ParseError("encrypted_file", _ENCRYPTED)
    if "WordDocument" in streams:
        raise ParseError("unsupported_file", "it is a document of Word 97 (doc): save it as docx and send it again")
    if "PowerPoint Document" in streams:
        raise ParseError("unsupported_file", "it is slides of PowerPoint 97 (ppt): save them as pptx and send it again")
    if "FileHeader" in streams:
        return "Hangul"
    if "__properties_version1.0" in streams:
        return "Outlook mail"
    if streams & {"Workbook", "Book"}:
        return "Excel 97"
    raise ParseError("unsupported_file", "it is an OLE file without a document that is known")
