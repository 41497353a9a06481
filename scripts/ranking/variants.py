"""BEIR sets with documents of other lengths: neighbours joined into one, long ones split into several.

A ranker that is fitted on short documents alone learns their shape (a document of one passage gives one candidate) and
takes it for relevance; the same texts in documents of one to thirteen, and in pieces, show it both.
"""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrieval.evaluation.evaluation import BeirSet, load_set

VARIANTS = ("joined", "split")
JOINED = (1, 2, 3, 5, 8, 13)  # documents in one
MOST = 700  # documents of a variant
PIECE = (250, 500, 1000)  # characters that a piece has, at least
_BREAK = re.compile(r"(?<=[.!?。])\s+|\n+")

Row = Mapping[str, Any]


def base(set_name: str) -> str:
    """The set that a variant was made of."""
    return set_name.partition("+")[0]


def variant(beir: BeirSet, how: str, folder: Path, queries: int, seed: int = 0) -> BeirSet:
    """The set NAME+how, written to `folder`: what is relevant to a query is every document with a part of what was.

    queries: at most so many; of a large corpus only their documents' neighbourhoods are taken.
    """
    rng = random.Random(seed)
    sample = rng.sample(sorted(beir.queries), min(queries, len(beir.queries)))
    beir = replace(beir, queries={name: beir.queries[name] for name in sample})
    with beir.corpus.open(encoding="utf-8") as lines:
        rows = _around([json.loads(line) for line in lines], beir)
    parts = list(_joined(rows, rng) if how == "joined" else _split(rows, rng))
    made = defaultdict(list)
    for row, sources in parts:
        for source in sources:
            made[source].append(row["_id"])
    target = folder / f"{beir.name}+{how}"
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "corpus.jsonl", [row for row, _ in parts])
    _write(target / "queries.jsonl", [{"_id": name, "text": text} for name, text in beir.queries.items()])
    graded = {
        (query, document): grade
        for query, grades in beir.grades.items()
        for source, grade in sorted(grades.items(), key=lambda each: each[1])
        for document in made[source]
    }
    judged = [f"{query}\t{document}\t{grade}\n" for (query, document), grade in graded.items()]
    (target / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8")
    if (plan := beir.folder / "abstain_leaveout.json").exists():
        left = json.loads(plan.read_text(encoding="utf-8"))
        left["drop_docs"] = sorted({document for source in left["drop_docs"] for document in made[source]})
        (target / plan.name).write_text(json.dumps(left), encoding="utf-8")
    return load_set(target)


def _around(rows: Sequence[Row], beir: BeirSet) -> list[Row]:
    """At most MOST documents, in their order: the relevant ones and what stands beside them, the nearer the sooner."""
    relevant = {document for name in beir.queries for document, grade in beir.grades[name].items() if grade > 0}
    places = [place for place, row in enumerate(rows) if row["_id"] in relevant]
    kept = set(places)
    for distance in range(1, len(rows)):
        if len(kept) >= MOST:
            break
        kept |= {place + step for place in places for step in (-distance, distance) if 0 <= place + step < len(rows)}
    return [rows[place] for place in sorted(kept)]


def _joined(rows: Sequence[Row], rng: random.Random) -> Iterator[tuple[Row, list[str]]]:
    """Neighbours in the corpus, each title above its text."""
    position = 0
    while position < len(rows):
        group = rows[position : position + rng.choice(JOINED)]
        position += len(group)
        titles = {row.get("title", "") for row in group}
        title = titles.pop() if len(titles) == 1 else ""
        texts = [row["text"] if title else f"{row.get('title', '')}\n\n{row['text']}".strip() for row in group]
        yield {"_id": group[0]["_id"], "title": title, "text": "\n\n".join(texts)}, [row["_id"] for row in group]


def _split(rows: Sequence[Row], rng: random.Random) -> Iterator[tuple[Row, list[str]]]:
    """At ends of sentences and lines."""
    for row in rows:
        least, pieces = rng.choice(PIECE), [""]
        for sentence in _BREAK.split(row["text"]):
            if len(pieces[-1]) >= least:
                pieces.append("")
            pieces[-1] += f"{sentence}\n"
        for number, text in enumerate(pieces):
            yield {"_id": f"{row['_id']}.{number}", "title": row.get("title", ""), "text": text}, [row["_id"]]


def _write(path: Path, rows: Sequence[Row]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
