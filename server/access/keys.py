"""API keys: whose data a call is about."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import SecretStr

DEFAULT_OWNER = "default"


class Keys:
    """SHA-256 digests of the accepted keys, each with its owner; no keys at all admit everyone as "default"."""

    def __init__(self, owners: Mapping[str, str]) -> None:
        """owners: key -> owner."""
        self._owners = tuple((_digest(key), owner) for key, owner in owners.items())

    @classmethod
    def of(cls, keys: Iterable[SecretStr]) -> Self:
        return cls({key.get_secret_value(): DEFAULT_OWNER for key in keys})

    def owner(self, key: str | None) -> str | None:
        """None: not admitted. Every digest is compared, so the time says nothing about which one came near."""
        if not self._owners:
            return DEFAULT_OWNER
        given, found = _digest(key or ""), None
        for digest, owner in self._owners:
            if hmac.compare_digest(digest, given):
                found = owner
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
