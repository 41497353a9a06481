"""The plain HTTP API that other backends call: a question in, the answer with its sources out, whole or streamed."""

from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from models.base import Message, Sampling
from server.access.auth import Owner
from server.answering.ask import MODEL, default_store_ids, new_ask, search_params, start, store_ids, streamed
from server.answering.question import conversation
from server.answering.work import Ask
from server.api.render import TypedEvents, whole
from server.app.build import State, StateNow
from server.http import sse
from server.http.collect import collected
from server.http.errors import bad_request
from server.http.json_body import JsonRoute
from server.openai.chat.requests import IDENTIFIER

router = APIRouter(tags=["backends"], route_class=JsonRoute)


class Said(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str


class Question(BaseModel):
    """user_id is kept by the caller; nothing here depends on it."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1)
    user_id: str | int | None = None
    chat_history: list[Said] = Field(default_factory=list)
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)
    vector_store_ids: list[str] | None = Field(default=None, min_length=1, max_length=16)
    filters: dict[str, Any] | None = None
    top_k: int | None = Field(default=None, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)


@router.post("/api/v1/chat")
async def chat(body: Question, request: Request, owner: Owner, state: StateNow) -> Response:
    ask = await ask_of(state, owner, body)
    told = await collected(start(state, ask), request.receive)
    headers = {"X-Request-Id": ask.trace_id}
    return Response(orjson.dumps(whole(told)), headers=headers, media_type="application/json")


@router.post("/api/v1/chat/stream")
async def chat_stream(body: Question, owner: Owner, state: StateNow) -> Response:
    """Typed events: started, stage, sources, reasoning, delta, citation, usage, done, error."""
    return streamed(state, await ask_of(state, owner, body), TypedEvents(sse.typed))


async def ask_of(state: State, owner: str, body: Question) -> Ask:
    limits = state.settings.limits
    if len(body.chat_history) >= limits.messages:
        raise bad_request(f"more than {limits.messages} messages", "chat_history")
    said = [Message(message.role, message.content) for message in body.chat_history]
    talk = conversation([*said, Message("user", body.question)])
    if body.vector_store_ids is None:
        stores = await default_store_ids(state, owner)
    else:
        stores = await store_ids(state, owner, body.vector_store_ids, "vector_store_ids")
    params = search_params(state, filters=body.filters, keep=body.top_k, min_score=body.min_score)
    sampling = Sampling(max_tokens=state.settings.engine.answer_tokens)
    return new_ask(owner, MODEL, talk, stores, params, sampling, body.session_id)
