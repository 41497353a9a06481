"""How the store keeps a passage's learned lexical weights: token ids, then their weights, in bytes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_ID, _WEIGHT = np.dtype("<u4"), np.dtype("<f2")
_ENTRY = _ID.itemsize + _WEIGHT.itemsize


def encode_weights(weights: Mapping[int, float]) -> bytes:
    """Token id -> weight as the store keeps it: n ids (uint32), then n weights (float16), little-endian, by id.

    Weights that float16 takes for 0 are left out. Raises ValueError for a weight that is negative, or that float16
    cannot hold.
    """
    ids = sorted(weights)
    kept = np.array([weights[token] for token in ids], np.float64)
    if len(kept) and not (np.isfinite(kept).all() and kept.min() >= 0 and kept.max() < np.finfo(np.float16).max):
        raise ValueError("a token's weight must be a number from 0 to 65504")
    half = kept.astype(_WEIGHT)
    return np.array(ids, _ID)[half > 0].tobytes() + half[half > 0].tobytes()


def is_whole(code: bytes) -> bool:
    """Whether `decode_weights` can read it."""
    return len(code) % _ENTRY == 0


def decode_weights(codes: Sequence[bytes]) -> tuple[list[int], NDArray[np.uint32], NDArray[np.float16]]:
    """Tokens of each of `codes`, and all of their ids and weights, (p,) each, one code after the other."""
    counts = [len(code) // _ENTRY for code in codes]
    pairs = list(zip(codes, counts, strict=True))
    ids = np.frombuffer(b"".join(code[: n * _ID.itemsize] for code, n in pairs), _ID)
    weights = np.frombuffer(b"".join(code[n * _ID.itemsize :] for code, n in pairs), _WEIGHT)
    return counts, ids, weights
