"""The cuda profile, whole, on the CPU: small random checkpoints of the real shapes in place of BGE-M3 and its reranker.

Random weights rank nothing well: what is tested is that every part of the profile is at work in every answer.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.embedders.bge_m3 import BgeM3Embedder
from models.errors import Unavailable
from models.rerankers.cross_encoder import CrossEncoderReranker
from retrieval.passages.tokenize import Tokenizer
from server.app.build import open_parts
from server.settings.settings import Settings
from tests.server.house import KOREAN, QUESTION, House, house
from tests.stub_engine import Finish

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch")]


@pytest.fixture
def models(bge_m3_checkpoint: Path, reranker_checkpoint: Path) -> dict[str, str]:
    return {"embedder": str(bge_m3_checkpoint), "reranker": str(reranker_checkpoint), "device": "cpu"}


@pytest.fixture
async def pod(tmp_path: Path, tokenizer: Tokenizer, models: dict[str, str]) -> AsyncIterator[House]:
    async with house(tmp_path / "data", None, tokenizer, profile="cuda", models=models) as opened:
        await opened.ingest("default", KOREAN)
        yield opened


async def asked(pod: House) -> dict[str, Any]:
    pod.stub.script("이틀입니다 [1]", Finish())
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": "ragpod", "messages": messages, "ragpod": {"explain": True}}
    status, answer = await pod.post("/v1/chat/completions", body)
    assert status == 200
    return answer


async def test_every_leg_and_both_stages_score_every_candidate(pod: House) -> None:
    assert isinstance(pod.parts.library.embedder, BgeM3Embedder)
    assert isinstance(pod.parts.library.plan.reranker, CrossEncoderReranker)
    answer = await asked(pod)
    assert answer["ragpod"]["degraded"] == answer["ragpod"]["skipped"] == []
    assert {"embed", "legs", "fusion", "load", "rerank1", "rerank2", "context"} <= answer["ragpod"]["timings_ms"].keys()
    candidates = answer["ragpod"]["candidates"]
    assert len(candidates) == len(KOREAN)
    for candidate in candidates:
        assert candidate["scores"].keys() == {"bm25", "dense", "sparse", "fused", "rerank1", "rerank2"}
        assert candidate["score"] == pytest.approx(candidate["scores"]["rerank2"])
    citations = answer["choices"][0]["message"]["context"]["citations"]
    assert [citation["score"] for citation in citations] == sorted((c["score"] for c in citations), reverse=True)


async def test_embeddings_and_rerank_are_served_from_the_same_models(pod: House) -> None:
    given = await pod.openai.embeddings.create(model="ragpod", input=[QUESTION, "다른 글"])
    assert [len(one.embedding) for one in given.data] == [pod.parts.library.embedder.dim] * 2
    status, ranked = await pod.post("/v1/rerank", {"query": QUESTION, "documents": list(KOREAN.values())})
    assert status == 200
    reranker = pod.parts.library.plan.reranker
    assert reranker is not None
    expected = reranker.probability(await reranker.score(QUESTION, list(KOREAN.values()))).tolist()
    found = {one["index"]: one["relevance_score"] for one in ranked["results"]}
    assert [found[i] for i in range(len(KOREAN))] == pytest.approx(expected, abs=1e-5)


async def test_without_a_reranker_the_answer_rests_on_late_interaction(
    tmp_path: Path, tokenizer: Tokenizer, models: dict[str, str]
) -> None:
    given = models | {"reranker": ""}
    async with house(tmp_path / "data", None, tokenizer, profile="cuda", models=given) as pod:
        await pod.ingest("default", KOREAN)
        answer = await asked(pod)
        assert answer["ragpod"]["degraded"] == []
        assert all(c["scores"].keys() >= {"sparse", "rerank1"} for c in answer["ragpod"]["candidates"])
        assert all("rerank2" not in c["scores"] for c in answer["ragpod"]["candidates"])
        assert (await pod.post("/v1/rerank", {"query": QUESTION, "documents": ["하나", "둘"]}))[0] == 200


async def test_a_restart_finds_every_index_as_it_was(
    tmp_path: Path, tokenizer: Tokenizer, models: dict[str, str]
) -> None:
    found = []
    for _ in range(2):
        async with house(tmp_path / "data", None, tokenizer, profile="cuda", models=models) as pod:
            await pod.ingest("default", KOREAN)
            answer = await asked(pod)
            found.append([(c["chunk_id"], c["scores"]) for c in answer["ragpod"]["candidates"]])
    assert [chunk for chunk, _ in found[0]] == [chunk for chunk, _ in found[1]]
    for (_, first), (_, second) in zip(*found, strict=True):
        assert first == pytest.approx(second, abs=1e-4)


async def test_a_model_folder_without_its_heads_stops_the_start(tmp_path: Path, models: dict[str, str]) -> None:
    engine = {"url": "http://127.0.0.1:9/v1"}
    given = models | {"embedder": models["reranker"]}
    settings = Settings.load(data_dir=tmp_path / "data", profile="cuda", models=given, engine=engine)
    with pytest.raises(Unavailable, match=r"colbert_linear\.pt, sparse_linear\.pt missing"):
        async with open_parts(settings):
            pass
