"""What the URL of a bucket says. No keys: a URL is a setting, and settings get printed."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

MEANT = (
    "a bucket is s3://bucket/prefix?endpoint=https://host:port&region=name, prefix, endpoint and region as needed; "
    "its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_BUCKET = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Of a bucket; "" where the URL does not say it. prefix: names between slashes, none at its ends."""

    bucket: str
    prefix: str
    endpoint: str
    region: str


def address_of(url: str) -> Address:
    """Raises ValueError, which repeats nothing of the URL."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint, region = given.pop("endpoint", ""), given.pop("region", "")
    prefix = unquote(parts.path).strip("/")
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment or given:
        raise ValueError(MEANT)
    if (prefix and {"", ".", ".."} & set(prefix.split("/"))) or (endpoint and not _is_endpoint(endpoint)):
        raise ValueError(MEANT)
    return Address(parts.netloc, prefix, endpoint, region)


def _is_endpoint(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not set("@?#") & set(url)
