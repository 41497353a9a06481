"""Mail as Outlook saves it (MS-OXMSG), read by python-oxmsg."""

from io import BytesIO
from typing import Any

from oxmsg import Message

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.nesting import Nesting
from retrieval.parsing.containers.letter import File, letter
from retrieval.types import ParsedDocument


def parse(content: bytes, filename: str, limits: Limits, nesting: Nesting) -> list[ParsedDocument]:
    """Raises ParseError."""
    try:
        message: Any = Message.load(BytesIO(content))
        sent = message.sent_date
        headers = {
            "From": message.sender or "",
            "To": ", ".join(f"{one.name} <{one.email_address}>" for one in message.recipients),
            "Date": sent.isoformat() if sent else "",
            "Subject": message.subject or "",
        }
        plain = message.body or ""
        body = (plain, False) if plain.strip() else (message.html_body or "", True)
        files = [_file(number, attached) for number, attached in enumerate(message.attachments, 1)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise ParseError("invalid_file", f"it is a damaged mail of Outlook: {error}") from None
    return letter(headers, body, files, filename, limits, nesting)


def _file(number: int, attached: Any) -> File:
    return attached.file_name or f"attachment {number}", bytes(attached.file_bytes or b""), attached.mime_type or ""
