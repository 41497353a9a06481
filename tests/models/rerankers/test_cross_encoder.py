"""The cross-encoder against sentence-transformers, FlagEmbedding and plain transformers, on checkpoints made here."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from models.errors import Unavailable
from models.rerankers.calibration import Calibration
from models.rerankers.cross_encoder import CrossEncoderReranker
from tests.until import PATIENCE, until

# One event loop for the module, as loading takes seconds and a batcher belongs to a loop.
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch"), pytest.mark.asyncio(loop_scope="module")]

QUERY = "환불은 언제 되나요? When is money returned?"
TEXTS = [
    "환불은 신청 후 3영업일 안에 처리됩니다.",
    "A context manager wraps a block. " * 60,
    "짧은",
    "Notion에 회의록을 저장합니다.\n두 번째 줄",
    "🙂 emoji und Umlaute äöü",
]


@pytest.fixture(scope="module")
def folder(reranker_checkpoint: Path) -> Path:
    return reranker_checkpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reranker(folder: Path) -> AsyncIterator[CrossEncoderReranker]:
    loaded = CrossEncoderReranker.load(str(folder), device="cpu", max_tokens=256)
    yield loaded
    await loaded.aclose()


async def test_logits_and_probabilities_are_those_of_sentence_transformers(
    folder: Path, reranker: CrossEncoderReranker
) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(folder), device="cpu", max_length=256, local_files_only=True)
    pairs = [(QUERY, text) for text in TEXTS]
    ours = await reranker.score(QUERY, TEXTS)
    assert ours.dtype == np.float32
    assert ours == pytest.approx(theirs.predict(pairs, activation_fn=torch.nn.Identity()), abs=1e-4)
    assert reranker.probability(ours) == pytest.approx(theirs.predict(pairs), abs=1e-4)


async def test_logits_and_probabilities_are_those_of_flagembedding(
    folder: Path, reranker: CrossEncoderReranker
) -> None:
    from FlagEmbedding import FlagReranker

    theirs = FlagReranker(str(folder), use_fp16=False, devices="cpu", max_length=256)
    pairs = [(QUERY, text) for text in TEXTS]
    ours = await reranker.score(QUERY, TEXTS)
    assert ours == pytest.approx(theirs.compute_score(pairs), abs=1e-4)
    assert reranker.probability(ours) == pytest.approx(theirs.compute_score(pairs, normalize=True), abs=1e-4)


async def test_one_request_is_one_forward_pass_where_flagembedding_makes_two(
    folder: Path, reranker: CrossEncoderReranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from FlagEmbedding import FlagReranker

    passes: list[int] = []
    forward = torch.nn.Module.__call__

    def counted(module: Any, *given: Any, **named: Any) -> Any:
        if type(module).__name__ == "XLMRobertaForSequenceClassification":
            passes.append(1)
        return forward(module, *given, **named)

    theirs = FlagReranker(str(folder), use_fp16=False, devices="cpu", max_length=256)
    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    await reranker.score(QUERY, TEXTS[2:4])
    assert len(passes) == 1
    theirs.compute_score([(QUERY, text) for text in TEXTS[2:4]])
    assert len(passes) == 3


async def test_a_text_scores_the_same_alone_and_in_company(reranker: CrossEncoderReranker) -> None:
    together = await reranker.score(QUERY, TEXTS)
    alone = [(await reranker.score(QUERY, [text]))[0] for text in TEXTS]
    at_once = await asyncio.gather(*(reranker.score(QUERY, [text]) for text in reversed(TEXTS)))
    assert together == pytest.approx(alone, abs=1e-4)
    assert together == pytest.approx([scores[0] for scores in reversed(at_once)], abs=1e-4)


async def test_texts_and_then_queries_are_cut_to_what_the_model_reads(reranker: CrossEncoderReranker) -> None:
    long = "word " * 5000
    assert np.isfinite(await reranker.score(QUERY, [long, "\ud800 half a pair", "\0", ""])).all()
    (score, shorter) = await reranker.score(long, ["a text", "another text that is not the same"])
    assert np.isfinite([score, shorter]).all()
    assert score != shorter  # there is room for the text, however long the query
    assert len(await reranker.score(QUERY, [])) == 0


async def test_a_long_list_lets_a_search_pass(reranker: CrossEncoderReranker, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher, gate = reranker._batcher, threading.Event()
    run = batcher._run
    monkeypatch.setattr(batcher, "_run", lambda pairs: gate.wait(PATIENCE) and run(pairs))
    listed = asyncio.create_task(reranker.score(QUERY, [TEXTS[1]] * 100))
    await until(lambda: 0 < batcher.waiting < 100, PATIENCE)
    waiting = batcher.waiting
    searched = asyncio.create_task(reranker.score(QUERY, TEXTS))
    await until(lambda: batcher.waiting == waiting + len(TEXTS), PATIENCE)
    gate.set()
    assert len(await searched) == len(TEXTS)
    assert not listed.done()  # it takes 25 passes, and the search is done in the next four
    assert len(await listed) == 100


async def test_a_calibration_of_its_own_and_an_end(folder: Path) -> None:
    calibration = Calibration(slope=2.0, bias=-1.0)
    loaded = CrossEncoderReranker.load(str(folder), device="cpu", calibration=calibration)
    logits = np.array([-3.0, 0.5, 2.0], np.float32)
    assert loaded.probability(logits) == pytest.approx([0.00091, 0.5, 0.95257], abs=1e-4)
    await loaded.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await loaded.score(QUERY, ["text"])


async def test_what_is_not_a_reranker_is_refused_in_words(
    folder: Path, bge_m3_checkpoint: Path, tmp_path: Path
) -> None:
    import transformers

    network = transformers.AutoModelForSequenceClassification
    with pytest.raises(Unavailable, match="no such folder"):
        CrossEncoderReranker.load(str(tmp_path / "absent"), device="cpu")
    with pytest.raises(Unavailable, match="weights missing, so they would be random: classifier"):
        CrossEncoderReranker.load(str(bge_m3_checkpoint), device="cpu")
    three = shutil.copytree(folder, tmp_path / "three")
    network.from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True).save_pretrained(three)
    with pytest.raises(Unavailable, match="one number for a pair, this model 3"):
        CrossEncoderReranker.load(str(three), device="cpu")
    small = shutil.copytree(folder, tmp_path / "small")
    shrunk = network.from_pretrained(folder)
    shrunk.resize_token_embeddings(1000)
    shrunk.save_pretrained(small)
    with pytest.raises(Unavailable, match="its tokenizer has 250002 tokens, its weights only 1000"):
        CrossEncoderReranker.load(str(small), device="cpu")
    with pytest.raises(Unavailable, match="cuda:7"):
        CrossEncoderReranker.load(str(folder), device="cuda:7")


def bert(folder: Path) -> Path:
    """A classifier whose tokenizer, unlike XLM-R's, marks query and text by token types."""
    import transformers
    from tokenizers import BertWordPieceTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "when", "is", "money", "returned", "a", "b", "text", "##s"]
    made = BertWordPieceTokenizer({word: i for i, word in enumerate(words)})
    transformers.BertTokenizerFast(tokenizer_object=made._tokenizer, model_max_length=64).save_pretrained(folder)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(words), num_labels=1, initializer_range=0.3, **shape)
    transformers.BertForSequenceClassification(config).eval().save_pretrained(folder)
    return folder


def by_transformers(folder: Path, query: str, texts: list[str], max_tokens: int) -> list[float]:
    """Logits by the book: query and text tokenised together, a pair a pass."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    cut = {"truncation": "only_second", "max_length": max_tokens, "return_tensors": "pt"}
    with torch.inference_mode():
        return [network(**tokenizer(query, text, **cut)).logits.item() for text in texts]


async def test_token_types_are_those_of_the_tokenizer(tmp_path: Path) -> None:
    folder, query = bert(tmp_path / "bert"), "when is money returned"
    texts = ["a text", "texts when money is b", "a " * 100, "unknown"]
    loaded = CrossEncoderReranker.load(str(folder), device="cpu", max_tokens=64)
    assert set(loaded._pairs.of(query, texts)[1].types.tolist()) == {0, 1}
    assert await loaded.score(query, texts) == pytest.approx(by_transformers(folder, query, texts, 64), abs=1e-4)
    await loaded.aclose()


def e5_classifier(checkpoint: Path, folder: Path) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.BertForSequenceClassification.from_pretrained(checkpoint, num_labels=1).save_pretrained(folder)
    for file in checkpoint.glob("*token*.json"):
        shutil.copy(file, folder)
    return folder


async def test_real_weights_under_a_random_head_give_transformers_logits(e5_checkpoint: Path, tmp_path: Path) -> None:
    folder = e5_classifier(e5_checkpoint, tmp_path / "e5")
    loaded = CrossEncoderReranker.load(str(folder), device="cpu", max_tokens=256)
    found = await loaded.score(QUERY, TEXTS)
    assert found == pytest.approx(by_transformers(folder, QUERY, TEXTS, 256), abs=1e-4)
    assert found.std() > 1e-3
    await loaded.aclose()
    shutil.rmtree(folder)


@pytest.mark.gpu
async def test_half_precision_on_the_gpu_agrees_with_the_cpu(
    torch: Any, folder: Path, reranker: CrossEncoderReranker
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    loaded = CrossEncoderReranker.load(str(folder), device="cuda", max_tokens=256)
    assert await loaded.score(QUERY, TEXTS) == pytest.approx(await reranker.score(QUERY, TEXTS), abs=2e-2)
    await loaded.aclose()
