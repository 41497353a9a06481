"""Mutated files through every parser, inside its limited child: whatever comes, it is documents or a ParseError.

    python scripts/fuzz_parsers.py --seconds 60 [--seed 7] [FOLDER ...]

FOLDER: real files to start from; without one ../shared/data/docs, and small made ones. Blind mutation (bytes flipped,
cut, doubled, spliced, numbers made huge; members of zips as well), which needs no instrumented library. What a child
died of, took too long for or fell over is told once a format with its seed, and kept under --keep. The exit status is 1
where a parser raised what it should not; a library that crashes, or takes too long, is contained, and told alone.
"""

import argparse
import asyncio
import io
import logging
import random
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

from retrieval.parsing import ParseError
from retrieval.parsing.formats import FORMATS
from retrieval.sandbox.pool import Confinement, Pool

_MOST_BYTES = 2_000_000  # of a file to start from: small ones are mutated more often
_NASTY = (b"\x00", b"\xff" * 4, b"2147483647", b"-1", b"<!DOCTYPE x>", b"\xed\xa0\x80", b"((((", b"<" * 64, b"\n" * 64)
_MADE = {
    ".md": "# 제목\n\n- a\n- b\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n",
    ".html": "<title>t</title><h1>하나</h1><table><tr><th>a<tr><td>b</table><ul><li>c</ul>",
    ".csv": '_id,질문,답변\n1,"왜?",그래서\n',
    ".jsonl": '{"_id": "1", "title": "t", "text": "hello", "n": [1, {"a": 2}]}\n',
    ".txt": "one\x0ctwo 가나다\n",
}


def seeds(folders: list[Path]) -> list[tuple[str, bytes]]:
    known = {suffix for format in FORMATS for suffix in format.suffixes if suffix}
    found = [(f"made{suffix}", text.encode()) for suffix, text in _MADE.items()]
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in known)
    return found + [(path.name, path.read_bytes()) for path in paths if path.stat().st_size <= _MOST_BYTES]


def mutated(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    inside = content.startswith(b"PK\x03\x04") and chance.random() < 0.7
    if inside and (within := _zip(content, others, chance)) is not None:
        return within
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at:at] = chance.choice(_NASTY)
            case 2:
                del data[at : at + chance.choice((1, 8, 1000))]
            case 3:
                data[at:at] = data[at : at + chance.choice((8, 200, 5000))] * chance.choice((2, 50))
            case 4:
                other = chance.choice(others)
                first = chance.randrange(len(other) + 1)
                data[at : at + 500] = other[first : first + 500]
            case _:
                del data[at:]
    return bytes(data[: 4 * _MOST_BYTES]) or b"x"


def _zip(content: bytes, others: list[bytes], chance: random.Random) -> bytes | None:
    """One member of it mutated; None where it cannot be opened."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError):
        return None
    if not members:
        return None
    name = chance.choice(list(members))
    members[name] = mutated(members[name], others, chance)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return written.getvalue()


async def fuzz(files: list[tuple[str, bytes]], seconds: float, seed: int, keep: Path, workers: int) -> bool:
    """Whether no parser raised what it should not."""
    pool = Pool(workers, Confinement(seconds=20, memory_bytes=1_000_000_000))
    until = time.monotonic() + seconds
    outcomes: dict[str, Counter[str]] = {}
    numbers = iter(range(seed, sys.maxsize))
    bad: dict[tuple[str, str], str] = {}
    others = [content for _, content in files if content]

    async def work() -> None:
        while time.monotonic() < until:
            number = next(numbers)
            chance = random.Random(number)
            name, content = chance.choice(files)
            made = mutated(content, others, chance)
            try:
                await pool.parse(made, name)
                outcome = "documents"
            except ParseError as error:
                outcome = error.code
                if error.code == "parser_failed" and (Path(name).suffix, error.message) not in bad:
                    bad[Path(name).suffix, error.message] = f"{number} {name}: {error.message}"
                    await asyncio.to_thread(_keep, keep / f"{number}-{name}", made)
            outcomes.setdefault(Path(name).suffix, Counter())[outcome] += 1

    await asyncio.gather(*(work() for _ in range(workers)))
    await pool.aclose()
    for suffix, counts in sorted(outcomes.items()):
        print(f"{suffix:8}", sum(counts.values()), dict(counts))
    print("\n".join(bad.values()) if bad else "nothing crashed, hung, or raised what it should not")
    return not any("parser failed with" in message for _, message in bad)


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("../shared/data/docs")])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for what was found")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    found = seeds(given.folders)
    print(f"{len(found)} files to start from, seed {given.seed}")
    sound = asyncio.run(fuzz(found, given.seconds, given.seed, given.keep, given.workers))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
