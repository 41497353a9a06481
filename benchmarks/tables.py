"""Texts written as tables and read back, as they are and with stray quotes: how many rows come back as they were.

    python -m benchmarks.tables ../shared/data/smartstore_faq_ko ../shared/data/debian_faq_en [--seed 5]

Folders with a corpus.jsonl, 40 documents a table, with a column of numbers and without, each delimiter. Stray: of four
rows on one line one cell begins or ends with a quote; these are not counted, the others must be as without.
"""

import csv
import io
import json
import random
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from retrieval.parsing.base.records import known
from retrieval.parsing.cells.delimiter import delimiter
from retrieval.parsing.cells.table import Table

DOCUMENTS, STRUCK, CELLS = 40, 4, 16_384


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    for folder in given.folders:
        for mark in ",;\t|":
            for struck in (0, STRUCK):
                counts = Counter[str]()
                chance = random.Random(given.seed)
                for table in tables(folder):
                    counts.update(measured(table, mark, struck, chance))
                shown = ", ".join(f"{name} {count}" for name, count in counts.items())
                print(f"{folder.name}  {mark!r:<4}  stray quotes in {struck} rows a table: {shown}")


def tables(folder: Path) -> Iterator[list[list[str]]]:
    records = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    for first in range(0, len(records), DOCUMENTS):
        rows = [[r.get("title") or "-", r["text"].replace("\r", "")] for r in records[first : first + DOCUMENTS]]
        yield [["title", "text"], *rows]
        yield [["id", "title", "text"], *([str(i), *row] for i, row in enumerate(rows))]


def measured(table: Sequence[Sequence[str]], mark: str, struck: int, chance: random.Random) -> Counter[str]:
    lines = [_written(row, mark) for row in table]
    plain = [i for i in range(1, len(lines)) if '"' not in lines[i]]
    hit = set(chance.sample(plain, min(struck, len(plain))))
    text = "\n".join(_struck(line, mark, chance) if i in hit else line for i, line in enumerate(lines))
    read = {tuple(row.cells) for row in Table(text, mark, CELLS).rows()}
    whole = [tuple(row) for i, row in enumerate(table) if i not in hit]
    return Counter(
        {
            "rows": len(whole),
            "over several lines": sum("\n" in "".join(row) for row in whole),
            "not as they were": sum(row not in read for row in whole),
            "wrong delimiters": int(delimiter(text, CELLS, known)[0] != mark),
        }
    )


def _written(row: Sequence[str], mark: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\n").writerow(row)
    return out.getvalue().removesuffix("\n")


def _struck(line: str, mark: str, chance: random.Random) -> str:
    cells = line.split(mark)
    column = chance.randrange(len(cells))
    cells[column] = f'"{cells[column]}' if chance.random() < 0.5 else f'{cells[column]}"'
    return mark.join(cells)


if __name__ == "__main__":
    main()
