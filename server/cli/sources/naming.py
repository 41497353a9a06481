"""What files are called that come from elsewhere, and when they were changed there."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from pathlib import PurePath
from urllib.parse import quote, unquote

from yarl import URL

from retrieval.characters import same
from retrieval.parsing.formats import FORMATS
from server.cli.sources.base import LONGEST

_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_EXTENDED = re.compile(r"""filename\*\s*=\s*([\w-]*)'[\w-]*'([^;\s]+)""", re.IGNORECASE)
_SUFFIXES = {media_type: each.suffixes for each in FORMATS for media_type in each.media_types}
_KNOWN = {suffix for each in FORMATS for suffix in each.suffixes if suffix}


def printable(name: str) -> str:
    """With what no name may hold written as in a URL."""
    return _CONTROL.sub(lambda found: quote(found[0], errors="replace"), name)


def names(urls: Sequence[URL]) -> list[str]:
    """One a URL, its own in any list that has it: host, path and query as people read them. Where two would be the same
    (http and https, 가 in one character and in two) each carries a part of its address's hash.
    """
    found = [_name(url) for url in urls]
    alike = Counter(same(name) for name in found)
    return [
        name if alike[same(name)] == 1 else f"{name}~{sha256(str(url).encode()).hexdigest()[:8]}"
        for url, name in zip(urls, found, strict=True)
    ]


def _name(url: URL) -> str:
    port = "" if url.is_default_port() else f":{url.port}"
    path = url.path if not url.path.endswith("/") else f"{url.path}index"
    query = f"?{url.query_string}" if url.query_string else ""
    return printable(f"{url.host}{port}{path}{query}")


def media_type(header: str) -> str:
    """Without parameters; "" where it is none."""
    kind = header.partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else ""


def fitting(name: str, kind: str, disposition: str) -> str:
    """The name that the answer gives (Content-Disposition) below the URL's, and an ending by which it is read as the
    type that it is sent as: `/page.php` is HTML then, and `/docs.rs` no source code. kind: a media type.
    """
    given = _given(disposition)
    if given and given != PurePath(name).name and len(name) + len(given) < LONGEST:
        name = f"{name}/{given}"
    suffix, suffixes = PurePath(name).suffix.lower(), _SUFFIXES.get(kind, ())
    if kind == "text/plain" or not suffixes or suffix not in _KNOWN or suffix in suffixes:
        return name
    return name + suffixes[0]


def _given(disposition: str) -> str:
    """The extended form wins (RFC 6266, 4.3). Of a path only its end."""
    header = _CONTROL.sub("", disposition)
    if extended := _EXTENDED.search(header):
        name = unquote(extended[2], "latin-1" if extended[1].lower() == "iso-8859-1" else "utf-8")
    else:
        message = Message()
        message["Content-Disposition"] = header
        name = message.get_filename() or ""
    given = printable(re.split(r"[/\\]", name)[-1]).strip()
    return "" if given in (".", "..") else given


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_of_http(date: str) -> str:
    """ "" where it is none."""
    try:
        return iso(parsedate_to_datetime(date))
    except (ValueError, TypeError, OverflowError):
        return ""


def http_of_iso(moment: str) -> str:
    """ "" where it is none: an attribute may have been changed by whoever may write."""
    try:
        return format_datetime(datetime.fromisoformat(moment).astimezone(UTC), usegmt=True)
    except (ValueError, OverflowError):
        return ""
