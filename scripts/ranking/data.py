"""What scripts/fit_ranker.py learns from: BEIR folders indexed by the real pipeline, and each query's candidates.

An index is made once in .eval/ and reused while the corpus and the embedder stay the same (ingest is idempotent).
"""

import json
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.base import Embedder, FloatArray
from models.rerankers.late_interaction import maxsim
from retrieval.clock import Clock
from retrieval.evaluation.evaluation import BeirSet
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.features import relative, signs
from retrieval.ranking.find import Found
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.search import Retriever
from retrieval.ranking.stages import RerankPlan
from retrieval.store.base.values import NamedStore
from retrieval.store.store import Store

OWNER = "eval"
_LOADED = 1000  # passages at a time
STRANGER = "stranger"  # query id of a question that belongs to another set


@dataclass(frozen=True, slots=True)
class Bench:
    store: Store
    ingestor: Ingestor
    retriever: Retriever


@dataclass(frozen=True, slots=True)
class Example:
    """One query's candidates. relative: name -> (n,). grades: (n,) of their documents. names: document ids.

    gold: the query's whole judgments. legs: each leg's own document ranking.
    """

    set_name: str
    relative: dict[str, FloatArray]
    signs: dict[str, float]
    fused: FloatArray
    grades: FloatArray
    names: list[str]
    gold: dict[str, int]
    legs: dict[str, list[str]]
    answerable: bool = True
    stranger: bool = False


@asynccontextmanager
async def open_bench(folder: Path, embedder: Embedder) -> AsyncIterator[Bench]:
    """The embedder is closed at the end."""
    store, tokenizer = Store.open(folder), Tokenizer.load()
    manager = IndexManager(store.changes, store.passages, folder, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, tokenizer)
    plan = RerankPlan(Ranker.load(Ranker.file_for(lexical=embedder.lexical)))
    await ingestor.start()
    try:
        yield Bench(store, ingestor, Retriever(store, manager, embedder, tokenizer, plan))
    finally:
        await ingestor.aclose()
        manager.close()
        embedder.close()
        store.close()


async def index(bench: Bench, beir: BeirSet) -> NamedStore:
    """The set's vector store. Raises RuntimeError where the corpus cannot be indexed."""
    store_id = bench.store.vector_stores.ensure(OWNER, beir.name).id
    file = bench.store.files.add(
        OWNER, f"{beir.name}.jsonl", beir.corpus.read_bytes(), "application/jsonl", "assistants"
    )
    await bench.ingestor.submit(OWNER, store_id, file.id, {})
    done = await bench.ingestor.wait(OWNER, store_id, file.id)
    if done.status != "completed":
        raise RuntimeError(f"{beir.name}: {done.error}")
    return bench.store.vector_stores.resolve(OWNER, store_id)


class Names:
    """Chunk key -> document id of one set, all of it."""

    def __init__(self, store: Store, named: NamedStore) -> None:
        keys, _ = store.passages.visible_keys(named.id)
        self.by_key: dict[int, str] = {}
        for first in range(0, len(keys), _LOADED):
            loaded = store.passages.load(OWNER, named, keys[first : first + _LOADED])
            self.by_key |= {key: passage.chunk.external_id for key, passage in loaded.items()}

    def keys_without(self, documents: Collection[str]) -> set[int]:
        return {key for key, name in self.by_key.items() if name not in documents}

    def ranked(self, keys: list[int]) -> list[str]:
        return list(dict.fromkeys(self.by_key[key] for key in keys))


async def examples(bench: Bench, beir: BeirSet, others: Sequence[BeirSet], limit: int, seed: int = 0) -> list[Example]:
    """At most `limit` answerable queries; as many at most whose documents are deleted (abstain_leaveout.json); and a
    quarter as many of other sets of the same language, which this one cannot answer.
    """
    named = await index(bench, beir)
    names = Names(bench.store, named)
    sample = random.Random(seed).sample(sorted(beir.queries), min(limit, len(beir.queries)))
    found = [await _example(bench, named, names, beir, query_id, None) for query_id in sample]
    abstain = beir.folder / "abstain_leaveout.json"
    if abstain.exists():
        plan = json.loads(abstain.read_text(encoding="utf-8"))
        allowed = names.keys_without(set(plan["drop_docs"]))
        gone = [q for q in unanswerable(plan) if q in beir.queries]
        sample = random.Random(seed).sample(gone, min(limit, len(gone)))
        found += [await _example(bench, named, names, beir, query_id, allowed) for query_id in sample]
    strangers = sorted({text for other in others for text in other.queries.values()})
    for text in random.Random(seed).sample(strangers, min(limit // 4, len(strangers))):
        stranger = replace(beir, queries={STRANGER: text})
        found.append(await _example(bench, named, names, stranger, STRANGER, set(names.by_key)))
    return found


def unanswerable(plan: dict[str, list[str]]) -> list[str]:
    return next(values for key, values in plan.items() if key not in ("how", "drop_docs") and "unanswer" in key)


async def _example(
    bench: Bench, named: NamedStore, names: Names, beir: BeirSet, query_id: str, allowed: set[int] | None
) -> Example:
    vectors = await bench.retriever.vectors(beir.queries[query_id])
    found: Found = await bench.retriever.find(OWNER, named, vectors, 100, allowed, Clock())
    late = maxsim(vectors.tokens, [passage.token_code for passage in found.passages])
    candidates = replace(found.candidates, scores={**found.candidates.scores, "late": late})
    gold = dict(beir.grades[query_id]) if allowed is None else {}
    documents = [passage.chunk.external_id for passage in found.passages]
    return Example(
        set_name=beir.name,
        relative=relative(candidates),
        signs=signs(found.query, candidates),
        fused=found.fused,
        grades=np.array([max(gold.get(name, 0), 0) for name in documents], np.float32),
        names=documents,
        gold=gold,
        legs={leg: names.ranked([hit.key for hit in hits]) for leg, hits in sorted(found.legs.items())},
        answerable=allowed is None,
        stranger=query_id == STRANGER,
    )
