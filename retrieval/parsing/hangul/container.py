"""What a Hangul file is packed in, unpacked with every byte counted before hwp2markdown sees it.

That library inflates without a limit, accepts a DTD in hwpx, and reads pictures that nobody asks for.
"""

import html
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO

import olefile
from hwp2md.errors import Hwp2mdError
from hwp2md.hwp5.distdoc import decrypt_view_text

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits
from retrieval.parsing.base.safe import Archive, not_a_bomb, refuse_dtd

_SIGNATURE = b"HWP Document File"
_OLD = b"HWP Document File V3"
_COMPRESSED, _PASSWORD, _DISTRIBUTION, _DRM = 0x1, 0x2, 0x4, 0x410
_MOST_SECTIONS = 10_000
_CHUNK = 1 << 20
_RATIO = 50  # of records to their packed bytes
_XML = re.compile(r"(?:Contents/(?:section\d+|header)\.xml|Contents/content\.hpf|mimetype|Chart/.*)\Z")
_SECTION = re.compile(r"Contents/section\d+\.xml\Z")
_TITLE = 2  # of the property set of OLE
_LOCKED = "it opens with a password alone, or is locked by DRM: save it without and send it again"


@dataclass(frozen=True, slots=True)
class Streams:
    """Of hwp 5.0, inflated."""

    document: bytes
    sections: list[bytes]
    title: str


def streams(content: bytes, limits: Limits) -> Streams:
    """Raises ParseError encrypted_file, invalid_file, too_large."""
    try:
        with olefile.OleFileIO(BytesIO(content)) as ole:
            return _streams(ole, Budget(limits.inflated, "bytes once it is unpacked"))
    except ParseError:
        raise
    except Exception as error:
        raise ParseError("invalid_file", f"it is damaged: {str(error)[:200] or type(error).__name__}") from None


def _streams(ole: olefile.OleFileIO, budget: Budget) -> Streams:
    header = _stream(ole, "FileHeader", budget)
    if not header.startswith(_SIGNATURE) or len(header) < 40:
        raise ParseError("invalid_file", "it is no Hangul document, though its name says so")
    flags = struct.unpack_from("<I", header, 36)[0]
    if flags & (_PASSWORD | _DRM):
        raise ParseError("encrypted_file", _LOCKED)
    packed, sealed = bool(flags & _COMPRESSED), bool(flags & _DISTRIBUTION)
    document = _inflated(_stream(ole, "DocInfo", budget), budget) if packed else _stream(ole, "DocInfo", budget)
    folder = "ViewText" if sealed else "BodyText"
    sections: list[bytes] = []
    while len(sections) < _MOST_SECTIONS and ole.exists(name := f"{folder}/Section{len(sections)}"):
        data = _stream(ole, name, budget)
        try:
            data = decrypt_view_text(data) if sealed else data
        except Hwp2mdError as error:
            raise ParseError("invalid_file", f"its text cannot be deciphered: {error}") from None
        sections.append(_inflated(data, budget) if packed else data)
    if not sections:
        raise ParseError("invalid_file", "it is damaged: it has no section of text")
    return Streams(document, sections, _title(ole))


def _stream(ole: olefile.OleFileIO, name: str, budget: Budget) -> bytes:
    if not ole.exists(name):
        raise ParseError("invalid_file", f"it is damaged: its part {name!r} is missing")
    budget.take(ole.get_size(name))
    return bytes(ole.openstream(name).read())


def _inflated(data: bytes, budget: Budget) -> bytes:
    """Raises ParseError too_large as soon as there is too much of it; what a truncated stream gives before its end."""
    inflater = zlib.decompressobj(-15)
    parts: list[bytes] = []
    packed, size = len(data), 0
    while data and not inflater.eof:
        part = inflater.decompress(data, _CHUNK)
        budget.take(len(part))
        size += len(part)
        not_a_bomb(packed, size, "a part of it", _RATIO)
        parts.append(part)
        data = inflater.unconsumed_tail
    return b"".join(parts)


def _title(ole: olefile.OleFileIO) -> str:
    try:
        found = ole.getproperties("\x05HwpSummaryInformation", convert_time=False).get(_TITLE)
    except Exception:
        return ""
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found or "")
    return text.partition("\0")[0]


def package(content: bytes, limits: Limits) -> tuple[bytes, list[bytes], str]:
    """Of hwpx: an archive of its text alone, its sections, its title. Raises ParseError."""
    archive = Archive(content, limits)
    manifest = "META-INF/manifest.xml"
    if manifest in archive and b"encryption-data" in archive.read(manifest):
        raise ParseError("encrypted_file", _LOCKED)
    names = [name for name in archive.names if _XML.match(name)]
    if "Contents/section0.xml" not in names:
        raise ParseError("invalid_file", "it is no Hangul document, or damaged: it has no section of text")
    kept, sections, title = BytesIO(), [], ""
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as copy:
        for name in names:
            data = archive.read(name)
            refuse_dtd(data)
            copy.writestr(zipfile.ZipInfo(name), data)
            if _SECTION.match(name):
                sections.append(data)
            if name.endswith(".hpf") and (found := re.search(rb"<opf:title>([^<]{1,1000})</opf:title>", data)):
                title = _unescaped(found[1])
    return kept.getvalue(), sections, title


def markup(content: bytes) -> str:
    """Of HWPML: its title. Raises ParseError invalid_file where it declares a DTD."""
    refuse_dtd(content)
    found = re.search(rb"<TITLE>([^<]{1,1000})</TITLE>", content)
    return _unescaped(found[1]) if found else ""


def refuse_old(content: bytes) -> None:
    """Raises ParseError unsupported_file for Hangul 3.0 and before."""
    if content.startswith(_OLD):
        raise ParseError("unsupported_file", "it is of Hangul 3 or before: save it as hwpx and send it again")


def _unescaped(text: bytes) -> str:
    return html.unescape(text.decode("utf-8", "replace"))
