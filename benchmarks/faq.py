"""FAQ files against the same answers without their questions: nDCG@10 and recall@10 of every stage.

    python -m benchmarks.faq ../shared/data/{smartstore_faq_ko,debian_faq_ko,debian_faq_en} [--documents 800]

Each set's corpus is written as a CSV file (id, question, answer, keywords) into a temporary folder and read by the real
parser; corpus.jsonl, which has the answers alone, is the form "documents". What a person asks is here the FAQ's own
question: a form that indexes it has the query in its text, and its figures say only that nothing gets lost. related:
the same without a query's own FAQs, so that what the help centre links to them must be found by what it says itself;
only where a set grades such links. "csv, title" has the question in the title alone, "csv, text" in the text alone: the
weights 1 and 1 beside the 2 of "csv". p: paired randomisation test of nDCG@10 against "documents", at the last stage.
"""

import asyncio
import csv
import io
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness import note, options, report
from benchmarks.stores import OWNER, opened
from retrieval.clock import Clock
from retrieval.evaluation.evaluation import BeirSet, DocumentNames, load_set, stage_rankings
from retrieval.evaluation.metrics import ndcg, randomisation_p, recall
from retrieval.ranking.search import Retriever
from retrieval.store.base.values import NamedStore
from retrieval.store.store import Store
from retrieval.types import SearchParams

STAGES = ("bm25", "dense", "rerank2")
Faq = Mapping[str, Any]  # a line of corpus.jsonl


@dataclass(frozen=True, slots=True)
class Row:
    """Of queries: nDCG@10 by stage, recall@10 of the last one. own: all judgments; related: without the own FAQs."""

    set: str
    form: str
    judged: str
    queries: int
    bm25: float
    dense: float
    rerank2: float
    recall10: float
    p: float | None


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--documents", type=int, help="of a larger set: those that answer its queries, then others")
    arguments.add_argument("--queries", type=int, default=300)
    arguments.add_argument("--linked", action="store_true", help="queries whose FAQ links to others alone")
    arguments.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    given = arguments.parse_args()
    rows: list[Row] = []
    for folder in given.folders:
        beir = load_set(Path(folder))
        chance = random.Random(given.seed)
        asked = [query for query in sorted(beir.queries) if not given.linked or len({*beir.grades[query].values()}) > 1]
        chosen = sorted(chance.sample(asked, min(given.queries, len(asked))))
        lines = _sampled(beir, chosen, given.documents, chance)
        rows += asyncio.run(_set(beir, chosen, lines, given.forms))
    report("faq", given, rows)


def _sampled(beir: BeirSet, queries: Sequence[str], most: int | None, chance: random.Random) -> list[Faq]:
    lines = [json.loads(line) for line in beir.corpus.read_text("utf-8").splitlines()]
    if most is None or most >= len(lines):
        return lines
    needed = {document for query in queries for document in beir.grades[query]}
    others = [line for line in lines if line["_id"] not in needed]
    kept = needed | {line["_id"] for line in chance.sample(others, max(0, most - len(needed)))}
    return [line for line in lines if line["_id"] in kept]


def _documents(lines: Sequence[Faq]) -> bytes:
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()


def _csv(question: str, answer: str) -> Callable[[Sequence[Faq]], bytes]:
    """question, answer: names of their columns; the same one: both in one cell."""

    def written(lines: Sequence[Faq]) -> bytes:
        table = io.StringIO()
        rows = csv.writer(table)
        rows.writerow(["id", *dict.fromkeys((question, answer)), "keywords"])
        for line in lines:
            said = line["metadata"]
            cells = {question: said["question"]}
            cells[answer] = f"{cells[answer]}\n{line['text']}" if answer in cells else line["text"]
            rows.writerow([line["_id"], *cells.values(), ", ".join(said.get("tags", []))])
        return table.getvalue().encode()

    return written


FORMS: Mapping[str, tuple[str, Callable[[Sequence[Faq]], bytes]]] = {
    "documents": ("corpus.jsonl", _documents),
    "csv": ("faq.csv", _csv("question", "answer")),
    "csv, title": ("title.csv", _csv("title", "text")),
    "csv, text": ("text.csv", _csv("text", "text")),
}


async def _set(beir: BeirSet, chosen: Sequence[str], lines: Sequence[Faq], forms: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    first: dict[str, list[float]] = {}
    for form in forms:
        name, written = FORMS[form]
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder)) as (store, ingestor, retriever):
                store_id = store.vector_stores.create(OWNER, form).id
                file = store.files.add(OWNER, name, written(lines), "", "assistants")
                await ingestor.submit(OWNER, store_id, file.id)
                done = await ingestor.wait(OWNER, store_id, file.id)
                assert done.status == "completed", done.error
                assert done.documents == len(lines), done
                vs = store.vector_stores.resolve(OWNER, store_id)
                ranked = [await _ranked(retriever, store, vs, beir.queries[query]) for query in chosen]
        for judged, of in (("all", _own), ("related", _related)):
            if row := _row(beir, form, judged, [of(beir.grades[q], r) for q, r in zip(chosen, ranked, strict=True)]):
                last, scores = row
                before = first.setdefault(judged, scores)
                rows.append(last if before is scores else replace(last, p=round(randomisation_p(scores, before), 4)))
                note(rows[-1])
    return rows


async def _ranked(retriever: Retriever, store: Store, vs: NamedStore, query: str) -> dict[str, list[str]]:
    """Stage -> document ids."""
    vectors = await retriever.vectors(query)
    ranking = await retriever.rank(OWNER, [vs], vectors, SearchParams(), Clock())
    names = DocumentNames(store, OWNER, vs)
    return {stage: names.of(keys) for stage, keys in stage_rankings(ranking).items() if stage in STAGES}


_Judged = tuple[Mapping[str, int], Mapping[str, Sequence[str]]]


def _own(grades: Mapping[str, int], ranked: Mapping[str, Sequence[str]]) -> _Judged:
    return grades, ranked


def _related(grades: Mapping[str, int], ranked: Mapping[str, Sequence[str]]) -> _Judged:
    """Without the FAQs of the highest grade, the query's own; nothing is left where that is the only one."""
    highest = max(grades.values())
    own = {document for document, grade in grades.items() if grade == highest}
    left = {document: grade for document, grade in grades.items() if document not in own}
    return left, {stage: [each for each in names if each not in own] for stage, names in ranked.items()}


def _row(beir: BeirSet, form: str, judged: str, found: Sequence[_Judged]) -> tuple[Row, list[float]] | None:
    counted = [(grades, ranked) for grades, ranked in found if any(grade > 0 for grade in grades.values())]
    if not counted:
        return None
    scores = {stage: [ndcg(ranked[stage], grades) for grades, ranked in counted] for stage in STAGES}
    bm25, dense, rerank2 = (round(fmean(scores[stage]), 4) for stage in STAGES)
    reached = round(fmean(recall(ranked["rerank2"], grades, 10) for grades, ranked in counted), 4)
    return Row(beir.name, form, judged, len(counted), bm25, dense, rerank2, reached, None), scores["rerank2"]


if __name__ == "__main__":
    main()
