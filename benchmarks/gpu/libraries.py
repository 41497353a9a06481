"""Our models and the two libraries that run the same checkpoints, each behind one function, ours first.

FlagEmbedding and sentence-transformers are called as their documentation does it, on one device and in its number
format, with batches as large as fit; where one is not installed it is left out and the caller is told why.
"""

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from benchmarks.gpu.device import Device
from models.base import FloatArray
from models.embedders.bge_m3 import BgeM3Embedder
from models.rerankers.cross_encoder import CrossEncoderReranker

Run = Callable[[], FloatArray]
Embed = Callable[[Sequence[str]], FloatArray]  # texts -> (n, dim) dense vectors
Score = Callable[[str, Sequence[str]], FloatArray]  # query, texts -> (n,) logits

BATCH = 256
LONGEST = 8192
MOST_EMPTY = 8
T = TypeVar("T")


@contextmanager
def embedders(checkpoint: Path, device: Device, absent: dict[str, str]) -> Iterator[dict[str, Embed]]:
    ours = BgeM3Embedder.load(str(checkpoint), device=device.name)
    with asyncio.Runner() as loop:

        def embed(texts: Sequence[str], tokens: bool = False) -> FloatArray:
            return loop.run(ours.embed_documents(texts, tokens=tokens)).dense

        runs: dict[str, Embed] = {"ours": embed, "ours, token vectors too": lambda texts: embed(texts, tokens=True)}
        runs |= _installed(
            {"FlagEmbedding": _flag_embedder, "sentence-transformers, dense only": _sentence_transformer},
            checkpoint,
            device,
            absent,
        )
        try:
            yield runs
        finally:
            ours.close()


@contextmanager
def rerankers(checkpoint: Path, device: Device, absent: dict[str, str]) -> Iterator[dict[str, Score]]:
    ours = CrossEncoderReranker.load(str(checkpoint), device=device.name, max_tokens=LONGEST)
    with asyncio.Runner() as loop:
        runs: dict[str, Score] = {"ours": lambda query, texts: loop.run(ours.score(query, texts))}
        makers = {"FlagEmbedding": _flag_reranker, "sentence-transformers": _sentence_cross_encoder}
        runs |= _installed(makers, checkpoint, device, absent)
        try:
            yield runs
        finally:
            loop.run(ours.aclose())


def _installed(
    makers: dict[str, Callable[[Path, Device], T]], checkpoint: Path, device: Device, absent: dict[str, str]
) -> dict[str, T]:
    made: dict[str, T] = {}
    for name, make in makers.items():
        package = name.partition(",")[0].replace("-", "_")
        if find_spec(package) is None:
            absent[name.partition(",")[0]] = "not installed"
            continue
        try:
            made[name] = make(checkpoint, device)
        except ImportError as error:
            absent[name.partition(",")[0]] = f"cannot be imported: {error}"
    return made


class _Nothing(ModuleType):
    """Every name of it is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _flag_embedding() -> Any:
    """The module. What it imports for training alone (datasets, peft) is large; where that is absent, an empty module
    stands in its place meanwhile. transformers must have looked for it before.
    """
    importlib.import_module("transformers.trainer")
    empty: list[str] = []
    try:
        while len(empty) < MOST_EMPTY:
            try:
                return importlib.import_module("FlagEmbedding")
            except ModuleNotFoundError as error:
                if error.name is None or error.name in empty:
                    raise
                empty.append(error.name)
                sys.modules[error.name] = _Nothing(error.name)
                for name in [name for name in sys.modules if name.startswith("FlagEmbedding")]:
                    del sys.modules[name]
        raise ImportError(f"it wants too much that is not there: {', '.join(empty)}")
    finally:
        for name in empty:
            del sys.modules[name]


def _flag_embedder(checkpoint: Path, device: Device) -> Embed:
    model = _flag_embedding().BGEM3FlagModel(str(checkpoint), use_fp16=device.cuda, devices=device.name)

    def embed(texts: Sequence[str]) -> FloatArray:
        found = model.encode(list(texts), batch_size=BATCH, max_length=LONGEST, return_sparse=True)
        return np.asarray(found["dense_vecs"], np.float32)

    return embed


def _sentence_transformer(checkpoint: Path, device: Device) -> Embed:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(checkpoint), device=device.name, model_kwargs={"dtype": device.dtype})
    return lambda texts: model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)


def _flag_reranker(checkpoint: Path, device: Device) -> Score:
    kind = _flag_embedding().FlagReranker
    model = kind(str(checkpoint), use_fp16=device.cuda, devices=device.name, max_length=LONGEST)

    def score(query: str, texts: Sequence[str]) -> FloatArray:
        return np.asarray(model.compute_score([(query, text) for text in texts], batch_size=BATCH), np.float32)

    return score


def _sentence_cross_encoder(checkpoint: Path, device: Device) -> Score:
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(checkpoint), device=device.name, max_length=LONGEST, model_kwargs={"dtype": device.dtype})

    def score(query: str, texts: Sequence[str]) -> FloatArray:
        pairs = [(query, text) for text in texts]
        logits = model.predict(pairs, batch_size=BATCH, show_progress_bar=False, activation_fn=torch.nn.Identity())
        return np.asarray(logits, np.float32)

    return score
