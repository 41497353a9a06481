"""From a validated request to a running answer: the same for every route that answers."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.base import Sampling
from retrieval.store.types import NotFound
from retrieval.types import SearchParams
from server.answering.answer import admitted
from server.answering.events import Done, Event
from server.answering.question import Conversation
from server.answering.running import Running
from server.answering.work import Ask
from server.app.build import State
from server.http.errors import ApiError, Failure, not_found
from server.http.sse import HOLD_SECONDS, EventStream

MODEL = "ragpod"
VLLM_HOLD_SECONDS = 2.0


def new_id(kind: str) -> str:
    """Unguessable: 128 random bits."""
    return f"{kind}_{secrets.token_hex(16)}"


def start(state: State, ask: Ask) -> Running[Event]:
    return state.running.start(ask.owner, ask.trace_id, admitted(state, ask), last=Done("cancelled"))


def streamed(state: State, ask: Ask, render: Callable[[Sequence[Event]], bytes]) -> EventStream[Event]:
    """The answer as server-sent events."""
    headers = {"X-Request-Id": ask.trace_id}
    return EventStream(start(state, ask), render, state.settings.heartbeat_seconds, headers, hold_seconds(state))


def hold_seconds(state: State) -> float:
    """How long the sources wait for the first word: vLLM refuses under HTTP 200."""
    return VLLM_HOLD_SECONDS if state.engine.generator.traits.dialect == "vllm" else HOLD_SECONDS


def new_ask(
    owner: str,
    model: str,
    talk: Conversation,
    store_ids: Sequence[str],
    params: SearchParams,
    sampling: Sampling,
    session_id: str | None = None,
    *,
    explain: bool = False,
    labels: Mapping[str, Any] | None = None,
    store: bool = True,
    retrieve: bool = True,
) -> Ask:
    """See Ask for labels, store and retrieve."""
    return Ask(
        owner=owner,
        model=model,
        talk=talk,
        store_ids=tuple(store_ids),
        params=params,
        sampling=sampling,
        trace_id=new_id("trace"),
        session_id=session_id or new_id("session"),
        message_id=new_id("msg"),
        explain=explain,
        labels=labels or {},
        store=store,
        retrieve=retrieve,
    )


def search_params(
    state: State,
    *,
    filters: Mapping[str, Any] | None = None,
    keep: int | None = None,
    min_score: float | None = None,
    rerank: bool | None = None,
) -> SearchParams:
    """What the request leaves open (None) comes from the settings."""
    defaults = state.settings.retrieval
    return SearchParams(
        candidates=defaults.candidates,
        keep=defaults.keep if keep is None else keep,
        min_score=defaults.min_score if min_score is None else min_score,
        rerank=defaults.rerank if rerank is None else rerank,
        filters=filters,
        token_budget=state.evidence_tokens,
    )


async def store_ids(state: State, owner: str, names: Sequence[str], param: str) -> tuple[str, ...]:
    """Ids of stores named by id or name. Raises ApiError (404)."""
    try:
        found = [await asyncio.to_thread(state.store.find_store, owner, name) for name in names]
    except NotFound as error:
        raise not_found(str(error), "vector_store_not_found", param) from None
    return tuple(store.id for store in found)


async def default_store_ids(state: State, owner: str) -> tuple[str, ...]:
    """() where the owner has no default store yet: every question then finds no evidence."""
    try:
        return ((await asyncio.to_thread(state.store.find_store, owner, state.settings.default_store)).id,)
    except NotFound:
        return ()


async def model_store_ids(state: State, owner: str, model: str) -> tuple[str, ...]:
    """The stores that `ragpod` or `ragpod:STORE` answers from. Raises ApiError (404, model_not_found)."""
    if model == MODEL:
        return await default_store_ids(state, owner)
    prefix, separator, name = model.partition(":")
    if prefix == MODEL and separator:
        try:
            return await store_ids(state, owner, [name], "model")
        except ApiError:
            raise unknown_model(model) from None
    raise unknown_model(model)


def unknown_model(model: str) -> ApiError:
    message = f"the model {model[:100]!r} does not exist"
    return ApiError(Failure(404, message, code="model_not_found", param="model"))
