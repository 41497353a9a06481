"""False hits of masking: what `privacy.mask` makes unreadable in texts that hold hardly any personal data.

    python -m benchmarks.privacy ../shared/data/*/corpus.jsonl

For a person to judge: the first hits of each kind and set are shown on stderr with what stands around them.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import options, report
from retrieval.parsing import parse
from retrieval.privacy import KINDS
from retrieval.privacy.patterns import found
from retrieval.types import ParsedDocument

AROUND = 25  # characters


@dataclass(frozen=True, slots=True)
class Hits:
    corpus: str
    documents: int
    characters: int
    resident_number: int
    card: int
    phone: int
    email: int
    account: int
    mb_per_s: float


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("files", nargs="+")
    arguments.add_argument("--examples", type=int, default=3, help="shown of a kind and set")
    given = arguments.parse_args()
    report("privacy", given, [_measured(Path(path), given.examples) for path in given.files])


def _measured(path: Path, examples: int) -> Hits:
    documents = parse(path.read_bytes(), path.name)
    size = sum(len(document.text.encode()) for document in documents)
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    places = [(document, *place) for document in documents for place in found(document.text, KINDS)]
    seconds = time.perf_counter() - started
    for document, start, end, kind in places:
        counts[kind] += 1
        if counts[kind] <= examples:
            print(f"{path.parent.name} {kind}: {_around(document, start, end)}", file=sys.stderr)
    characters = sum(len(document.text) for document in documents)
    by_kind = {kind: counts[kind] for kind in KINDS}
    return Hits(path.parent.name, len(documents), characters, **by_kind, mb_per_s=round(size / seconds / 1e6, 1))


def _around(document: ParsedDocument, start: int, end: int) -> str:
    return " ".join(document.text[max(0, start - AROUND) : end + AROUND].split())


if __name__ == "__main__":
    main()
