"""Mail as it travels (RFC 5322, MIME): headers, the text that a reader sees, attachments as documents of their own."""

from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from retrieval.parsing.base.encoding import decode
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.nesting import Nesting
from retrieval.parsing.containers.letter import File, letter
from retrieval.types import ParsedDocument

_MOST_FILES = 1000
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_BROKEN = (MessageError, ValueError, LookupError, TypeError, AttributeError, KeyError, RecursionError)


def parse(content: bytes, filename: str, limits: Limits, nesting: Nesting) -> list[ParsedDocument]:
    """Raises ParseError."""
    try:
        message: Any = BytesParser(policy=policy.default).parsebytes(content)
    except _BROKEN as error:
        raise ParseError("invalid_file", f"it is a damaged mail: {error}") from None
    headers = {name: _header(message, name) for name in _HEADERS}
    if not any(headers.values()):
        raise ParseError("invalid_file", "it is no mail: it has no sender, recipient, date or subject")
    body = _body(message)
    files = list(_files(message))
    return letter(headers, body, files, filename, limits, nesting)


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message[name]
        if name == "Date" and value is not None and getattr(value, "datetime", None) is not None:
            return str(value.datetime.isoformat())
        return " ".join(str(value).split()) if value is not None else ""
    except _BROKEN:
        return ""


def _body(message: EmailMessage) -> tuple[str, bool]:
    try:
        part = message.get_body(("plain", "html"))
    except _BROKEN:
        return "", False
    return ("", False) if part is None else (_text(part), part.get_content_type() == "text/html")


def _text(part: Any) -> str:
    """As its charset says, or else as text is read anywhere."""
    raw = part.get_payload(decode=True) or b""
    try:
        return str(raw.decode(part.get_content_charset() or "utf-8"))
    except (LookupError, UnicodeDecodeError):
        try:
            return decode(raw)
        except ParseError:
            return str(raw.decode("utf-8", "replace"))


def _files(message: EmailMessage) -> Iterator[File]:
    """Pictures that the text shows are no attachments."""
    for number, part in enumerate(_parts(message), 1):
        if number > _MOST_FILES:
            raise ParseError("too_large", f"it has more than {_MOST_FILES:,} attachments: divide it")
        kind = part.get_content_type()
        if kind.startswith("image/") and (part.get_content_disposition() != "attachment" or part.get("Content-ID")):
            continue
        name = _name(part) or (f"attachment {number}" if kind != "message/rfc822" else f"mail {number}.eml")
        yield name, _content(part), kind


def _parts(message: EmailMessage) -> list[Any]:
    """Of a mail that is nothing but another mail, or one file, that one."""
    if not message.is_multipart() and message.get_content_maintype() != "text":
        return [message]
    try:
        return list(message.iter_attachments())
    except _BROKEN:
        return [message] if message.get_content_type() == "message/rfc822" else []


def _name(part: Any) -> str:
    try:
        return " ".join(str(part.get_filename() or "").replace("\\", "/").rsplit("/", 1)[-1].split())
    except _BROKEN:
        return ""


def _content(part: Any) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        return bytes(inner[0].as_bytes()) if isinstance(inner, list) and inner else b""
    return bytes(part.get_payload(decode=True) or b"")
