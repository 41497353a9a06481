"""The rarest word's passages among the first ten (retrieval/ranking/rare.py), against the pipeline without that rule.

    python -m benchmarks.rare ../shared/data/{autorag_ko,korquad_dev,cranfield} [--documents 500] [--queries 200]

nDCG@10 of the last stage on each set's own queries, with a paired randomisation test; milliseconds of a search after
its embedding, both forms in turns. word: of words that stand in one document and were drawn at random, for how many
that document is among the first ten when the word alone is asked for. The corpus is indexed into a temporary folder by
the embedded profile's own parts.
"""

import asyncio
import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any
from unittest import mock

from benchmarks.harness import note, options, report
from benchmarks.stores import OWNER, opened
from retrieval.clock import Clock
from retrieval.evaluation.evaluation import BeirSet, DocumentNames, load_set, stage_rankings
from retrieval.evaluation.metrics import ndcg, randomisation_p
from retrieval.ranking import find
from retrieval.ranking.search import Retriever
from retrieval.store.base.values import NamedStore
from retrieval.types import SearchParams

_WORDS = 40
_WORD = re.compile(r"[^\W_]{5,}")


@dataclass(frozen=True, slots=True)
class Row:
    """changed: queries whose last order differs. ms: medians."""

    set: str
    documents: int
    queries: int
    before: float
    after: float
    changed: int
    p: float
    ms_before: float
    ms_after: float
    words: int
    word_before: int
    word_after: int


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--documents", type=int, help="of a larger set: those that answer its queries, then others")
    arguments.add_argument("--queries", type=int, default=200)
    given = arguments.parse_args()
    rows = []
    for folder in given.folders:
        rows.append(asyncio.run(_set(load_set(Path(folder)), given.queries, given.documents, given.seed)))
        note(rows[-1])
    report("rare", given, rows)


@contextmanager
def without_the_rule() -> Iterator[None]:
    with mock.patch.object(find, "rarest", return_value=[]):
        yield


async def _set(beir: BeirSet, most: int, documents: int | None, seed: int) -> Row:
    chance = random.Random(seed)
    chosen = sorted(chance.sample(sorted(beir.queries), min(most, len(beir.queries))))
    lines = _sampled(beir, chosen, documents, chance)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as (store, ingestor, retriever):
            store_id = store.vector_stores.create(OWNER, beir.name).id
            content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
            file = store.files.add(OWNER, "corpus.jsonl", content, "", "assistants")
            await ingestor.submit(OWNER, store_id, file.id)
            done = await ingestor.wait(OWNER, store_id, file.id)
            assert done.status == "completed", done.error
            named = store.vector_stores.resolve(OWNER, store_id)
            names = DocumentNames(store, OWNER, named)
            asked = [await _both(retriever, named, names, beir.queries[query]) for query in chosen]
            words = _rare_words(lines, chance)
            alone = [(await _both(retriever, named, names, word), document) for word, document in words]
    before, after = (
        [ndcg(each[form][0], beir.grades[q]) for q, each in zip(chosen, asked, strict=True)] for form in (0, 1)
    )
    reached = [sum(document in each[form][0][:10] for each, document in alone) for form in (0, 1)]
    spent = [round(1000 * median(each[form][1] for each in asked), 1) for form in (0, 1)]
    changed = sum(each[0][0] != each[1][0] for each in asked)
    p = round(randomisation_p(after, before), 4)
    return Row(
        *(beir.name, len(lines), len(chosen), round(fmean(before), 4), round(fmean(after), 4), changed, p),
        *(spent[0], spent[1], len(words), reached[0], reached[1]),
    )


_Search = tuple[Sequence[str], float]  # documents of the last stage, seconds


async def _both(retriever: Retriever, named: NamedStore, names: DocumentNames, query: str) -> tuple[_Search, _Search]:
    """Without the rule, and with it."""
    await _search(retriever, named, names, query)  # its vectors are remembered
    with without_the_rule():
        before = await _search(retriever, named, names, query)
    return before, await _search(retriever, named, names, query)


async def _search(retriever: Retriever, named: NamedStore, names: DocumentNames, query: str) -> _Search:
    vectors = await retriever.vectors(query)
    since = time.perf_counter()
    ranking = await retriever.rank(OWNER, [named], vectors, SearchParams(), Clock())
    seconds = time.perf_counter() - since
    return names.of([*stage_rankings(ranking).values()][-1]), seconds


def _sampled(beir: BeirSet, queries: Sequence[str], most: int | None, chance: random.Random) -> list[Mapping[str, Any]]:
    lines = [json.loads(line) for line in beir.corpus.read_text("utf-8").splitlines()]
    needed = {document for query in queries for document in beir.grades[query]}
    others = [line for line in lines if line["_id"] not in needed]
    room = len(others) if most is None else min(len(others), max(0, most - len(needed)))
    kept = needed | {line["_id"] for line in chance.sample(others, room)}
    return [line for line in lines if line["_id"] in kept]


def _rare_words(lines: Sequence[Mapping[str, Any]], chance: random.Random) -> list[tuple[str, str]]:
    """Words of one document each, with its id."""
    told = {line["_id"]: set(_WORD.findall(line["text"])) for line in lines}
    counts = Counter(word for words in told.values() for word in words)
    single = sorted((word, document) for document, words in told.items() for word in words if counts[word] == 1)
    return chance.sample(single, min(_WORDS, len(single)))


if __name__ == "__main__":
    main()
