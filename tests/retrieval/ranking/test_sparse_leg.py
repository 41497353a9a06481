"""Learned lexical weights, from the embedder to a candidate: store, change log, index, ranking, evaluation."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.evaluation.evaluation import evaluate, load_set
from retrieval.indexes.consistency import Difference
from retrieval.indexes.manager import IndexManager
from retrieval.indexes.sparse.index import SparseIndex
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.search import Retriever
from retrieval.ranking.stages import RerankPlan
from retrieval.store.base.values import EmbedderMismatch
from retrieval.store.store import Store
from retrieval.types import SearchParams
from tests.retrieval.lexical_e5 import LexicalE5
from tests.retrieval.publishing import DIM, attach, named, passages, publish, take_up, token_weights
from tests.retrieval.store.old_databases import old_database
from tests.retrieval.watching import Asked


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path)) as opened:
        yield opened


@pytest.fixture
def vs(store: Store) -> str:
    return store.vector_stores.create("ann", "handbook").id


def sparse(manager: IndexManager, vs: str) -> SparseIndex:
    manager.refresh(vs)
    return manager.indexes(vs)[SparseIndex]


def names(manager: IndexManager, vs: str) -> list[str]:
    return [index.name for index in manager.indexes(vs)]


def found(store: Store, manager: IndexManager, vs: str, word: str) -> list[str]:
    keys = [hit.key for hit in sparse(manager, vs).search(token_weights(word), 10)]
    loaded = passages(store, vs, keys)
    return [loaded[key].chunk.text for key in keys]


def test_what_is_published_is_found_and_what_is_detached_is_not(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert names(manager, vs) == ["dense", "bm25"]  # no embedder has claimed the store yet
    kept = publish(store, vs, "a.txt", ["alpha beta", "beta beta"], lexical=True)
    assert found(store, manager, vs, "beta") == ["beta beta", "alpha beta"]
    publish(store, vs, "b.txt", ["gamma beta beta beta"], lexical=True)
    assert found(store, manager, vs, "beta")[0] == "gamma beta beta beta"
    store.attachments.detach("ann", vs, kept.file_id)
    assert found(store, manager, vs, "beta") == ["gamma beta beta beta"]
    assert manager.check() == []
    with store.database.read() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM lexical_weights").fetchone()[0] == 1


def test_a_store_of_an_embedder_without_lexical_weights_has_no_third_index(
    store: Store, vs: str, tmp_path: Path
) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "a.txt", ["alpha"])
    manager.refresh(vs)
    manager.close()
    assert names(IndexManager(store.changes, store.passages, tmp_path), vs) == ["dense", "bm25"]
    assert not (tmp_path / "indexes" / vs / "sparse.index").exists()
    assert manager.check() == []


def test_lexical_weights_are_part_of_what_a_store_holds(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    attempt = take_up(store, attach(store, vs, "b.txt", "beta").version).attempt
    with pytest.raises(EmbedderMismatch, match=r"embeds with synthetic .*lexical weights"):
        store.versions.claim_embedder(attempt, "synthetic", DIM, lexical=True)


def test_the_same_text_takes_its_weights_along(store: Store, vs: str, tmp_path: Path) -> None:
    """A second file with a text that is there already is not embedded again."""
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "a.txt", ["alpha"], lexical=True)
    publish(store, vs, "copy.txt", ["alpha", "beta"], lexical=True)
    assert found(store, manager, vs, "alpha") == ["alpha", "alpha"]
    publish(store, vs, "copy.txt", ["alpha", "gamma"], lexical=True)  # a new version keeps the unchanged document
    assert found(store, manager, vs, "alpha") == ["alpha", "alpha"]
    assert found(store, manager, vs, "beta") == []
    assert manager.check() == []


def test_the_weights_count_as_bytes_used(store: Store, vs: str) -> None:
    plain = store.vector_stores.create("ann", "plain").id
    publish(store, vs, "a.txt", ["alpha beta"], lexical=True)
    publish(store, plain, "a.txt", ["alpha beta"])
    used = [store.vector_stores.find("ann", each).usage_bytes for each in (vs, plain)]
    assert used[0] == used[1] + 2 * 6


def test_check_tells_what_differs_and_rebuild_heals_it(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"], lexical=True)
    (one, two), seq = store.passages.visible_keys(vs)
    manager = IndexManager(store.changes, store.passages, tmp_path)
    sparse(manager, vs).apply(seq, [(99, b"")], [one])
    assert manager.check("ann") == [Difference(vs, "sparse", missing=(one,), extra=(99,))]
    manager.rebuild(vs)
    assert manager.check() == []
    with store.database.write() as db:
        db.exec_driver_sql("DELETE FROM lexical_weights WHERE chunk = ?", (two,))
    assert manager.check() == [Difference(vs, "lexical_weights", missing=(two,))]


@pytest.mark.parametrize("damage", ["deleted", "overwritten", "older than the log"])
def test_an_index_that_cannot_be_used_is_made_anew(store: Store, vs: str, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "indexes" / vs / "sparse.index"
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "a.txt", ["alpha"], lexical=True)
    first.refresh(vs)
    first.close()
    old = path.read_bytes()
    publish(store, vs, "b.txt", ["beta"], lexical=True)
    first.refresh(vs)
    first.close()  # trims the log
    match damage:
        case "deleted":
            path.unlink()
        case "overwritten":
            path.write_bytes(b"damaged")
        case _:
            path.write_bytes(old)
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "alpha") == ["alpha"]
    assert found(store, reopened, vs, "beta") == ["beta"]
    assert reopened.check() == []


def test_an_index_catches_up_after_a_crash(store: Store, vs: str, tmp_path: Path) -> None:
    """The first manager is never closed: its sparse index was never written."""
    publish(store, vs, "a.txt", ["alpha"], lexical=True)
    IndexManager(store.changes, store.passages, tmp_path, DIM).refresh(vs)
    gone = publish(store, vs, "b.txt", ["alpha gamma"], lexical=True)
    publish(store, vs, "c.txt", ["alpha delta"], lexical=True)
    store.attachments.detach("ann", vs, gone.file_id)
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert sorted(found(store, reopened, vs, "alpha")) == ["alpha", "alpha delta"]
    assert reopened.check() == []


def test_closed_indexes_open_without_reading_the_store_again(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", [f"word{i}" for i in range(50)], lexical=True)
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    first.refresh(vs)
    first.close()
    asked = Asked(store)
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "word7") == ["word7"]
    publish(store, vs, "one.txt", ["needle"], lexical=True)
    assert found(store, reopened, vs, "needle") == ["needle"]
    assert asked.rows == 3  # its vector, terms and weights


def test_a_vector_store_of_before_lexical_weights_has_none(tmp_path: Path) -> None:
    with closing(sqlite3.connect(old_database(tmp_path / "ragpod.db", 1, filled=False))) as old, old:
        old.execute(
            "INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at, embedder, dim)"
            " VALUES ('vs_old', 'ann', 'old', '{}', 1, 1, 'synthetic', ?)",
            (DIM,),
        )
    with closing(Store.open(tmp_path)) as store:
        publish(store, "vs_old", "a.txt", ["alpha"])
        manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
        assert names(manager, "vs_old") == ["dense", "bm25"]
        assert manager.check() == []
        publish(store, store.vector_stores.create("ann", "new").id, "a.txt", ["alpha"], lexical=True)


ROWS = [
    {"_id": "refund", "text": "Refunds take three working days."},
    {"_id": "push", "text": "Switch push notifications on under Settings."},
    {"_id": "zebra", "text": "The zebra crossing tariff is 77 units."},
]


class Bench:
    def __init__(self, store: Store, retriever: Retriever, store_id: str) -> None:
        self.store, self.retriever, self.store_id = store, retriever, store_id

    async def scores(self, legs: Mapping[str, float], query: str = "zebra tariff") -> dict[str, Mapping[str, float]]:
        """External id -> scores of each candidate, under a ranker of these legs."""
        ranker = replace(self.retriever.plan.ranker, legs=legs)
        retriever = self.retriever.with_plan(RerankPlan(ranker))
        result = await retriever.search(
            "me", named(self.store, "me", [self.store_id]), query, SearchParams(min_score=0)
        )
        assert set(result.counts) >= set(legs)
        candidates = [candidate.scored for candidate in result.candidates]
        return {scored.chunk.external_id: scored.scores for scored in candidates}


@pytest.fixture(scope="module")
def embedder() -> Iterator[LexicalE5]:
    embedder = LexicalE5(E5Embedder.load(threads=1))
    yield embedder
    embedder.close()


@pytest.fixture
async def bench(tmp_path: Path, embedder: LexicalE5) -> AsyncIterator[Bench]:
    store, tokenizer = Store.open(tmp_path), Tokenizer.load()
    manager = IndexManager(store.changes, store.passages, tmp_path, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, tokenizer)
    await ingestor.start()
    store_id = store.vector_stores.create("me", "faq").id
    content = "\n".join(map(json.dumps, ROWS)).encode()
    file = store.files.add("me", "faq.jsonl", content, "application/jsonl", "assistants")
    await ingestor.submit("me", store_id, file.id, {})
    assert (await ingestor.wait("me", store_id, file.id)).status == "completed"
    yield Bench(store, Retriever(store, manager, embedder, tokenizer), store_id)
    await ingestor.aclose()
    manager.close()
    store.close()


async def test_every_candidate_has_its_exact_sparse_score(bench: Bench) -> None:
    scores = await bench.scores({"bm25": 0.35, "dense": 0.5, "sparse": 0.15})
    assert {name: given["sparse"] for name, given in scores.items()} == {"zebra": 2.0, "push": 0.0, "refund": 0.0}


async def test_a_leg_that_the_ranker_does_not_name_gives_no_candidates(bench: Bench) -> None:
    assert set(await bench.scores({"sparse": 1.0})) == {"zebra"}
    assert len(await bench.scores({"dense": 1.0})) == len(ROWS)
    with_sparse, without = await bench.scores({"sparse": 1.0, "dense": 0.5}), await bench.scores({"dense": 0.5})
    assert with_sparse["zebra"]["fused"] > without["zebra"]["fused"]
    assert without["zebra"]["sparse"] == 2.0  # it scores what the others have found


async def test_a_weight_of_nothing_gives_candidates_and_leaves_the_order_alone(bench: Bench) -> None:
    scores, plain = await bench.scores({"sparse": 0.0, "dense": 0.5}), await bench.scores({"dense": 0.5})
    assert {name: given["fused"] for name, given in scores.items()} == pytest.approx(
        {name: given["fused"] for name, given in plain.items()}
    )


async def test_the_rankers_file_of_lexical_embedders_names_the_leg_and_uses_it(bench: Bench) -> None:
    ranker = Ranker.load(Ranker.file_for(lexical=True))
    assert set(ranker.legs) == set(ranker.stages["fused"].relative) == {"bm25", "dense", "sparse"}
    assert sum(ranker.legs.values()) == pytest.approx(1)
    assert "sparse" not in Ranker.load(Ranker.file_for(lexical=False)).legs
    result = await bench.retriever.with_plan(RerankPlan(ranker, seconds=0.0)).search(
        "me", named(bench.store, "me", [bench.store_id]), "zebra tariff", SearchParams(min_score=0)
    )
    assert result.evidence[0].chunk.external_id == "zebra"


def test_a_ranker_without_the_leg_has_forgotten_all_of_it() -> None:
    plain = Ranker.load(Ranker.file_for(lexical=True)).without("sparse")
    assert set(plain.legs) == {"bm25", "dense"}
    assert set(plain.stages["rerank1"].relative) == {"bm25", "dense", "late"}
    e5 = Ranker.load()
    assert e5.without("sparse") == e5
    assert not any("bm25_best" in stage.signs for stage in e5.without("bm25").stages.values())


async def test_evaluation_ranks_a_second_time_without_the_leg(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "zebra tariff"}\n{"_id": "q2", "text": "refunds"}\n')
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tzebra\t1\nq2\trefund\t1\n")
    ranker = replace(bench.retriever.plan.ranker, legs={"bm25": 0.35, "dense": 0.5, "sparse": 0.15})
    retriever = bench.retriever.with_plan(RerankPlan(ranker))
    results = await evaluate(retriever, bench.store, "me", bench.store_id, load_set(folder))
    stages = ["fused", "rerank1", "rerank2"]
    assert list(results) == ["bm25", "dense", "sparse", "rrf", *stages, *(f"{each} without sparse" for each in stages)]
    assert {len(found.ndcg) for found in results.values()} == {2}
    assert all(found.summary()["p50_ms"] > 0 for found in results.values())
