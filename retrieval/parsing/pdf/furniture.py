"""What stands on page after page beside the text: headers and footers are kept once, page numbers never."""

import re
from collections import Counter
from collections.abc import Sequence

from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import merged, rows

_ROWS = 3  # at each end of a page
_MARGIN = 0.15  # of the page's height
_REPEATS = 3  # pages
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(
    r"(?:[-\u2013\u2014~<\[(|\s]*(?:\d{1,4}|[ivxlcdm]{1,7})[-\u2013\u2014~>\])|\s]*"
    r"|(?:page|p\.?|쪽|페이지)\s*\d{1,4}(?:\s*(?:of|/|중)\s*\d{1,4})?"
    r"|\d{1,4}\s*(?:/|of)\s*\d{1,4}(?:\s*(?:쪽|페이지))?|\d{1,4}\s*(?:쪽|페이지|면))",
    re.IGNORECASE,
)


class Furniture:
    """Told of every page first, then asked for each of them in the same order."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[bool, str]] = Counter()
        self._kept: set[str] = set()

    def see(self, runs: Sequence[Run], height: float) -> None:
        self._counts.update({(top, key) for top, key, _ in _edge_rows(runs, height)})

    def without(self, runs: Sequence[Run], height: float) -> list[Run]:
        """The runs of a page that are its text; a repeated row where it says something for the first time."""
        left_out: set[int] = set()
        for top, key, row in _edge_rows(runs, height):
            text = merged(row).text
            new = self._counts[(top, key)] < _REPEATS or text not in self._kept
            if new and not _NUMBER.fullmatch(text):
                self._kept.add(text)
                continue
            left_out.update(id(run) for run in row)
        return [run for run in runs if id(run) not in left_out]


def _edge_rows(runs: Sequence[Run], height: float) -> list[tuple[bool, str, list[Run]]]:
    """(at the top, what it says whatever its numbers, the row) of the outermost rows."""
    top = rows([run for run in runs if run.middle < _MARGIN * height])[:_ROWS]
    bottom = rows([run for run in runs if run.middle > (1 - _MARGIN) * height])[-_ROWS:]
    placed = [(True, row) for row in top] + [(False, row) for row in bottom]
    return [(at_top, _DIGITS.sub("#", merged(row).text), row) for at_top, row in placed]
