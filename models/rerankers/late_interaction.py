"""Late interaction (ColBERT, arXiv 2004.12832): token vectors kept small beside each chunk, MaxSim at query time.

A code holds one row a token: dim / 2 bytes of 4-bit components and the fp16 factor that makes the row a unit vector
again, 194 bytes for 384 dimensions, 514 for 1024. Measured on nine sets (docs/LOG.md): 4 bits cost nothing, averaging
tokens in pairs 1.7 points, a 128-dimensional projection 2.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray

# Tokens unpacked at once: few enough to stay in the CPU's cache.
_BLOCK = 128
# Rows and columns of one product. OpenBLAS starts threads above 2**18 multiplications, and each product then waits for
# the slowest of them: on a machine where others work, ten times as long.
_TILE = 16


@dataclass(frozen=True, slots=True)
class Packed:
    """Codes of many chunks as one matrix.

    rows: (t, dim / 2 + 2) uint8, writable. lengths: (n,) tokens of each chunk that has any. filled: (n,) where those
    are among the codes.
    """

    rows: NDArray[np.uint8]
    lengths: NDArray[np.intp]
    filled: NDArray[np.intp]

    @classmethod
    def of(cls, codes: Sequence[bytes], dim: int) -> Self:
        """Raises ValueError for codes of other dimensions."""
        width = dim // 2 + 2
        sizes = np.array([len(code) for code in codes], np.intp)
        if (sizes % width).any():
            raise ValueError(f"a code is not of whole rows of {width} bytes: not made of {dim} dimensions")
        filled = np.flatnonzero(sizes)
        rows = np.frombuffer(bytearray().join(codes), np.uint8).reshape(-1, width)
        return cls(rows, sizes[filled] // width, filled)

    @property
    def nibbles(self) -> NDArray[np.uint8]:
        """(t, dim / 2): components 2i and 2i + 1 of a token in the low and the high half of byte i, each plus 8."""
        return self.rows[:, :-2]

    @property
    def factors(self) -> FloatArray:
        """(t,)."""
        return np.ascontiguousarray(self.rows[:, -2:]).view(np.float16).astype(np.float32)[:, 0]


def encode(tokens: FloatArray) -> bytes:
    """(t, dim) float32 rows, dim even -> t * (dim / 2 + 2) bytes. No tokens give b""."""
    if not len(tokens):
        return b""
    largest = np.maximum(np.abs(tokens).max(axis=1, keepdims=True), 1e-12)
    levels = np.rint(tokens * (7 / largest)).astype(np.int8) + 8
    packed = (levels[:, 0::2] | (levels[:, 1::2] << 4)).astype(np.uint8)
    # A row that is not all zeros has a component at 7, so only the zero row meets the floor.
    factors = 1 / np.maximum(np.linalg.norm(levels.astype(np.float32) - 8, axis=1), 1)
    return np.concatenate([packed, factors.astype(np.float16)[:, None].view(np.uint8)], axis=1).tobytes()


def decode(code: bytes, dim: int) -> tuple[FloatArray, FloatArray]:
    """(t, dim) float32 whole-numbered rows, and the (t,) factors that make them unit vectors."""
    packed = Packed.of([code], dim)
    rows = np.empty((len(packed.rows), dim), np.float32)
    rows[:, 0::2] = packed.nibbles & 15
    rows[:, 1::2] = packed.nibbles >> 4
    return rows - 8, packed.factors


def maxsim(query_tokens: FloatArray, codes: Sequence[bytes]) -> FloatArray:
    """Mean over query tokens of the best cosine to any token of each chunk.

    query_tokens: (t, dim) float32 unit rows. Returns (len(codes),) float32; an empty code scores 0.
    """
    scores = np.zeros(len(codes), np.float32)
    packed = Packed.of(codes, query_tokens.shape[1])
    if not len(packed.filled) or not len(query_tokens):
        return scores
    starts = np.concatenate([[0], np.cumsum(packed.lengths)[:-1]])
    cosines = _dots(packed.nibbles, query_tokens) * packed.factors[:, None]
    scores[packed.filled] = np.maximum.reduceat(cosines, starts, axis=0).mean(axis=1)
    return scores


def halves(query_tokens: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(dim, t): columns with the even components first, as low and high nibbles lie; (t,): what their plus 8 adds."""
    order = np.concatenate([query_tokens[:, 0::2], query_tokens[:, 1::2]], axis=1)
    return np.ascontiguousarray(order.T), 8 * query_tokens.sum(axis=1, dtype=np.float32)


def _dots(nibbles: NDArray[np.uint8], query_tokens: FloatArray) -> FloatArray:
    """(chunk tokens, query tokens), exact to the codes."""
    columns, surplus = halves(query_tokens)
    half, count = nibbles.shape[1], len(query_tokens)
    dots = np.empty((-(-len(nibbles) // _BLOCK) * _BLOCK, count), np.float32)
    block = np.zeros((_BLOCK, 2 * half), np.float32)
    tiles = block.reshape(-1, _TILE, 2 * half)
    for start in range(0, len(nibbles), _BLOCK):
        rows = nibbles[start : start + _BLOCK]
        block[: len(rows), :half] = rows & 15
        block[: len(rows), half:] = rows >> 4
        found = dots[start : start + _BLOCK].reshape(-1, _TILE, count)
        for first in range(0, count, _TILE):
            np.matmul(tiles, columns[:, first : first + _TILE], out=found[..., first : first + _TILE])
    return dots[: len(nibbles)] - surplus
