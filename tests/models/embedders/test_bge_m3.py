"""BgeM3Embedder against FlagEmbedding on the same checkpoints: a random one of BGE-M3's shape, and real weights."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Embedding
from models.embedders.bge_m3 import BgeM3Embedder
from models.embedders.e5 import E5Embedder
from models.errors import Overloaded, Unavailable

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch"), pytest.mark.asyncio(loop_scope="module")]

TEXTS = [
    "환불은 며칠 안에 되나요?",
    "How long does a refund take?",
    "구매자가 반품을 신청하면 영업일 기준 3일 안에 카드 승인이 취소됩니다. " * 6,
    "Lectotype, the specimen 'Å ﬁ ½' of 1758; see also §3.2 <unk> and 👍🏽.",
    "",
    "a",
    "긴 글 long text " * 400,
    "   \n\t ",
    "반복 반복 반복 repeat repeat repeat",
]


def loaded(checkpoint: Path, **options: Any) -> Iterator[BgeM3Embedder]:
    embedder = BgeM3Embedder.load(str(checkpoint), device="cpu", **options)
    yield embedder
    embedder.close()


@pytest.fixture(scope="module")
def tiny(bge_m3_checkpoint: Path) -> Iterator[BgeM3Embedder]:
    yield from loaded(bge_m3_checkpoint)


@pytest.fixture(scope="module")
def small_passes(bge_m3_checkpoint: Path) -> Iterator[BgeM3Embedder]:
    yield from loaded(bge_m3_checkpoint, token_budget=60, wait_seconds=0)


@pytest.fixture(scope="module")
def one_by_one(bge_m3_checkpoint: Path) -> Iterator[BgeM3Embedder]:
    yield from loaded(bge_m3_checkpoint, token_budget=1, wait_seconds=0)


@pytest.fixture(scope="module")
def real(e5_checkpoint: Path) -> Iterator[BgeM3Embedder]:
    yield from loaded(e5_checkpoint)


def flag_embedding(checkpoint: Path) -> Any:
    library = pytest.importorskip("FlagEmbedding", reason="needs FlagEmbedding: make test-torch")
    return library.BGEM3FlagModel(str(checkpoint), use_fp16=False, devices="cpu")


@pytest.fixture(scope="module")
def flag_tiny(bge_m3_checkpoint: Path) -> Any:
    return flag_embedding(bge_m3_checkpoint)


@pytest.fixture(scope="module")
def flag_real(e5_checkpoint: Path) -> Any:
    return flag_embedding(e5_checkpoint)


@dataclass(frozen=True)
class Subject:
    """One checkpoint, and both ways to run it."""

    checkpoint: Path
    embedder: BgeM3Embedder
    reference: Any


@pytest.fixture(scope="module", params=["random", "real"])
def subject(request: pytest.FixtureRequest) -> Subject:
    names = {"random": ("bge_m3_checkpoint", "tiny", "flag_tiny"), "real": ("e5_checkpoint", "real", "flag_real")}
    return Subject(*map(request.getfixturevalue, names[request.param]))


@contextmanager
def passes(before: Callable[[int], object] = lambda texts: None) -> Iterator[list[tuple[int, int]]]:
    """(texts, padded length) of every pass of an XLM-R encoder, as it begins; `before` is called with its texts."""
    from transformers import XLMRobertaModel

    seen: list[tuple[int, int]] = []
    forward = XLMRobertaModel.forward

    def watched(self: Any, input_ids: Any, **named: Any) -> Any:
        texts, length = input_ids.shape
        seen.append((texts, length))
        before(texts)
        return forward(self, input_ids, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(XLMRobertaModel, "forward", watched)
        yield seen


def assert_equal(ours: Embedding, theirs: dict[str, Any], atol: float = 1e-4) -> None:
    np.testing.assert_allclose(ours.dense, theirs["dense_vecs"], atol=atol)
    for sparse, weights in zip(ours.sparse or (), theirs["lexical_weights"], strict=True):
        expected = {int(token): float(weight) for token, weight in weights.items()}
        for token in sparse.keys() | expected.keys():
            assert sparse.get(token, 0) == pytest.approx(expected.get(token, 0), abs=atol)
    for tokens, vectors in zip(ours.tokens or (), theirs["colbert_vecs"], strict=True):
        np.testing.assert_allclose(tokens, vectors, atol=atol)


def picked(embedding: Embedding, order: list[int]) -> dict[str, Any]:
    """In FlagEmbedding's form, to compare with."""
    return {
        "dense_vecs": embedding.dense[order],
        "lexical_weights": [(embedding.sparse or ())[i] for i in order],
        "colbert_vecs": [(embedding.tokens or ())[i] for i in order],
    }


async def test_the_numbers_are_those_of_flag_embedding(subject: Subject) -> None:
    ours = await subject.embedder.embed_documents(TEXTS, tokens=True)
    theirs = subject.reference.encode(
        TEXTS, max_length=512, batch_size=4, return_dense=True, return_sparse=True, return_colbert_vecs=True
    )
    assert_equal(ours, theirs)
    assert sum(map(len, ours.sparse or ())) > 20
    assert all(weight > 0 for weights in ours.sparse or () for weight in weights.values())
    assert ours.dense.dtype == np.float32
    assert all(tokens.dtype == np.float32 for tokens in ours.tokens or ())


async def test_queries_and_documents_are_embedded_alike_and_token_vectors_only_when_asked_for(
    tiny: BgeM3Embedder,
) -> None:
    query, document = await tiny.embed_queries(TEXTS[:1]), await tiny.embed_documents(TEXTS[:1], tokens=True)
    np.testing.assert_allclose(query.dense, document.dense, atol=1e-6)
    assert query.sparse is not None
    assert query.tokens is None
    assert document.tokens is not None
    # One row a token and one for </s>, as FlagEmbedding has it.
    assert len(document.tokens[0]) == len(tiny.token_spans(TEXTS[0])) + 1


def sentence_transformer(checkpoint: Path, pooling: str) -> Any:
    library = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers: make test-torch")
    from sentence_transformers.sentence_transformer import modules

    transformer = modules.Transformer(str(checkpoint))
    pooled = modules.Pooling(transformer.get_embedding_dimension(), pooling)
    return library.SentenceTransformer(modules=[transformer, pooled], device="cpu")


async def test_real_weights_give_the_vectors_of_the_embedded_profile(e5_checkpoint: Path) -> None:
    """multilingual-e5-small, mean-pooled by sentence-transformers, against the int8 graph of models/embedders/e5.py."""
    texts = [text for text in TEXTS if text.strip()]
    mean = sentence_transformer(e5_checkpoint, "mean")
    expected = mean.encode([f"passage: {text}" for text in texts], normalize_embeddings=True)
    bundled = E5Embedder.load()
    cosines = ((await bundled.embed_documents(texts)).dense * expected).sum(axis=1)
    bundled.close()
    assert cosines.min() > 0.99


async def test_the_dense_vector_is_that_of_sentence_transformers(subject: Subject) -> None:
    expected = sentence_transformer(subject.checkpoint, "cls").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose((await subject.embedder.embed_documents(TEXTS)).dense, expected, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12), small=st.booleans())
async def test_batches_of_any_order_and_size_give_the_same_numbers(
    one_by_one: BgeM3Embedder, small_passes: BgeM3Embedder, tiny: BgeM3Embedder, order: list[int], small: bool
) -> None:
    alone = await one_by_one.embed_documents(TEXTS, tokens=True)
    together = await (small_passes if small else tiny).embed_documents([TEXTS[i] for i in order], tokens=True)
    assert_equal(together, picked(alone, order), atol=1e-5)


async def test_a_query_is_one_forward_pass(tiny: BgeM3Embedder, flag_tiny: Any) -> None:
    with passes() as seen:
        await tiny.embed_queries(["환불 정책"], tokens=True)
    assert len(seen) == 1
    with passes() as seen:
        flag_tiny.encode(["환불 정책"], return_dense=True, return_sparse=True, return_colbert_vecs=True)
    assert len(seen) == 2


async def test_users_share_forward_passes(tiny: BgeM3Embedder, bge_m3_checkpoint: Path) -> None:
    text, users = "같은 길이", 40
    budget = users * (len(tiny.token_spans(text)) + 2)
    # A pass begins when all are there, or in ten minutes.
    embedder = BgeM3Embedder.load(str(bge_m3_checkpoint), device="cpu", wait_seconds=600, token_budget=budget)
    with passes() as seen:
        found = await asyncio.gather(*(embedder.embed_queries([text]) for _ in range(users)))
    assert [texts for texts, _ in seen] == [users]
    np.testing.assert_allclose(np.concatenate([one.dense for one in found]), found[0].dense.repeat(users, 0), atol=1e-5)
    embedder.close()
    with pytest.raises(Unavailable, match="closed"):
        await embedder.embed_queries(["질문"])


async def test_an_ingest_is_cut_into_passes_within_the_budget(small_passes: BgeM3Embedder) -> None:
    short = [text for text in TEXTS if len(text) < 100] * 4
    with passes() as seen:
        await small_passes.embed_documents(short)
    assert sum(texts for texts, _ in seen) == len(short)
    assert all(texts * length <= 60 for texts, length in seen)


async def test_no_texts_give_no_rows(tiny: BgeM3Embedder) -> None:
    embedding = await tiny.embed_documents([], tokens=True)
    assert embedding.dense.shape == (0, tiny.dim)
    assert embedding.sparse == embedding.tokens == []


async def test_hostile_texts_have_vectors_all_the_same(tiny: BgeM3Embedder) -> None:
    texts = [
        "",
        "\ud800",
        "반쪽 \udfff 짝",
        "nul\x00 \x1b[0m",
        "단어 word " * 12_500,
        "<s></s><pad><mask>",
        "\u200b" * 50,
    ]
    embedding = await tiny.embed_documents(texts, tokens=True)
    assert np.isfinite(embedding.dense).all()
    np.testing.assert_allclose(np.linalg.norm(embedding.dense, axis=1), 1, atol=1e-5)
    assert len((embedding.tokens or ())[4]) == tiny.max_tokens - 1
    specials = {0, 1, 2, 3}
    assert not any(specials & weights.keys() for weights in embedding.sparse or ())


@given(st.text(st.characters(codec=None), max_size=60))
@settings(max_examples=50, deadline=None)
async def test_token_spans_cover_any_text_in_order(tiny: BgeM3Embedder, text: str) -> None:
    spans = tiny.token_spans(text)
    assert spans.shape[1] == 2
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert (spans <= len(text)).all()


async def test_a_full_queue_says_so_and_what_waits_is_still_served(bge_m3_checkpoint: Path) -> None:
    embedder, release = BgeM3Embedder.load(str(bge_m3_checkpoint), device="cpu", queue_limit=4), threading.Event()
    with passes(lambda _: release.wait(60)) as seen:
        calls = [asyncio.create_task(embedder.embed_queries([f"{i}번"])) for i in range(12)]
        try:
            done, waiting = await asyncio.wait(calls, timeout=30, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            release.set()
        assert done
        await asyncio.wait(waiting)
    embedder.close()
    failures = [error for call in calls if (error := call.exception())]
    assert all(isinstance(error, Overloaded) for error in failures)
    assert len(failures) == 12 - sum(texts for texts, _ in seen)


async def test_a_cancelled_caller_leaves_the_worker_free_and_what_had_not_begun_never_runs(
    tiny: BgeM3Embedder,
) -> None:
    release, begun = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        begun.set()
        release.wait(60)

    with passes(hold) as seen:
        running = asyncio.create_task(tiny.embed_documents(["처음"]))
        try:
            assert await asyncio.to_thread(begun.wait, 30)
            cancelled = asyncio.create_task(tiny.embed_documents(["버려질 글"]))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        finally:
            release.set()
        await running
        await tiny.embed_queries(["다음"])
    assert [texts for texts, _ in seen] == [1, 1]


async def test_a_batch_too_large_for_memory_runs_in_halves(torch: Any, tiny: BgeM3Embedder) -> None:
    texts = [TEXTS[1]] * 3
    expected = await tiny.embed_documents(texts, tokens=True)

    def full(texts: int) -> None:
        if texts > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with passes(full) as seen:
        found = await tiny.embed_documents(texts, tokens=True)
    assert_equal(found, picked(expected, [0, 1, 2]), atol=1e-5)
    assert [texts for texts, _ in seen] == [3, 1, 2, 1, 1]


async def test_one_text_too_large_for_memory_is_overload_and_other_errors_are_not_hidden(
    torch: Any, tiny: BgeM3Embedder
) -> None:
    def full(_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def broken(_: int) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with passes(full), pytest.raises(Overloaded, match="Tried to allocate 2 GiB"):
        await tiny.embed_queries(["질문"])
    with passes(broken) as seen, pytest.raises(RuntimeError, match="device-side assert"):
        await tiny.embed_documents(["질문"] * 3)
    assert len(seen) == 1
    assert (await tiny.embed_queries(["질문"])).dense.shape == (1, tiny.dim)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
async def test_half_precision_gives_nearly_the_same_vectors_under_the_same_name(
    real: BgeM3Embedder, e5_checkpoint: Path, dtype: str
) -> None:
    half = BgeM3Embedder.load(str(e5_checkpoint), device="cpu", dtype=dtype)
    expected, found = await real.embed_documents(TEXTS), await half.embed_documents(TEXTS)
    half.close()
    assert (expected.dense * found.dense).sum(axis=1).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(found.dense, axis=1), 1, atol=1e-5)
    assert real.name == half.name


@pytest.mark.gpu
async def test_a_gpu_gives_the_numbers_of_the_cpu(torch: Any, real: BgeM3Embedder, e5_checkpoint: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    on_gpu = BgeM3Embedder.load(str(e5_checkpoint), device="cuda", dtype="float32")
    expected, found = await real.embed_documents(TEXTS, tokens=True), await on_gpu.embed_documents(TEXTS, tokens=True)
    on_gpu.close()
    assert_equal(found, picked(expected, list(range(len(TEXTS)))), atol=1e-3)
