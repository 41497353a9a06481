"""A cross-encoder (arXiv 1901.04085): query and text are read together, one logit a pair.

BAAI/bge-reranker-v2-m3 by default; any transformers sequence classifier with one label works. The numbers are
sentence-transformers' CrossEncoder's and FlagEmbedding 1.4.2's FlagReranker's, within 1e-4 in float32; the latter runs
the first batch of every call twice and tokenises every pair anew.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from models.embedders.batcher import Batcher
from models.embedders.bge_m3_encoder import positions
from models.embedders.tokens import readable
from models.errors import Overloaded, Unavailable
from models.rerankers.calibration import PUBLISHED, Calibration
from models.torch.checkpoint import load_classifier, load_tokenizer, local_folder
from models.torch.torch_device import PassSize, choose_device, choose_dtype, import_torch, in_halves, pass_size

# A longer list of texts is no search that somebody waits for: it lets those pass.
_LIST_OF_A_SEARCH = 64
IdArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """ids: (t,) of query and text with the special tokens. types: (t,) 0 for the query's part, 1 for the text's."""

    ids: IdArray
    types: IdArray


class CrossEncoderReranker:
    """Many calls share forward passes: see Batcher."""

    def __init__(
        self, scorer: "_Scorer", pairs: "_Pairs", name: str, size: PassSize, calibration: Calibration, **waiting: Any
    ) -> None:
        self.name = name
        self._pairs = pairs
        self._calibration = calibration
        self._batcher = Batcher[Pair, float](
            scorer.score,
            cost=lambda pair: len(pair.ids),
            budget=size.budget,
            padding=size.padding,
            name="reranker",
            **waiting,
        )

    @classmethod
    def load(
        cls,
        model: str = "BAAI/bge-reranker-v2-m3",
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_tokens: int = 1024,
        token_budget: int | None = None,
        calibration: Calibration = PUBLISHED,
        wait_seconds: float = 0.003,
        queue_limit: int = 4096,
    ) -> Self:
        """Reads the checkpoint and, on a GPU, runs a pass of the largest size, so that its memory is taken. Blocking.

        model: a folder, or a hub id OWNER/NAME[@REVISION]. max_tokens: of query and text together, if the checkpoint
        can read as many. token_budget: of one pass, padding included. wait_seconds, queue_limit: see Batcher.
        Raises Unavailable, saying what is missing, wrong or too large.
        """
        folder = local_folder(model)
        scorer = _Scorer.load(folder, device, dtype)
        tokenizer = load_tokenizer(folder)
        if len(tokenizer) > scorer.vocabulary:
            raise Unavailable(
                f"{folder}: its tokenizer has {len(tokenizer)} tokens, its weights only {scorer.vocabulary}"
            )
        pairs = _Pairs(tokenizer, min(max_tokens, scorer.max_tokens))
        size = pass_size(scorer.device, token_budget)
        try:
            scorer.score(pairs.largest(1 if scorer.device.type == "cpu" else size.budget))
        except Overloaded as error:
            raise Unavailable(
                f"{model}: no memory on {scorer.device} for a pass of {size.budget} tokens: {error}"
            ) from error
        return cls(scorer, pairs, model, size, calibration, wait_seconds=wait_seconds, queue_limit=queue_limit)

    async def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        pairs = await asyncio.to_thread(self._pairs.of, query, texts)
        return np.array(await self._batcher.submit(pairs, urgent=len(texts) <= _LIST_OF_A_SEARCH), np.float32)

    def probability(self, logits: FloatArray) -> FloatArray:
        return self._calibration.probability(logits)

    async def aclose(self) -> None:
        await self._batcher.aclose()


class _Scorer:
    """The forward pass: pairs in, logits out. max_tokens: of a pair, the special ones included."""

    def __init__(self, network: Any, device: Any) -> None:
        self._torch = import_torch()
        self._network = network
        self._pad = getattr(network.config, "pad_token_id", None) or 0
        self._typed = (getattr(network.config, "type_vocab_size", 0) or 0) > 1
        self.device = device
        self.vocabulary = int(network.config.vocab_size)
        self.max_tokens = positions(network.base_model)

    @classmethod
    def load(cls, folder: Any, device: str, dtype: str) -> Self:
        torch, place = import_torch(), choose_device(device)
        network = load_classifier(folder, choose_dtype(dtype, place))
        try:
            return cls(network.to(place), place)
        except torch.OutOfMemoryError as error:
            raise Unavailable(f"{place} has no memory left for {folder}: {error}") from error

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        """One pass; in halves where the device has too little memory. Raises Overloaded where one pair is too much."""
        return in_halves(self._forward, pairs)

    def _forward(self, pairs: Sequence[Pair]) -> list[float]:
        torch, width = self._torch, max(len(pair.ids) for pair in pairs)
        ids = np.full((len(pairs), width), self._pad, np.int64)
        types, mask = np.zeros_like(ids), np.zeros_like(ids)
        for i, pair in enumerate(pairs):
            ids[i, : len(pair.ids)] = pair.ids
            types[i, : len(pair.ids)] = pair.types
            mask[i, : len(pair.ids)] = 1
        given = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": types} if self._typed else {})
        with torch.inference_mode():
            moved = {name: torch.from_numpy(array).to(self.device) for name, array in given.items()}
            logits: list[float] = self._network(**moved).logits[:, 0].float().cpu().tolist()
        return logits


class _Pairs:
    """Queries and texts to pairs of at most `limit` ids: a query may take three quarters, the text is cut to the rest.

    Both are encoded apart, which a pair's template does as well, so the query is tokenised once.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._rust = tokenizer.backend_tokenizer
        self._rust.no_truncation()
        self._rust.no_padding()
        self.limit = min(limit, tokenizer.model_max_length)
        # The template: begin, query, between, text, end.
        sample = self._rust.encode("a", "b")
        query, text = (len(self._rust.encode(one, add_special_tokens=False).ids) for one in ("a", "b"))
        inner = [i for i, marked in enumerate(sample.special_tokens_mask) if not marked]
        cuts = inner[0], inner[0] + query, inner[-1] + 1 - text, inner[-1] + 1
        self._ids, self._types = ([whole[a:b] for a, b in pairwise((0, *cuts, None))] for whole in _columns(sample))

    def of(self, query: str, texts: Sequence[str]) -> list[Pair]:
        begin, _, between, _, end = self._ids
        room = self.limit - len(begin) - len(between) - len(end)
        asked, *given = self._rust.encode_batch([readable(t) for t in (query, *texts)], add_special_tokens=False)
        head = asked.ids[: room * 3 // 4]
        return [self._pair(head, encoding.ids[: room - len(head)]) for encoding in given]

    def largest(self, budget: int) -> list[Pair]:
        """Pairs that fill a pass."""
        _, query, *_ = self._ids
        longest = self._pair(query, [query[0]] * max(1, min(self.limit, budget) - sum(map(len, self._ids))))
        return [longest] * max(1, budget // self.limit)

    def _pair(self, query: Sequence[int], text: Sequence[int]) -> Pair:
        begin, _, between, _, end = self._ids
        t_begin, t_query, t_between, t_text, t_end = self._types
        types = [*t_begin, *t_query[:1] * len(query), *t_between, *t_text[:1] * len(text), *t_end]
        return Pair(np.array([*begin, *query, *between, *text, *end], np.int64), np.array(types, np.int64))


def _columns(encoding: Any) -> tuple[list[int], list[int]]:
    return encoding.ids, encoding.type_ids
