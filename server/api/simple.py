"""The forms that existing web pages use: {question, session_id} in; flat JSON, or data-only events, out."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.access.auth import Owner
from server.answering.ask import start, streamed
from server.api.chat import Question, ask_of
from server.api.render import TypedEvents, whole
from server.app.build import StateNow
from server.http import sse
from server.http.collect import collected
from server.http.json_body import JsonRoute
from server.openai.chat.requests import IDENTIFIER

router = APIRouter(tags=["pages"], route_class=JsonRoute)


class SimpleQuestion(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)

    def full(self) -> Question:
        return Question(question=self.question, session_id=self.session_id)


@router.post("/api/chat")
async def chat(body: SimpleQuestion, request: Request, owner: Owner, state: StateNow) -> Response:
    ask = await ask_of(state, owner, body.full())
    answered = whole(await collected(start(state, ask), request.receive))
    flat = answered | {"session_id": ask.session_id, "trace_id": ask.trace_id}
    return Response(orjson.dumps(flat), media_type="application/json")


@router.post("/api/chat/stream")
async def chat_stream(body: SimpleQuestion, owner: Owner, state: StateNow) -> Response:
    """`data: {"type": "delta", "text": …}`; the types are those of /api/v1/chat/stream."""
    return streamed(state, await ask_of(state, owner, body.full()), TypedEvents(_untyped))


def _untyped(name: str, payload: dict[str, Any]) -> bytes:
    return sse.data({"type": name, **payload})
