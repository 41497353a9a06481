"""A generator that quotes the units of the evidence that answer, with their marks: any language, any machine."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from models.base import Embedder, FinishReason, FloatArray, Message, Prompt, Sampling, TokenDelta, Usage
from models.quoting.candidates import late_interaction
from models.quoting.quoter import Quoter
from models.quoting.rendering import Quote, Said, pieces
from models.wire.several import total
from models.wire.token_counting import estimate_tokens

_PIECE = re.compile(r"\S+\s*|\s+")


class ExtractiveGenerator:
    """Answers from Prompt.question and Prompt.passages; the messages are not read.

    terms: lexical terms of a text. refusal: what is said to a question that the passages do not answer.
    """

    name = "extractive"
    context_tokens = 1 << 20
    languages: frozenset[str] = frozenset()

    def __init__(
        self,
        embedder: Embedder,
        terms: Callable[[str], list[str]],
        refusal: Callable[[str], str] = lambda question: "",
    ) -> None:
        self._embedder = embedder
        self._terms = terms
        self._refusal = refusal

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
        """See models.base.Generator. Raises Overloaded where the embedder is."""
        said = list(pieces(await self.quotes(prompt)))
        if not said and prompt.passages and (refusal := self._refusal(prompt.question)):
            said = [Said(refusal, quoted=True)]
        yield self._choices(prompt, said, sampling)

    async def quotes(self, prompt: Prompt) -> list[Quote]:
        """What it quotes, in the order of the answer; empty where nothing answers. Raises Overloaded."""
        quoter = await asyncio.to_thread(self.quoter, prompt)
        return quoter.choose(await self._late(prompt.question, quoter.texts))

    def quoter(self, prompt: Prompt) -> Quoter:
        return Quoter(prompt.question, prompt.passages, self._terms, prompt.blocks)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_tokens(messages)

    async def _late(self, question: str, texts: Sequence[str]) -> FloatArray:
        """(texts,) late interaction of each with the question; of one alone nothing is decided by it."""
        if len(texts) < 2:
            return np.ones(len(texts), np.float32)
        asked = await self._embedder.embed_queries([question], tokens=True)
        said = await self._embedder.embed_documents(texts, tokens=True)
        return late_interaction((asked.tokens or [])[0], said.tokens or [])

    async def _choices(self, prompt: Prompt, said: Sequence[Said], sampling: Sampling) -> AsyncIterator[TokenDelta]:
        """The same text for each choice: there is one best answer. Usage of all comes with the last delta."""
        usages: list[Usage] = []
        for choice in range(sampling.n):
            async for delta in self._deltas(prompt, said, sampling):
                if delta.usage is not None:
                    usages.append(delta.usage)
                    delta = replace(delta, usage=total(usages) if choice == sampling.n - 1 else None)
                yield replace(delta, choice=choice) if choice else delta

    async def _deltas(self, prompt: Prompt, said: Sequence[Said], sampling: Sampling) -> AsyncIterator[TokenDelta]:
        finish: FinishReason = "stop"
        written = 0
        for piece in _words(said, sampling.stop):
            tokens = self._tokens(piece.text)
            if sampling.max_tokens is not None and written + tokens > sampling.max_tokens:
                finish = "length"
                break
            written += tokens
            yield TokenDelta(piece.text, quoted=piece.quoted)
            await asyncio.sleep(0)  # a reader that left is noticed here
        asked = self._tokens(prompt.question) + sum(self._tokens(passage) for passage in prompt.passages)
        yield TokenDelta(finish_reason=finish, usage=Usage(asked, written))

    def _tokens(self, text: str) -> int:
        return len(self._embedder.token_spans(text))


def _words(said: Sequence[Said], stops: Sequence[str]) -> Iterator[Said]:
    """Up to the first of the stops."""
    text = "".join(piece.text for piece in said)
    left = min((end for stop in stops if stop and (end := text.find(stop)) >= 0), default=len(text))
    for piece in said:
        for word in _PIECE.findall(piece.text[:left]):
            yield Said(word, piece.quoted)
        left = max(0, left - len(piece.text))
