"""API keys: whose data a call is about."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import SecretStr

DEFAULT_OWNER = "default"
_OWNED = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63}):(.+)", re.DOTALL)


class Keys:
    """SHA-256 digests of the accepted keys, each with its owner; no keys at all admit everyone as "default"."""

    def __init__(self, owners: Mapping[str, str]) -> None:
        """owners: key -> owner."""
        self._owners = tuple((_digest(key), owner) for key, owner in owners.items())

    @classmethod
    def of(cls, keys: Iterable[SecretStr]) -> Self:
        """Each as the settings have it: `owner:key`, or a key alone, whose owner is the one that all of those share.

        A key that is given two owners is the last one's.
        """
        return cls({key: owner for owner, key in (owned(each.get_secret_value()) for each in keys)})

    @property
    def admits_everyone(self) -> bool:
        return not self._owners

    @property
    def owners(self) -> frozenset[str]:
        """Of all keys; where there are none, the one that everyone is."""
        return frozenset(owner for _, owner in self._owners) or frozenset({DEFAULT_OWNER})

    def owner(self, key: str | None) -> str | None:
        """None: not admitted. Every digest is compared, so the time says nothing about which one came near."""
        if not self._owners:
            return DEFAULT_OWNER
        given, found = _digest(key or ""), None
        for digest, owner in self._owners:
            if hmac.compare_digest(digest, given):
                found = owner
        return found


def owned(entry: str) -> tuple[str, str]:
    """Owner and key of an entry of the settings."""
    found = _OWNED.fullmatch(entry)
    return (found[1], found[2]) if found else (DEFAULT_OWNER, entry)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
