"""A generator that quotes the best sentences of the evidence, each with its mark: any language, any machine."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from models.base import Embedder, FinishReason, FloatArray, Message, Prompt, Sampling, TokenDelta, Usage
from models.quoting.quoter import Quoter, render
from models.wire.several import total
from models.wire.token_counting import estimate_tokens

_PIECE = re.compile(r"\S+\s*|\s+")


class ExtractiveGenerator:
    """terms: lexical terms of a text. Answers from Prompt.question and Prompt.passages; the messages are not read."""

    name = "extractive"
    context_tokens = 1 << 20
    languages: frozenset[str] = frozenset()

    def __init__(self, embedder: Embedder, terms: Callable[[str], list[str]]) -> None:
        self._embedder = embedder
        self._terms = terms

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
        """See models.base.Generator. Raises Overloaded where the embedder is."""
        quoter = await asyncio.to_thread(Quoter, prompt.question, prompt.passages, self._terms)
        quotes = quoter.choose(await self._similarity(prompt.question, quoter))
        yield self._choices(prompt, render(quotes), sampling)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_tokens(messages)

    async def _similarity(self, question: str, quoter: Quoter) -> FloatArray:
        """(candidates,) cosine of each candidate with the question."""
        if len(quoter.candidates) < 2:
            return np.ones(len(quoter.candidates), np.float32)
        query = await self._embedder.embed_queries([question])
        texts = [candidate.quote.unit.text for candidate in quoter.candidates]
        similarity: FloatArray = (await self._embedder.embed_documents(texts)).dense @ query.dense[0]
        return similarity

    async def _choices(self, prompt: Prompt, text: str, sampling: Sampling) -> AsyncIterator[TokenDelta]:
        """The same text for each choice: there is one best answer. Usage of all comes with the last delta."""
        usages: list[Usage] = []
        for choice in range(sampling.n):
            async for delta in self._pieces(prompt, text, sampling):
                if delta.usage is not None:
                    usages.append(delta.usage)
                    delta = replace(delta, usage=total(usages) if choice == sampling.n - 1 else None)
                yield replace(delta, choice=choice) if choice else delta

    async def _pieces(self, prompt: Prompt, text: str, sampling: Sampling) -> AsyncIterator[TokenDelta]:
        finish: FinishReason = "stop"
        ends = [end for stop in sampling.stop if stop and (end := text.find(stop)) >= 0]
        text = text[: min(ends)] if ends else text
        written = 0
        for piece in _PIECE.findall(text):
            tokens = self._tokens(piece)
            if sampling.max_tokens is not None and written + tokens > sampling.max_tokens:
                finish = "length"
                break
            written += tokens
            yield TokenDelta(piece)
            await asyncio.sleep(0)  # a reader that left is noticed here
        asked = self._tokens(prompt.question) + sum(self._tokens(passage) for passage in prompt.passages)
        yield TokenDelta(finish_reason=finish, usage=Usage(asked, written))

    def _tokens(self, text: str) -> int:
        return len(self._embedder.token_spans(text))
