"""Protocols and value types of the models room: plain data in, plain data out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors of n texts.

    dense: (n, dim) float32, rows L2-normalised.
    sparse: per text, lexical token id -> weight > 0; None when the model has none.
    tokens: per text (t_i, dim) float32, rows L2-normalised; only when asked for.
    """

    dense: FloatArray
    sparse: Sequence[Mapping[int, float]] | None = None
    tokens: Sequence[FloatArray] | None = None


class Embedder(Protocol):
    """Texts to vectors. `name` identifies the vector space: vectors of different names are never compared.

    lexical: whether every Embedding it gives has `sparse`.
    """

    name: str
    dim: int
    max_tokens: int
    lexical: bool

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        """Raises Overloaded. Texts over max_tokens are cut. Empty input gives (0, dim)."""
        ...

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        """As embed_queries, in the document role of an asymmetric model."""
        ...

    def token_spans(self, text: str) -> IntArray:
        """(n, 2) int32: start and end character offset of every token of `text`, uncut, without specials."""
        ...

    def text_of(self, ids: Sequence[int]) -> str:
        """What token ids of its vocabulary stand for; special ones for nothing. Raises ValueError, naming the id."""
        ...

    def close(self) -> None:
        """Ends its threads."""
        ...


class Reranker(Protocol):
    """Reads query and text together, which is slower and better than comparing their vectors."""

    name: str

    async def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        """(len(texts),) float32 logits in input order; higher is better. Over-long texts are cut at their end.

        Raises Overloaded, Unavailable, Timeout.
        """
        ...

    def probability(self, logits: FloatArray) -> FloatArray:
        """Logits to 0..1, elementwise and monotone, float32: how likely each text answers the query."""
        ...

    async def aclose(self) -> None:
        """Ends its threads or connections; what waits gets Unavailable."""
        ...


Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made; in a stream a piece of one: id and name come once, arguments in parts.

    index: its place among the calls of one answer. arguments: JSON as the model wrote it.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """tool_calls: of an assistant. tool_call_id: what a tool's message answers. name: of one participant of a role."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


BlockKind = Literal[
    "prose", "item", "row", "header", "code", "heading", "question", "answer",
    "caption", "note", "footnote", "comment", "text_box",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a text, text[start:end], that is one thing to a reader.

    context: what it is not understood without: of a row the table's header, of a list item the sentence before the
    list, of a heading those above it (` > ` between them). A question is a row's own, an answer what the row says to
    it: an answer holds other blocks. A note is a speaker's; it, captions, footnotes, comments and text boxes are prose
    beside the text.
    """

    kind: BlockKind
    start: int
    end: int
    context: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a generator is asked.

    messages: the rendered chat, ready for an engine.
    question, passages: the same content unrendered, passage i under mark [i + 1], for generators that quote.
    blocks: of each passage what its parser knew, ascending; empty where that is to be seen from the text.
    """

    messages: tuple[Message, ...]
    question: str = ""
    passages: tuple[str, ...] = ()
    blocks: tuple[tuple[Block, ...], ...] = ()


# Fields of a request that only an engine can give effect to: no quoting takes their place.
ENGINE_FIELDS = frozenset({"tools", "response_format", "logprobs", "logit_bias"})


@dataclass(frozen=True, slots=True)
class Sampling:
    """None leaves the engine's own default. `extra` goes to the engine as it is (already allow-listed).

    auxiliary: work beside an answer (a rewrite, a suggestion): behind every answer where the engine has priorities.
    n: choices, answers to the same prompt.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    auxiliary: bool = False
    n: int = 1

    @property
    def needs_engine(self) -> bool:
        return not ENGINE_FIELDS.isdisjoint(self.extra)

    @property
    def structured(self) -> bool:
        """The text is JSON: its brackets are not citation marks unless they stand in a string."""
        return "response_format" in self.extra


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """One step of a generation; text and reasoning are whole characters, either may be empty.

    quoted: the text is a document's own, by a generator that knows: no mark is read in it.
    choice: which of Sampling.n it belongs to. tool_calls: pieces. logprobs: OpenAI's objects, one a token of the text.
    """

    text: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    choice: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    quoted: bool = False


class Generator(Protocol):
    """Streams an answer. `languages`: ISO 639-1 codes it writes well; empty means any."""

    name: str
    context_tokens: int
    languages: frozenset[str]

    def stream(self, prompt: Prompt, sampling: Sampling) -> AbstractAsyncContextManager[AsyncIterator[TokenDelta]]:
        """Opening the context sends the request; leaving it closes the request upstream, at any point.

        The last delta of each choice carries its finish_reason, the very last one usage where the engine reports it.
        Raises Unavailable, Overloaded, Timeout, InputTooLong, BadRequest: on entry or while iterating.
        """
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of `messages` under the engine's own chat template (an estimate where it has none)."""
        ...
