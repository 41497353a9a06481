"""Runs that stand beside each other as rows; a row's runs as one line, or as its cells."""

import re
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from retrieval.parsing.pdf.glyphs import Run
from retrieval.places import Box, Region

_SPACE = 0.2  # of the type's size: a gap that a reader sees as a space
_CELL = 1.2  # of the type's size: a gap that divides cells
_LEVEL = 0.45  # of the smaller run's height: as much of it as lies beside the row

_LEADER = re.compile(r"(?<=\s)[.·…](?:\s?[.·…]){4,}")


def width(text: str) -> int:
    """Character cells: those of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def hull(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes), min(box.y0 for box in boxes),
        max(box.x1 for box in boxes), max(box.y1 for box in boxes),
    )  # fmt: skip


def region(run: Run, page: int, edges: Sequence[float] | None = None) -> Region:
    """Of a run; its offsets are the builder's to set. edges: where the text has been joined, else the run's own."""
    return Region(0, 0, page=page, box=run.box, edges=array("f", run.edges if edges is None else edges).tobytes())


def after(edges: Sequence[float]) -> list[float]:
    """Of a space behind a text with these edges: no width, as high as the character before it."""
    return [edges[-2], edges[-3], edges[-2], edges[-1]]


def rows(runs: Sequence[Run]) -> list[list[Run]]:
    """From the top down, each from left to right."""
    found: list[tuple[Box, list[Run]]] = []
    for run in sorted(runs, key=lambda run: run.middle):
        for place in range(len(found) - 1, max(-1, len(found) - 4), -1):
            core, members = found[place]
            shared = min(core.y1, run.box.y1) - max(core.y0, run.box.y0)
            if shared > _LEVEL * max(0.1, min(core.y1 - core.y0, run.box.y1 - run.box.y0)):
                members.append(run)
                if run.size > max(each.size for each in members[:-1]):
                    found[place] = (run.box, members)
                break
        else:
            found.append((run.box, [run]))
    return [sorted(members, key=lambda run: run.box.x0) for _, members in found]


def cells(row: Sequence[Run]) -> list[Run]:
    """Of one row: runs with a wide gap between them."""
    groups: list[list[Run]] = []
    for run in row:
        if groups and run.box.x0 - groups[-1][-1].box.x1 <= _CELL * min(run.size, groups[-1][-1].size):
            groups[-1].append(run)
        else:
            groups.append([run])
    return [merged(group) for group in groups]


def merged(runs: Sequence[Run]) -> Run:
    """One line of runs that follow each other from left to right."""
    if len(runs) == 1:
        return _without_leader(runs[0])
    text, edges = runs[0].text, list(runs[0].edges)
    for before, run in pairwise(runs):
        if before.spaced or run.box.x0 - before.box.x1 > _SPACE * run.size:
            text += " "
            edges += after(edges)
        text += run.text
        edges += run.edges
    largest = max(runs, key=lambda run: len(run.text))
    box = hull([run.box for run in runs])
    return _without_leader(Run(text, edges, box, largest.size, all(run.bold for run in runs), runs[-1].spaced))


def _without_leader(line: Run) -> Run:
    """Dots that lead the eye to a page's number are three."""
    if (found := _LEADER.search(line.text)) is None:
        return line
    cut, on = found.start() + 3, found.end()
    text = f"{line.text[: found.start()]}...{line.text[on:]}"
    return replace(line, text=text, edges=line.edges[: 4 * cut] + line.edges[4 * on :])
