"""The labelled questions, and the texts that their labels are offsets into."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENTS = HERE / "documents"
SHARED = HERE.parents[2] / "shared" / "data"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")

Extent = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """source: a file of documents/ (`tune/shop.en.csv#shop01`: one row) or a BEIR document (`debian_faq_en:df004`).

    needed: the units of `source` that a careful reader would give, as offsets into its text without invisible
    characters. also: units that may stand beside them. Neither: there is no answer ("unanswerable"), or none is asked
    for ("small talk").
    """

    id: str
    half: str
    language: str
    kind: str
    source: str
    question: str
    needed: tuple[Extent, ...]
    also: tuple[Extent, ...]

    @property
    def shared(self) -> bool:
        return ":" in self.source

    @property
    def answerable(self) -> bool:
        return bool(self.needed)


def load(file: Path = HERE / "questions.jsonl") -> list[Question]:
    return [_question(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def asked(questions: Iterable[Question]) -> list[Question]:
    """Without those over shared data, where that is not beside the checkout."""
    return [question for question in questions if not question.shared or SHARED.exists()]


def _question(row: dict[str, Any]) -> Question:
    extents = {key: tuple((start, end) for start, end in row.pop(key)) for key in ("needed", "also")}
    return Question(**row, **extents)


def text_of(source: str) -> str:
    """The source's text as labelled: of a row `question` and `answer`, a line each. Raises KeyError, OSError."""
    if ":" in source:
        name, _, document = source.partition(":")
        return visible(_corpus(name)[document].strip())
    file, _, row = source.partition("#")
    text = (DOCUMENTS / file).read_text(encoding="utf-8")
    return visible(_row(text, row) if row else text)


def visible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def corpus_lines(name: str, wanted: Sequence[str], others: int) -> Iterator[bytes]:
    """Lines of a BEIR corpus: the wanted documents, and the first `others` beside them."""
    for line in (SHARED / name / "corpus.jsonl").read_bytes().splitlines():
        others -= 1
        if others >= 0 or json.loads(line)["_id"] in wanted:
            yield line


@cache
def _corpus(name: str) -> dict[str, str]:
    lines = (SHARED / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["_id"]: row["text"] for row in map(json.loads, lines)}


def _row(text: str, wanted: str) -> str:
    for row in csv.reader(io.StringIO(text)):
        if row[0] == wanted:
            return "\n".join(cell.strip() for cell in row[1:])
    raise KeyError(wanted)
