"""Attributes as filters compare them: keys and strings in NFC, so that what looks the same is the same."""

from typing import Any

from retrieval.characters import same
from retrieval.types import Attributes


def composed(attributes: Attributes) -> dict[str, Any] | None:
    """None where that is what they are. Of two keys that look the same, the composed one counts."""
    found = {same(key): _composed(value) for key, value in attributes.items()}
    found |= {key: _composed(value) for key, value in attributes.items() if key in found}
    return None if found == attributes else found


def _composed(value: Any) -> Any:
    return same(value) if isinstance(value, str) else value
