"""Every file of a folder through the limited child process that an ingest parses with: outcome, time, memory, places.

    D=../shared/data/docs; python -m benchmarks.formats $D/ok $D/hostile --phrases $D/expected_phrases.json

Each file has a child of its own, warm before the clock starts. found: its expected phrase is in its text, white space
apart; "-" where none is expected.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import note, options, report
from retrieval.parsing import Limits, ParseError
from retrieval.sandbox.frames import unpacked
from retrieval.sandbox.process import Child, Confinement, Killed
from retrieval.types import ParsedDocument

_SPACE = re.compile(r"\s+")
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Parsed:
    """rss_mb: the child's highest. places: what its regions know."""

    folder: str
    file: str
    kb: int
    outcome: str
    documents: int
    characters: int
    ms: int
    rss_mb: int
    places: str
    found: str
    warning: str


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--phrases", help="JSON: file name -> a phrase of it")
    given = arguments.parse_args()
    phrases = json.loads(Path(given.phrases).read_text("utf-8")) if given.phrases else {}
    files = [file for folder in given.folders for file in sorted(Path(folder).iterdir()) if file.is_file()]
    report("formats", given, asyncio.run(_measured(files, phrases)))


async def _measured(files: Sequence[Path], phrases: Mapping[str, str]) -> list[Parsed]:
    rows = []
    for file in files:
        rows.append(await one(file, phrases.get(file.name)))
        note(rows[-1])
    return rows


async def one(file: Path, phrase: str | None) -> Parsed:
    content = await asyncio.to_thread(file.read_bytes)
    limits, documents, outcome = Limits(), list[ParsedDocument](), "completed"
    child = await Child.start(Confinement())
    watching = asyncio.create_task(_highest(child.pid))
    began = time.perf_counter()
    try:
        documents = unpacked(await child.parse(content, file.name, "", limits), limits.characters)
    except ParseError as error:
        outcome = error.code
    except Killed:
        outcome = "killed"
    seconds = time.perf_counter() - began
    watching.cancel()
    highest = 0
    with suppress(asyncio.CancelledError):
        highest = await watching
    await child.kill()
    return Parsed(
        folder=file.parent.name,
        file=file.name,
        kb=len(content) // 1024,
        outcome=outcome,
        documents=len(documents),
        characters=sum(len(document.text) for document in documents),
        ms=round(seconds * 1000),
        rss_mb=highest >> 10,
        places=_places(documents),
        found="-"
        if not phrase
        else "yes"
        if any(holds(each.text + each.title, phrase) for each in documents)
        else "no",
        warning="; ".join(dict.fromkeys(document.warning for document in documents if document.warning))[:80],
    )


async def _highest(pid: int) -> int:
    """kB; as it was last seen when this is cancelled."""
    highest = 0
    try:
        while True:
            with suppress(OSError, IndexError, ValueError):
                status = Path(f"/proc/{pid}/status").read_text("ascii")  # noqa: ASYNC240  no disk is behind it
                highest = int(status.partition("VmHWM:")[2].split()[0])
            await asyncio.sleep(_POLL_SECONDS)
    except asyncio.CancelledError:
        return highest


def _places(documents: Sequence[ParsedDocument]) -> str:
    regions = [region for document in documents for region in document.regions]
    pages = len({region.page for region in regions if region.page})
    slides = len({region.slide for region in regions if region.slide})
    sheets = len({region.sheet for region in regions if region.sheet})
    boxes = sum(region.box is not None for region in regions)
    members = len({document.member for document in documents if document.member})
    counted = {"pages": pages, "boxes": boxes, "slides": slides, "sheets": sheets, "members": members}
    return ", ".join(f"{count} {name}" for name, count in counted.items() if count)


def _found(documents: Sequence[ParsedDocument], phrase: str | None) -> str:
    if not phrase:
        return "-"
    return "yes" if any(holds(each.text + each.title, phrase) for each in documents) else "no"


def holds(text: str, phrase: str) -> bool:
    """White space apart."""
    return _SPACE.sub("", phrase) in _SPACE.sub("", text)


if __name__ == "__main__":
    main()
