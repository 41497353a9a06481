"""What a library makes of a Hangul document: pieces in reading order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

PieceKind = Literal["heading", "paragraph", "item", "table", "footnote", "margin"]


@dataclass(frozen=True, slots=True)
class Piece:
    """level: of a heading from 1, of an item's nesting from 0. mark: an item's number or bullet. rows: of a table's
    cells, all as long. margin: a header or footer of pages.
    """

    kind: PieceKind
    text: str = ""
    level: int = 0
    mark: str = ""
    rows: Sequence[Sequence[str]] = ()


@dataclass(slots=True)
class Reading:
    """left_out: what is not in the pieces, in words, with how many of them."""

    title: str = ""
    pieces: list[Piece] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
