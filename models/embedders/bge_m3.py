"""BGE-M3 (arXiv 2402.03216) as an Embedder: every text gets a dense vector and lexical weights in one forward pass, and
token vectors where they are asked for.

The numbers are FlagEmbedding 1.4.2's, within 1e-4 in float32, its treatment of special tokens included; that library
runs the first batch of every call twice. Any transformers encoder works that has BGE-M3's two heads beside it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.base import Embedding, IntArray
from models.embedders.batcher import Batcher
from models.embedders.bge_m3_encoder import COLBERT, SPARSE, BgeM3Encoder, IdArray, Text, Vectors
from models.embedders.tokens import decoded, readable
from models.errors import Overloaded, Unavailable
from models.torch.checkpoint import fingerprint, load_tokenizer, local_folder
from models.torch.torch_device import PassSize, pass_size

# Passes of one call that are submitted at once, so that the device has its next one while results are read.
_AHEAD = 2


class BgeM3Embedder:
    """Queries and documents are embedded alike. Token vectors leave out <s> and keep </s>, as FlagEmbedding's do."""

    lexical = True

    def __init__(
        self, encoder: BgeM3Encoder, tokenizer: "_Tokenizer", name: str, size: PassSize, **waiting: Any
    ) -> None:
        self.name = name
        self.dim = encoder.dim
        self.max_tokens = tokenizer.limit
        self._tokenizer = tokenizer
        self._budget = size.budget
        self._batcher = Batcher[Text, Vectors](
            lambda texts: encoder.encode(texts, tokenizer.unweighted),
            cost=lambda text: len(text.ids),
            budget=size.budget,
            padding=size.padding,
            name="bge-m3",
            **waiting,
        )

    @classmethod
    def load(
        cls,
        model: str = "BAAI/bge-m3",
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_tokens: int = 8192,
        token_budget: int | None = None,
        wait_seconds: float = 0.003,
        queue_limit: int = 4096,
    ) -> Self:
        """Reads the checkpoint and, on a GPU, runs a pass of the largest size, so that its memory is taken. Blocking.

        model: a folder, or a hub id OWNER/NAME[@REVISION]. max_tokens: of one text, if the checkpoint can read as many.
        token_budget: of one pass, padding included. wait_seconds, queue_limit: see models/embedders/batcher.py.
        Raises Unavailable, saying what is missing, wrong or too large.
        """
        folder = local_folder(model, COLBERT, SPARSE)
        encoder = BgeM3Encoder.load(folder, device, dtype)
        tokenizer = _Tokenizer(load_tokenizer(folder), min(max_tokens, encoder.max_tokens))
        if tokenizer.vocabulary > encoder.vocabulary:
            known, used = encoder.vocabulary, tokenizer.vocabulary
            raise Unavailable(f"{folder}: its tokenizer has {used} tokens, its weights only {known}")
        size = pass_size(encoder.device, token_budget)
        largest = tokenizer.largest(1 if encoder.device.type == "cpu" else size.budget)
        try:
            encoder.encode(largest, tokenizer.unweighted)
        except Overloaded as error:
            raise Unavailable(
                f"{model}: no memory on {encoder.device} for a pass of {size.budget} tokens: {error}"
            ) from error
        return cls(encoder, tokenizer, _name(folder), size, wait_seconds=wait_seconds, queue_limit=queue_limit)

    @staticmethod
    def name_of(model: str) -> str:
        """What `load` would be named. Raises Unavailable where there is no such checkpoint."""
        return _name(local_folder(model, COLBERT, SPARSE))

    def close(self) -> None:
        self._batcher.close()

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        """Before documents that wait."""
        return await self._embed(texts, tokens, urgent=True)

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return await self._embed(texts, tokens, urgent=False)

    def token_spans(self, text: str) -> IntArray:
        return self._tokenizer.spans(text)

    def text_of(self, ids: Sequence[int]) -> str:
        return self._tokenizer.text(ids)

    async def _embed(self, texts: Sequence[str], tokens: bool, *, urgent: bool) -> Embedding:
        if not texts:
            return Embedding(np.zeros((0, self.dim), np.float32), sparse=[], tokens=[] if tokens else None)
        ids = await asyncio.to_thread(self._tokenizer.ids, texts)
        vectors = await self._vectors([Text(row, tokens) for row in ids], urgent)
        return Embedding(
            dense=np.stack([vector.dense for vector in vectors]),
            sparse=[vector.sparse for vector in vectors],
            tokens=[vector.tokens for vector in vectors if vector.tokens is not None] if tokens else None,
        )

    async def _vectors(self, texts: Sequence[Text], urgent: bool) -> list[Vectors]:
        """Pass by pass, so that what others ask for meanwhile comes between and not after."""
        passes = _passes([len(text.ids) for text in texts], self._budget)
        if len(passes) == 1:
            return await self._batcher.submit(texts, urgent=urgent)
        waiting = iter(passes)
        found: dict[int, Vectors] = {}

        async def work() -> None:
            for batch in waiting:
                vectors = await self._batcher.submit([texts[i] for i in batch], urgent=urgent)
                found.update(zip(batch, vectors, strict=True))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AHEAD):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [found[i] for i in range(len(texts))]


class _Tokenizer:
    """Texts to token ids, on any thread: the Rust tokenizer is never reconfigured after this, so needs no lock.

    limit: ids of one text, the special ones included. unweighted: ids that get no lexical weight.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._rust = tokenizer.backend_tokenizer
        self._rust.no_truncation()
        self._rust.no_padding()
        self.limit = min(limit, tokenizer.model_max_length)
        self.vocabulary = len(tokenizer)
        special = (tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
        self.unweighted: IdArray = np.array([i for i in special if i is not None], np.int64)
        sample = self._rust.encode("a")
        inner = [i for i, marked in enumerate(sample.special_tokens_mask) if not marked]
        self._begin, self._end = sample.ids[: inner[0]], sample.ids[inner[-1] + 1 :]

    def ids(self, texts: Sequence[str]) -> list[IdArray]:
        room = self.limit - len(self._begin) - len(self._end)
        encodings = self._rust.encode_batch([readable(text) for text in texts], add_special_tokens=False)
        return [np.array([*self._begin, *encoding.ids[:room], *self._end], np.int64) for encoding in encodings]

    def spans(self, text: str) -> IntArray:
        encoding = self._rust.encode(readable(text), add_special_tokens=False)
        return np.array(encoding.offsets, np.int32).reshape(-1, 2)

    def text(self, ids: Sequence[int]) -> str:
        return decoded(self._rust, ids)

    def largest(self, budget: int) -> list[Text]:
        """Texts that fill a pass: their token vectors too."""
        ids = np.full(min(self.limit, budget), self._end[-1], np.int64)
        return [Text(ids, tokens=True)] * max(1, budget // self.limit)


def _passes(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indexes grouped by like length, so that padding is small, each group within the budget, a longer text alone."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[i] <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _name(folder: Path) -> str:
    return f"bge-m3/{fingerprint(folder, ('config.json', 'tokenizer.json', COLBERT, SPARSE))}"
