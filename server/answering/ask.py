"""From a validated request to one question to the house: the same for every route that answers."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.base import Sampling
from models.wire.thinking import thinking_budget
from retrieval.store.base.values import NamedStore, NotFound
from retrieval.threads import Threads
from retrieval.types import SearchParams
from server.answering.failures import UnknownModel, UnknownStore
from server.answering.generators import Generators
from server.answering.question import Conversation

MODEL = "ragpod"


def new_id(kind: str) -> str:
    """Unguessable: 128 random bits."""
    return f"{kind}_{secrets.token_hex(16)}"


def user_of(labels: Mapping[str, Any]) -> str:
    """Whom OpenAI's `user`, or its newer name, says that a request is for; "" where nobody is named."""
    named = labels.get("user") or labels.get("safety_identifier")
    return named if isinstance(named, str) and "\0" not in named else ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One validated question; its three ids are the server's own, except a session the caller continues.

    labels: the caller's own words about it (`metadata`, `user`), kept with the turn. store: whether the turn is kept.
    retrieve: False asks the engine alone, without documents and without a word of ours in the prompt.
    user_id: whom the caller asks for. in_session: it is kept as a message of its session; continues: of one that the
    caller named, whose history is read where it has any. replaces: the message that it is another version of.
    after_id, depth: its place in the session.
    """

    owner: str
    model: str
    talk: Conversation
    stores: tuple[NamedStore, ...]
    params: SearchParams
    sampling: Sampling
    session_id: str = field(default_factory=lambda: new_id("session"))
    trace_id: str = field(default_factory=lambda: new_id("trace"))
    message_id: str = field(default_factory=lambda: new_id("msg"))
    explain: bool = False
    labels: Mapping[str, Any] = field(default_factory=dict)
    store: bool = True
    retrieve: bool = True
    user_id: str = ""
    in_session: bool = False
    continues: bool = False
    replaces: str | None = None
    after_id: str | None = None
    depth: int = 1

    @property
    def store_ids(self) -> tuple[str, ...]:
        return tuple(store.id for store in self.stores)

    @property
    def needs_engine(self) -> bool:
        """No quoting takes its place."""
        return self.sampling.needs_engine or not self.retrieve


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request leaves open, and how much it may ask for.

    store: the name of the one that `ragpod` answers from. evidence_tokens: None is half of what the engine reads.
    """

    store: str = "default"
    candidates: int = 100
    keep: int = 8
    min_score: float | None = None
    rerank: bool = True
    evidence_tokens: int | None = None
    answer_tokens: int = 512
    max_tokens: int = 4096
    messages: int = 256

    def room(self, asked: int | None, effort: str | None = None) -> int:
        """max_tokens of an answer: cut to the limit; one that is cut short says so ("length").

        effort: where the request names no number, what it asks to be thought comes on top of the answer's own tokens.
        """
        return min(asked or self.answer_tokens + thinking_budget(effort), self.max_tokens)


class StoreFinder(Protocol):
    def resolve(self, owner: str, id_or_name: str) -> NamedStore:
        """Raises NotFound. Blocking."""
        ...


class Asking:
    """Completes what a request says with what the house has: its stores, its engine, its defaults.

    reads: where the stores are asked.
    """

    def __init__(self, stores: StoreFinder, reads: Threads, generators: Generators, defaults: Defaults) -> None:
        self._stores, self._reads = stores, reads
        self.generators = generators
        self.defaults = defaults

    def search_params(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        keep: int | None = None,
        min_score: float | None = None,
        rerank: bool | None = None,
    ) -> SearchParams:
        """None: what the defaults say."""
        usual = self.defaults
        return SearchParams(
            candidates=usual.candidates,
            keep=usual.keep if keep is None else keep,
            min_score=usual.min_score if min_score is None else min_score,
            rerank=usual.rerank if rerank is None else rerank,
            filters=filters,
            token_budget=usual.evidence_tokens or self.generators.client.context_tokens // 2,
        )

    async def store(self, owner: str, id_or_name: str) -> NamedStore:
        """Raises NotFound."""
        return await self._reads.run(self._stores.resolve, owner, id_or_name)

    async def stores(self, owner: str, names: Sequence[str], param: str) -> tuple[NamedStore, ...]:
        """Named by id or name. param: the request's name for them. Raises UnknownStore."""
        try:
            return tuple([await self.store(owner, name) for name in names])
        except NotFound as error:
            raise UnknownStore(str(error), param) from None

    async def default_stores(self, owner: str) -> tuple[NamedStore, ...]:
        """() where the owner has no default store yet: every question then finds no evidence."""
        try:
            return (await self.store(owner, self.defaults.store),)
        except NotFound:
            return ()

    async def model_stores(self, owner: str, model: str) -> tuple[NamedStore, ...]:
        """The stores that `ragpod` or `ragpod:STORE` answers from. Raises UnknownModel."""
        if model == MODEL:
            return await self.default_stores(owner)
        prefix, separator, name = model.partition(":")
        if prefix == MODEL and separator:
            try:
                return await self.stores(owner, [name], "model")
            except UnknownStore:
                raise UnknownModel(model) from None
        raise UnknownModel(model)
