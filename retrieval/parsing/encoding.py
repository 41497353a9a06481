"""Bytes to text: UTF-8, UTF-16 and UTF-32 by their marks, then the Korean code page of Windows, or a refusal."""

import codecs
import re
import unicodedata

from retrieval.parsing.errors import ParseError
from retrieval.parsing.limits import within

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP archive or Office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old or encrypted Office document, or HWP"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"\x1f\x8b", "gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"\x7fELF", "program"),
    (b"SQLite format 3\x00", "SQLite database"),
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CONTROL_SHARE = 0.005  # a stray control character is dirt, one in two hundred is a binary
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{2,40})", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes at the head of an HTML file
_NEWLINE = re.compile("\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(content: bytes, filename: str, *, declared: bool = False, most: int | None = None) -> str:
    """Text of a file, cleaned as `clean` does. declared: believe `charset=` at its head (HTML) where it is not UTF-8.

    most: characters. Raises ParseError invalid_file for binaries and for unknown or broken encodings, too_large.
    """
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            raise ParseError("invalid_file", f"{filename} is not text: its content is a {kind}")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _checked(_strict(memoryview(content)[len(mark) :], encoding, filename), filename, most)
    if b"\x00" in content:
        raise ParseError("invalid_file", f"{filename} is not text: it holds NUL bytes")
    candidates = ["utf-8", *([_declared(content)] if declared else []), "cp949"]
    for encoding in candidates:
        try:
            return _checked(content.decode(encoding), filename, most)
        except (UnicodeDecodeError, LookupError):
            continue
    _strict(content, "utf-8", filename)
    raise AssertionError("unreachable: UTF-8 has failed before")


def clean(text: str) -> str:
    """NFC, newlines as \\n, no byte order mark, lone surrogates and control characters made harmless."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.removeprefix("\ufeff"))
        text = _SURROGATE.sub("?", text)
    return _CONTROL.sub(" ", _NEWLINE.sub("\n", text))


def _strict(content: bytes | memoryview, encoding: str, filename: str) -> str:
    try:
        return str(content, encoding)
    except UnicodeDecodeError as error:
        message = (
            f"{filename} is neither UTF-8, UTF-16 nor CP949 text: byte {error.start} cannot be read as {encoding}; "
            "save it as UTF-8 and send it again"
        )
        raise ParseError("invalid_file", message) from None


def _declared(content: bytes) -> str:
    found = _CHARSET.search(content, 0, _CHARSET_WITHIN)
    return found.group(1).decode("ascii") if found else "cp949"


def _checked(text: str, filename: str, most: int | None) -> str:
    if most is not None:
        within(most, len(text), filename, "characters of text")
    sample = text[:100_000]
    if len(_CONTROL.findall(sample)) > max(2, _CONTROL_SHARE * len(sample)):
        raise ParseError("invalid_file", f"{filename} is not text: it is full of control characters")
    return clean(text)
