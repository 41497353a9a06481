"""The whole pipeline on the real embedder, analyser, store and indexes."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.base import FloatArray
from models.embedders.e5 import E5Embedder
from models.errors import Unavailable
from retrieval.clock import Clock
from retrieval.evaluation.evaluation import evaluate, load_set
from retrieval.indexes.base.frequencies import together
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.rare import FIRST
from retrieval.ranking.search import Retriever
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan
from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from retrieval.types import SearchParams
from tests.retrieval.publishing import named
from tests.until import PATIENCE

ROWS = [
    {
        "_id": "refund",
        "title": "환불은 언제 되나요?",
        "text": "환불은 신청 후 3영업일 안에 처리됩니다.",
        "kind": "money",
    },
    {"_id": "push-on", "title": "알림 켜기", "text": "설정 > 알림에서 푸시 알림을 켜는 방법입니다.", "kind": "app"},
    {"_id": "push-off", "title": "알림 끄기", "text": "설정 > 알림에서 푸시 알림을 끄는 방법입니다.", "kind": "app"},
    {"_id": "notion", "title": "내보내기", "text": "회의록은 Notion에 자동으로 저장할 수 있습니다.", "kind": "app"},
    {
        "_id": "with",
        "title": "The with statement",
        "text": "A context manager wraps a block.",
        "kind": "python",
    },
]


class Bench:
    def __init__(self, store: Store, ingestor: Ingestor, retriever: Retriever, store_id: str) -> None:
        self.store, self.ingestor, self.retriever, self.store_id = store, ingestor, retriever, store_id

    async def filled(self, rows: Sequence[Mapping[str, str]]) -> str:
        """A new vector store of these rows."""
        store_id = self.store.vector_stores.create("me", "rows").id
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        file = self.store.files.add("me", "rows.jsonl", content, "application/jsonl", "assistants")
        await self.ingestor.submit("me", store_id, file.id)
        assert (await self.ingestor.wait("me", store_id, file.id)).status == "completed"
        return store_id

    async def ids(self, query: str, params: SearchParams | None = None) -> list[str]:
        found = await self.retriever.search(
            "me", named(self.store, "me", [self.store_id]), query, params or SearchParams(min_score=0)
        )
        return [scored.chunk.external_id for scored in found.evidence]


@pytest.fixture(scope="module")
def embedder() -> Iterator[E5Embedder]:
    embedder = E5Embedder.load(threads=1)
    yield embedder
    embedder.close()


@pytest.fixture
async def bench(tmp_path: Path, embedder: E5Embedder) -> AsyncIterator[Bench]:
    store, tokenizer = Store.open(tmp_path), Tokenizer.load()
    manager = IndexManager(store.changes, store.passages, tmp_path, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, tokenizer)
    await ingestor.start()
    store_id = store.vector_stores.create("me", "faq").id
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
    file = store.files.add("me", "faq.jsonl", content, "application/jsonl", "assistants")
    await ingestor.submit("me", store_id, file.id, {})
    await ingestor.wait("me", store_id, file.id)
    yield Bench(
        store,
        ingestor,
        Retriever(store, manager, embedder, tokenizer, RerankPlan(Ranker.load(), seconds=PATIENCE)),
        store_id,
    )
    await ingestor.aclose()
    manager.close()
    store.close()


async def test_the_right_passage_comes_first_in_both_languages(bench: Bench) -> None:
    assert (await bench.ids("환불 기간이 얼마나 걸리나요?"))[0] == "refund"
    assert (await bench.ids("what does a context manager do"))[0] == "with"
    assert (await bench.ids("Notion"))[0] == "notion"


async def test_switching_on_and_switching_off_are_not_confused(bench: Bench) -> None:
    assert (await bench.ids("푸시 알림 켜는 법"))[0] == "push-on"
    assert (await bench.ids("푸시 알림 끄는 법"))[0] == "push-off"


async def test_of_the_few_passages_with_the_rarest_word_one_is_always_among_the_first(bench: Bench) -> None:
    """However much better all others fit the rest of the question."""
    days = [{"_id": f"refund-{n}", "text": f"환불은 신청 후 {n}영업일 안에 카드로 처리됩니다."} for n in range(40)]
    bench.store_id = await bench.filled(
        [*days, {"_id": "parking", "text": "주차장 입구의 기둥 뒤에는 quokka 그림이 있다."}]
    )
    question = (
        "카드 환불은 신청 후 며칠 안에 처리되나요, quokka 환불도 카드로 되나요, 환불 처리 기간이 영업일로 얼마인가요?"
    )
    vectors = await bench.retriever.vectors(question)
    stores = named(bench.store, "me", [bench.store_id])
    for rerank in (True, False):
        ranking = await bench.retriever.rank("me", stores, vectors, SearchParams(rerank=rerank), Clock())
        ids = [passage.chunk.external_id for passage in ranking.passages]
        assert ids.index("parking") < FIRST
        best = ranking.probability[:STAGE_2_KEEPS].tolist()
        assert best == sorted(best, reverse=True)
        found = await bench.ids(question, SearchParams(min_score=0, keep=10, rerank=rerank))
        assert "parking" in found


async def test_every_candidate_keeps_each_scorers_own_score(bench: Bench) -> None:
    found = await bench.retriever.search(
        "me", named(bench.store, "me", [bench.store_id]), "환불", SearchParams(min_score=0)
    )
    assert len(found.candidates) == len(ROWS)
    for candidate in found.candidates:
        assert set(candidate.scored.scores) == {"bm25", "dense", "fused", "rerank1", "rerank2"}
        assert candidate.scored.score == pytest.approx(candidate.scored.scores["rerank2"])
        assert 0 <= candidate.scored.score <= 1
    assert {"embed", "legs", "fusion", "load", "rerank1", "rerank2", "context"} <= set(found.seconds)
    assert found.degraded == ()


async def test_the_last_stage_that_ran_sets_the_score(bench: Bench) -> None:
    params = SearchParams(min_score=0, rerank=False)
    found = await bench.retriever.search("me", named(bench.store, "me", [bench.store_id]), "환불", params)
    assert all("rerank1" not in candidate.scored.scores for candidate in found.candidates)
    assert all(0 <= scored.score <= 1 for scored in found.evidence)


async def test_a_floor_above_every_score_leaves_no_evidence_and_zero_keeps_all(bench: Bench) -> None:
    found = await bench.retriever.search(
        "me", named(bench.store, "me", [bench.store_id]), "환불", SearchParams(min_score=1.0)
    )
    assert found.no_evidence
    assert {candidate.dropped for candidate in found.candidates} == {"score_floor"}
    assert len(await bench.ids("환불", SearchParams(min_score=0))) == len(ROWS)


async def test_as_many_passages_come_back_as_are_asked_for(bench: Bench) -> None:
    rows = [{"_id": f"n{i}", "text": f"shipment {i} of {'abcdefghijklmnopqrstuvwxyz'[i]} goods"} for i in range(20)]
    file = bench.store.files.add(
        "me", "n.jsonl", "\n".join(map(json.dumps, rows)).encode(), "application/jsonl", "assistants"
    )
    await bench.ingestor.submit("me", bench.store_id, file.id, {})
    await bench.ingestor.wait("me", bench.store_id, file.id)
    assert len(await bench.ids("shipment of goods", SearchParams(min_score=0, keep=18))) == 18
    assert len(await bench.ids("shipment of goods", SearchParams(min_score=0, keep=18, rerank=False))) == 18


async def test_filters_hold_in_every_leg(bench: Bench) -> None:
    only_app = SearchParams(min_score=0, filters={"type": "eq", "key": "kind", "value": "app"})
    assert set(await bench.ids("환불은 언제 되나요?", only_app)) == {"push-on", "push-off", "notion"}


async def test_what_is_over_or_not_begun_is_found_only_by_a_filter_that_asks_for_it(bench: Bench) -> None:
    bounds = {
        "over": {"valid_until": "2020-01-01"},
        "to come": {"valid_from": "2999-01-01"},
        "now": {"valid_until": 4e9},
    }
    for name, attributes in bounds.items():
        file = bench.store.files.add("me", f"{name}.md", f"Holiday notice {name}: the office is closed.".encode())
        await bench.ingestor.submit("me", bench.store_id, file.id, attributes)
        await bench.ingestor.wait("me", bench.store_id, file.id)

    async def notices(filters: Any = None) -> set[str]:
        params = SearchParams(min_score=0, keep=50, filters=filters)
        found = await bench.retriever.search("me", named(bench.store, "me", [bench.store_id]), "holiday notice", params)
        every = [*found.evidence, *(candidate.scored for candidate in found.candidates)]
        return {name for name in bounds for one in every if f"notice {name}:" in one.chunk.text}

    assert await notices() == {"now"}
    assert await notices({"type": "ne", "key": "kind", "value": "app"}) == {"now"}
    assert await notices({"type": "lt", "key": "valid_until", "value": "2021"}) == {"over"}
    assert await notices({"type": "gt", "key": "valid_from", "value": "2021"}) == {"to come"}


async def test_an_empty_store_and_a_query_without_terms_find_nothing_and_fail_nothing(bench: Bench) -> None:
    empty = bench.store.vector_stores.create("me", "empty").id
    found = await bench.retriever.search("me", named(bench.store, "me", [empty]), "환불", SearchParams())
    assert found.no_evidence
    assert found.candidates == ()
    assert len(await bench.ids("…")) > 0


async def test_several_stores_are_searched_as_one_and_anothers_store_is_not_found(bench: Bench) -> None:
    other = bench.store.vector_stores.create("me", "other").id
    found = await bench.retriever.search(
        "me", named(bench.store, "me", [other, bench.store_id]), "환불", SearchParams(min_score=0)
    )
    assert found.evidence[0].chunk.external_id == "refund"
    with pytest.raises(NotFound):
        await bench.retriever.search("you", named(bench.store, "you", [bench.store_id]), "환불", SearchParams())


async def test_what_is_spread_over_stores_is_ranked_together_in_one_go(bench: Bench) -> None:
    stores = [await bench.filled([row]) for row in ROWS]
    reader = Reader("Notion")
    retriever = bench.retriever.with_plan(replace(bench.retriever.plan, reranker=reader))
    found = await retriever.search(
        "me", named(bench.store, "me", stores), "알림을 켜는 방법", SearchParams(min_score=0)
    )
    assert sorted(each.scored.chunk.external_id for each in found.candidates) == sorted(row["_id"] for row in ROWS)
    assert len(reader.read) == len(ROWS)  # one call, not one a store
    assert found.counts["dense"] == found.counts["fused"] == found.counts["rerank2"] == len(ROWS)
    few = await retriever.search(
        "me", named(bench.store, "me", stores), "알림을 켜는 방법", SearchParams(min_score=0, candidates=2)
    )
    assert (few.counts["dense"], few.counts["fused"]) == (len(ROWS), 2)


async def test_passages_of_several_stores_have_the_scores_that_their_own_stores_give(bench: Bench) -> None:
    stores = [await bench.filled(ROWS[:3]), await bench.filled(ROWS[3:])]
    query, params = "푸시 알림 Notion", SearchParams(min_score=0)
    alone = [await bench.retriever.search("me", named(bench.store, "me", [store]), query, params) for store in stores]
    own = {each.scored.chunk.id: each.scored.scores for found in alone for each in found.candidates}
    pooled = await bench.retriever.search("me", named(bench.store, "me", stores), query, params)
    assert len(pooled.candidates) == len(own) == len(ROWS)
    for candidate in pooled.candidates:
        for name in ("dense", "bm25", "rerank1"):
            assert candidate.scored.scores[name] == pytest.approx(own[candidate.scored.chunk.id][name], abs=1e-6)


async def test_rare_terms_are_those_that_are_rare_in_all_stores_together(bench: Bench) -> None:
    stores = [await bench.filled(ROWS[:3]), await bench.filled(ROWS[3:])]
    vectors = await bench.retriever.vectors("알림 Notion zebra")
    opened = bench.retriever._opened("me", named(bench.store, "me", [*stores, bench.store_id]), vectors, None)
    whole, halves = opened[2].frequencies(vectors.terms), [each.frequencies(vectors.terms) for each in opened[:2]]
    assert whole is not None
    assert together([*halves, None], len(vectors.terms)) == whole
    assert (together(halves, len(vectors.terms)).idf() == whole.idf()).all()
    assert together([None], 2).idf().tolist() == [0, 0]


async def test_a_store_that_is_named_twice_is_searched_once(bench: Bench) -> None:
    params = SearchParams(min_score=0)
    once = await bench.retriever.search("me", named(bench.store, "me", [bench.store_id]), "환불", params)
    twice = await bench.retriever.search("me", named(bench.store, "me", [bench.store_id] * 2), "환불", params)
    assert (once.candidates, once.counts) == (twice.candidates, twice.counts)


async def test_filters_and_owners_hold_in_each_of_several_stores(bench: Bench) -> None:
    stores = [await bench.filled(ROWS[:3]), await bench.filled(ROWS[3:])]
    only_app = SearchParams(min_score=0, filters={"type": "eq", "key": "kind", "value": "app"})
    found = await bench.retriever.search("me", named(bench.store, "me", stores), "환불은 언제 되나요?", only_app)
    assert {scored.chunk.external_id for scored in found.evidence} == {"push-on", "push-off", "notion"}
    theirs = bench.store.vector_stores.create("you", "theirs").id
    with pytest.raises(NotFound):
        await bench.retriever.search("me", named(bench.store, "me", [*stores, theirs]), "환불", only_app)
    nothing = await bench.retriever.search("me", named(bench.store, "me", []), "환불", SearchParams())
    assert (nothing.candidates, nothing.counts) == ((), {"evidence": 0})


async def test_a_latency_budget_of_nothing_degrades_openly(bench: Bench, tmp_path: Path) -> None:
    hurried = bench.retriever.with_plan(replace(bench.retriever.plan, seconds=1e-9))
    found = await hurried.search("me", named(bench.store, "me", [bench.store_id]), "환불", SearchParams(min_score=0))
    assert found.evidence[0].chunk.external_id == "refund"
    assert any(reason.startswith("rerank1: skipped") for reason in found.degraded)


class Reader:
    """A cross-encoder that finds a text the better the more often it holds `word`; down where told so."""

    name = "reader"

    def __init__(self, word: str, *, down: bool = False) -> None:
        self.word, self.down = word, down
        self.read: list[str] = []

    async def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        if self.down:
            raise Unavailable("the reranker is down")
        self.read += texts
        return np.array([4.0 * text.count(self.word) - 2 for text in texts], np.float32)

    def probability(self, logits: FloatArray) -> FloatArray:
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    async def aclose(self) -> None: ...


async def test_a_cross_encoder_reads_title_and_passage_and_sets_order_score_and_floor(bench: Bench) -> None:
    reader = Reader("Notion")
    retriever = bench.retriever.with_plan(replace(bench.retriever.plan, reranker=reader))
    found = await retriever.search(
        "me", named(bench.store, "me", [bench.store_id]), "환불은 언제 되나요?", SearchParams(min_score=0.5)
    )
    assert [scored.chunk.external_id for scored in found.evidence] == ["notion"]
    assert (
        found.evidence[0].score == pytest.approx(found.evidence[0].scores["rerank2"]) == pytest.approx(0.8808, abs=1e-3)
    )
    assert "내보내기\n회의록은 Notion에 자동으로 저장할 수 있습니다." in reader.read
    assert len(reader.read) == len(ROWS)


async def test_what_the_cross_encoder_has_not_read_stands_behind_what_it_has(bench: Bench) -> None:
    rows = [
        {"_id": f"n{i}", "text": f"shipment {i} of {'abcdefghijklmnopqrstuvwxyz'[i % 26]} goods"} for i in range(60)
    ]
    content = "\n".join(map(json.dumps, rows)).encode()
    file = bench.store.files.add("me", "n.jsonl", content, "application/jsonl", "assistants")
    await bench.ingestor.submit("me", bench.store_id, file.id, {})
    await bench.ingestor.wait("me", bench.store_id, file.id)
    reader = Reader("absent")
    retriever = bench.retriever.with_plan(replace(bench.retriever.plan, reranker=reader))
    found = await retriever.search(
        "me", named(bench.store, "me", [bench.store_id]), "shipment of goods", SearchParams(min_score=0)
    )
    assert len(reader.read) == 30
    by_read = {True: list[float](), False: list[float]()}
    for candidate in found.candidates:
        by_read["rerank2" in candidate.scored.scores].append(candidate.scored.score)
    assert (len(by_read[True]), len(by_read[False])) == (30, len(ROWS) + 60 - 30)
    assert max(by_read[False]) <= min(by_read[True])


async def test_a_cross_encoder_that_is_down_leaves_the_order_of_stage_1_and_says_so(bench: Bench) -> None:
    retriever = bench.retriever.with_plan(replace(bench.retriever.plan, reranker=Reader("", down=True)))
    found = await retriever.search(
        "me", named(bench.store, "me", [bench.store_id]), "환불은 언제 되나요?", SearchParams()
    )
    assert found.evidence[0].chunk.external_id == "refund"
    assert found.degraded == ("rerank2: skipped, the reranker is down",)


async def test_a_clear_lead_spares_stage_2_and_says_so(bench: Bench) -> None:
    reader = Reader("Notion")
    for margin, read in ((0.001, 0), (1.0, len(ROWS))):
        plan = replace(bench.retriever.plan, reranker=reader, margin=margin)
        found = await bench.retriever.with_plan(plan).search(
            "me", named(bench.store, "me", [bench.store_id]), "Notion", SearchParams(min_score=0)
        )
        assert len(reader.read) == read
        assert bool(found.skipped) == (read == 0)
        assert found.degraded == ()
        assert found.evidence[0].chunk.external_id == "notion"


async def test_evaluation_measures_every_stage_of_a_beir_folder(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "환불 기간"}\n{"_id": "q2", "text": "unjudged"}\n')
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\trefund\t1\n")
    beir = load_set(folder)
    assert list(beir.queries) == ["q1"]
    results = await evaluate(bench.retriever, bench.store, "me", bench.store_id, beir)
    assert list(results) == ["bm25", "dense", "rrf", "fused", "rerank1", "rerank2"]
    assert results["rerank2"].summary()["ndcg@10"] == 1
    assert results["bm25"].summary()["recall@100"] == 1


def test_a_broken_beir_folder_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.jsonl is missing"):
        load_set(tmp_path)
    (tmp_path / "corpus.jsonl").write_text("")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q2"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    with pytest.raises(ValueError, match=r"queries.jsonl:2"):
        load_set(tmp_path)
    (tmp_path / "qrels.tsv").write_text("q1 d1 1\n")
    with pytest.raises(ValueError, match=r"qrels.tsv:1"):
        load_set(tmp_path)
