"""A mixed load, made from real files: new ones, changed ones, the same upload eight times at once, deletions."""

import io
import json
import random
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

_LARGE = 100_000  # bytes; larger files come once each, so that the rest gets its turn
_TEXTS = (".md", ".txt", ".html", ".htm", ".csv", ".jsonl")
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Move:
    """put: a file, new or in place of the one of that name. same: AT_ONCE such calls at once. delete: of that name,
    whatever is being done with it. path: of the content.
    """

    kind: Literal["put", "same", "delete"]
    name: str
    path: str = ""


def make_load(files: Sequence[Path], hostile: Sequence[Path], count: int, folder: Path, seed: int) -> list[Move]:
    """count: files put, each of bytes of its own where its format allows it; of the hostile ones a tenth, as they are.

    Their contents are written to `folder`.
    """
    chance = random.Random(seed)
    large = [file for file in files if file.stat().st_size > _LARGE]
    small = [file for file in files if file.stat().st_size <= _LARGE]
    chosen = large[: count // 10] + (chance.choices(hostile, k=count // 10) if hostile else [])
    chosen += chance.choices(small, k=count - len(chosen))
    chance.shuffle(chosen)
    moves: list[Move] = []
    names: list[str] = []
    for number, file in enumerate(chosen):
        path = folder / f"{number:04}{file.suffix}"
        path.write_bytes(file.read_bytes() if file in hostile else _of_its_own(file, number))
        alike = [name for name in names if name.endswith(file.suffix)]
        replaces = alike and chance.random() < 0.12
        name = chance.choice(alike) if replaces else f"{number:04}-{file.name}"
        moves.append(Move("same" if chance.random() < 0.04 else "put", name, str(path)))
        names.append(name)
        if chance.random() < 0.08:
            gone = name if chance.random() < 0.5 else chance.choice(names)  # half of them while they are parsed
            moves.append(Move("delete", gone))
            names = [each for each in names if each != gone]
    return moves


def _of_its_own(file: Path, number: int) -> bytes:
    content = file.read_bytes()
    if file.suffix in _TEXTS:
        end = f"\n<p>copy {number}</p>\n" if file.suffix.startswith(".htm") else f"\ncopy {number}\n"
        return content + (json.dumps({"text": end}).encode() + b"\n" if file.suffix == ".jsonl" else end.encode())
    if content.startswith(b"%PDF"):
        return content + f"\n% {number}\n".encode()
    if zipfile.is_zipfile(io.BytesIO(content)):
        changed = io.BytesIO(content)
        with zipfile.ZipFile(changed, "a") as archive:
            archive.comment = str(number).encode()
        return changed.getvalue()
    return content


def write_moves(moves: Sequence[Move], path: Path) -> None:
    path.write_text(json.dumps([asdict(move) for move in moves]), "utf-8")


def read_moves(path: Path) -> list[Move]:
    return [Move(**move) for move in json.loads(path.read_text("utf-8"))]
