"""Bytes to text: UTF-8, UTF-16 and UTF-32 by their marks, then the Korean code page of Windows, or a refusal."""

import codecs
import re
from pathlib import PurePath

from retrieval.characters import one_line, same, visible
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import within

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
_UNPRINTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Colours of a terminal's log, and its titles and links; of a sequence that has no end, its beginning alone.
_ESCAPE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\\\))?")
_CONTROL_SHARE = 0.005  # a stray control character is dirt, one in two hundred is a binary
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{2,40})", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes at the head of an HTML file
_SAMPLE_BYTES = 100_000  # that charset-normalizer looks at
_CHAOS, _NO_CHAOS, _COHERENCE, _SHORT = 0.15, 0.05, 0.1, 64
_KOREAN_BYTES = 1.8, 2.6
# Those that texts of our readers come in; of more than these charset-normalizer likes rare ones as well as common ones.
_WITHOUT_SPACES = ("cp932", "euc_jp", "gb18030", "big5")
_CODE_PAGES = [*_WITHOUT_SPACES, "cp1252", "cp1251"]
_NEWLINE = re.compile("\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(content: bytes, *, declared: bool = False, lines: bool = True, most: int | None = None) -> str:
    """Text of a file, cleaned as `clean` does. declared: believe `charset=` at its head (HTML) where it is not UTF-8.

    lines: as of `clean`. most: characters. Raises ParseError too_large, invalid_file: a binary, an encoding that is
    unknown or broken.
    """
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            raise ParseError("invalid_file", f"it is not text: its content is a {kind}")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _checked(_strict(memoryview(content)[len(mark) :], encoding), lines, most)
    if b"\x00" in content:
        raise ParseError("invalid_file", "it is not text: it holds NUL bytes")
    candidates = ["utf-8", *([_declared(content)] if declared else []), "cp949"]
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if encoding != "cp949" or _is_korean(text):
            return _checked(text, lines, most)
    if (guessed := _guessed(content)) is not None:
        return _checked(guessed, lines, most)
    _strict(content, "utf-8")
    raise AssertionError("unreachable: UTF-8 has failed before")


def clean(text: str, *, lines: bool = True) -> str:
    """NFC, newlines as \\n, nothing invisible, lone surrogates and control characters made harmless.

    All of it before anything is stored or counted: offsets are those of this text. lines: False where they are rows.
    """
    text = _NEWLINE.sub("\n", text)
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    if not text.isascii():
        composed = same(text)
        text = visible(composed, lines=lines)
        if text != composed:
            text = same(text)  # what stood between two halves of a letter has gone
        text = _SURROGATE.sub("?", text)
    return _UNPRINTED.sub(" ", text)


def titled(filename: str) -> str:
    """What a file without a title is called: its name without its ending, on one line."""
    return one_line(same(PurePath(filename).stem))


def _strict(content: bytes | memoryview, encoding: str) -> str:
    try:
        return str(content, encoding)
    except UnicodeDecodeError as error:
        message = (
            f"it is neither UTF-8, UTF-16 nor CP949 text: byte {error.start} cannot be read as {encoding}; "
            "save it as UTF-8 and send it again"
        )
        raise ParseError("invalid_file", message) from None


def _is_korean(text: str) -> bool:
    """CP949 takes nearly any bytes; other code pages give syllables in it that no Korean writes, outside KS X 1001."""
    others = "".join(sign for sign in text[:_SAMPLE_BYTES] if not sign.isascii())
    # Two bytes a sign; one outside takes eight, and none where it is of another script.
    return _KOREAN_BYTES[0] * len(others) <= len(others.encode("euc_kr", "ignore")) <= _KOREAN_BYTES[1] * len(others)


def _guessed(content: bytes) -> str | None:
    """Text of another country's code page, where it reads like a language; None where nothing is likely."""
    from charset_normalizer import from_bytes

    if len(content) < _SHORT:
        return None
    sample = from_bytes(content[:_SAMPLE_BYTES], cp_isolation=_CODE_PAGES, threshold=_CHAOS).best()
    # Of languages without spaces it knows no coherence, and their encodings forgive no error.
    if sample is None:
        return None
    sure = sample.chaos < _NO_CHAOS and sample.encoding in _WITHOUT_SPACES
    if not sure and sample.coherence < _COHERENCE:
        return None
    try:
        return content.decode(sample.encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _declared(content: bytes) -> str:
    found = _CHARSET.search(content, 0, _CHARSET_WITHIN)
    return found.group(1).decode("ascii") if found else "cp949"


def _checked(text: str, lines: bool, most: int | None) -> str:
    if most is not None:
        within(most, len(text), "characters of text")
    sample = text[:100_000]
    if len(_CONTROL.findall(sample)) > max(2, _CONTROL_SHARE * len(sample)):
        raise ParseError("invalid_file", "it is not text: it is full of control characters")
    return clean(text, lines=lines)
