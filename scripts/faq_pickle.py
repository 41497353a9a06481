"""A pickle of questions and answers, as help centres' crawlers leave them, to JSON lines that `ragpod ingest` reads.

`python scripts/faq_pickle.py final_result.pkl faq.jsonl`. What it may hold: dict, list, tuple, str, int, float, bool
and None. Anything that names a class or a function is refused before it is looked up: a pickle can run programs, so the
server reads none. One {question: answer}, a list of dicts, or a list of pairs; `\\xa0` and the like become spaces.
"""

import io
import json
import pickle
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 200_000_000
MAX_DEPTH = 20


class Refused(Exception):
    """It is no such pickle; the text says why."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise Refused(f"it names {module}.{name}: only plain values are read")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused("it refers to something outside itself")


def plain(content: bytes) -> Any:
    """The value of a pickle. Raises Refused."""
    if len(content) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        value = _Plain(io.BytesIO(content)).load()
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"it is damaged: {error or type(error).__name__}") from None
    _check(value, 0, set())
    return value


def _check(value: Any, depth: int, above: set[int]) -> None:
    """Raises Refused for other types (bytes, sets), for what holds itself, and for what is nested too deep."""
    if value is None or type(value) in (str, int, float, bool):
        return
    if type(value) not in (dict, list, tuple):
        raise Refused(f"it holds {type(value).__name__}: only plain values are read")
    if depth >= MAX_DEPTH or id(value) in above:
        raise Refused("it is nested too deep, or holds itself")
    inside = [*value.keys(), *value.values()] if type(value) is dict else value
    for each in inside:
        _check(each, depth + 1, above | {id(value)})


def rows(value: Any) -> Iterator[dict[str, Any]]:
    """Raises Refused where it is neither questions with answers nor a list of rows."""
    if isinstance(value, dict) and all(isinstance(each, str) for pair in value.items() for each in pair):
        value = list(value.items())
    if not isinstance(value, list | tuple):
        raise Refused("it is neither {question: answer} nor a list of rows")
    for number, row in enumerate(value, 1):
        if isinstance(row, dict):
            yield {str(name): _spaced(cell) for name, cell in row.items()}
        elif isinstance(row, list | tuple) and len(row) == 2:
            yield {"question": _spaced(row[0]), "answer": _spaced(row[1])}
        else:
            raise Refused(f"row {number} is neither a dict nor a pair")


def _spaced(cell: Any) -> Any:
    return cell.replace("\xa0", " ").strip() if isinstance(cell, str) else cell


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pickle", type=Path)
    parser.add_argument("jsonl", type=Path)
    arguments = parser.parse_args()
    try:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows(plain(arguments.pickle.read_bytes()))]
    except Refused as error:
        sys.exit(f"{arguments.pickle}: {error}")
    arguments.jsonl.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} rows in {arguments.jsonl}")


if __name__ == "__main__":
    main()
