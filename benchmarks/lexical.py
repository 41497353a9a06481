"""BM25 by rank-bm25, which the tests take for an oracle, beside our index over tantivy, on the same terms.

    python -m benchmarks.lexical CORPUS.jsonl [--sizes 2717,50000]

CORPUS: lines with `title` and `text`; where a size is larger than it, its texts are taken again in another mixture of
words. A query is some words of a text. `add_ms`: one more document until it can be found; rank-bm25 has to read all of
them again. The last line is JSON.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from rank_bm25 import BM25Okapi

from benchmarks.harness import Effort, Spread, alternated, note, options, report
from retrieval.indexes.bm25 import Bm25Index
from retrieval.passages.tokenize import Tokenizer

T = TypeVar("T")
BEST, WORDS, QUERIES = 100, 6, 40


@dataclass(frozen=True, slots=True)
class Row:
    library: str
    documents: int
    build_s: float
    p50_ms: float
    p95_ms: float
    add_ms: float


def documents(corpus: Path, count: int, rng: random.Random) -> list[list[str]]:
    tokenizer, lines = Tokenizer.load(), corpus.read_text("utf-8").splitlines()
    read = [json.loads(line) for line in lines[:count]]
    found = [tokenizer.terms(f"{each.get('title', '')}\n{each['text']}") for each in read]
    found = [terms for terms in found if terms]
    more = [rng.choices(rng.choice(found) + rng.choice(found), k=60) for _ in range(max(0, count - len(found)))]
    return found + more


def measured(corpus: Path, count: int, seed: int, small: bool) -> list[Row]:
    rng = random.Random(seed)
    texts = documents(corpus, count, rng)
    queries = [rng.choices(rng.choice(texts), k=WORDS) for _ in range(QUERIES)]
    with TemporaryDirectory() as scratch:
        oracle, oracle_s = built(lambda: BM25Okapi(texts))
        index, index_s = built(lambda: filled(Path(scratch) / "bm25", texts))
        runs = {
            "rank-bm25": lambda: [np.argsort(-oracle.get_scores(query))[:BEST] for query in queries],
            "tantivy": lambda: [index.search(query, BEST) for query in queries],
        }
        took = alternated(runs, Effort(repeats=3 if small else 10, seconds=60))
        adding = {
            "rank-bm25": seconds(lambda: BM25Okapi([*texts, texts[0]])),
            "tantivy": seconds(lambda: index.apply(2, [(len(texts) + 1, " ".join(texts[0]))], ())),
        }
    building = {"rank-bm25": oracle_s, "tantivy": index_s}
    rows = []
    for library, repeats in took.items():
        spread = Spread.of([each / QUERIES for each in repeats])
        added = round(adding[library] * 1000, 1)
        rows.append(Row(library, len(texts), round(building[library], 2), spread.p50, spread.p95, added))
        note(rows[-1])
    return rows


def filled(folder: Path, texts: Sequence[Sequence[str]]) -> Bm25Index:
    index = Bm25Index(folder)
    index.apply(1, [(key, " ".join(terms)) for key, terms in enumerate(texts, 1)], ())
    return index


def built(make: Callable[[], T]) -> tuple[T, float]:
    """What it made, and in how many seconds."""
    since = time.perf_counter()
    made = make()
    return made, time.perf_counter() - since


def seconds(run: Callable[[], object]) -> float:
    since = time.perf_counter()
    run()
    return time.perf_counter() - since


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sizes", default="2717,50000")
    given: argparse.Namespace = parser.parse_args()
    sizes = [200] if given.small else [int(size) for size in given.sizes.split(",")]
    report("lexical", given, [row for size in sizes for row in measured(given.corpus, size, given.seed, given.small)])


if __name__ == "__main__":
    main()
