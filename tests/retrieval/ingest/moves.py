"""Files that come, change and go, and what may be seen of them wherever that was broken off."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

NAMES = [f"{name}.jsonl" for name in ("ant", "bee", "cat", "dog")]
Rows = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """put: uploaded and attached. remove: the file is deleted. find: waited for until it is completed, where it is
    there. sweep: the bytes go that no file has any more.
    """

    kind: Literal["put", "remove", "find", "sweep"]
    name: str
    rows: Rows = ()

    @property
    def content(self) -> bytes:
        rows = [json.dumps({"_id": text.rpartition(" ")[2], "text": text}) for text in self.rows]
        return "\n".join(rows).encode()


def plan(seed: int, length: int) -> list[Move]:
    """The same for the same seed. A file's versions share rows; some come back as they were."""
    rng = random.Random(seed)
    moves = []
    for _ in range(length):
        kind = rng.choices(["put", "remove", "find", "sweep"], [6, 2, 2, 1])[0]
        name = rng.choice(NAMES)
        some = rng.sample(range(6), 4)
        rows = tuple(f"{name} tells of {i}" for i in some) if kind == "put" else ()
        moves.append(Move(kind, name, rows))  # type: ignore[arg-type]
    return moves


def possible(moves: Sequence[Move], name: str, acknowledged: int) -> list[Rows]:
    """What may be visible of the file after so many moves, while the next one may have been done, or not."""
    seen: list[Rows] = [()]
    for number, move in enumerate(moves[: acknowledged + 1]):
        if move.name != name:
            continue
        over = number < acknowledged
        if move.kind == "put":
            seen.append(move.rows)
        elif move.kind == "remove":
            seen = [()] if over else [*seen, ()]
        elif move.kind == "find" and over:
            seen = seen[-1:]
    return seen


def attached(moves: Sequence[Move]) -> dict[str, Rows]:
    """What is there, or on its way, after these."""
    there: dict[str, Rows] = {}
    for move in moves:
        if move.kind == "put":
            there[move.name] = move.rows
        elif move.kind == "remove":
            there.pop(move.name, None)
    return there
