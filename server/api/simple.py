"""The forms that existing web pages use: {question, session_id} in; flat JSON, or data-only events, out."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.access.authentication import Owner
from server.answering.transcript import Collected
from server.api.chat import BackendChatNow, ChatQuestion
from server.api.render import TypedEvents, answer_of
from server.http import sse
from server.http.delivery import ended, streamed
from server.http.json_body import IDENTIFIER, JsonRoute

router = APIRouter(tags=["pages"], route_class=JsonRoute)


class SimpleQuestion(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)

    def full(self) -> ChatQuestion:
        return ChatQuestion(question=self.question, session_id=self.session_id)


@router.post("/api/chat")
async def chat(body: SimpleQuestion, request: Request, owner: Owner, backend: BackendChatNow) -> Response:
    ask, collected = await backend.ask(owner, body.full()), Collected()
    await ended(backend.runs.start(ask, collected), request.receive)
    flat = answer_of(collected.told) | {"session_id": ask.session_id, "trace_id": ask.trace_id}
    return Response(orjson.dumps(flat), media_type="application/json")


@router.post("/api/chat/stream")
async def chat_stream(body: SimpleQuestion, owner: Owner, backend: BackendChatNow) -> Response:
    """`data: {"type": "delta", "text": …}`; the types are those of /api/v1/chat/stream."""
    return streamed(backend.runs.start(await backend.ask(owner, body.full()), TypedEvents(_untyped)))


def _untyped(name: str, payload: dict[str, Any]) -> bytes:
    return sse.data({"type": name, **payload})
