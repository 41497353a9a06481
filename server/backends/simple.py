"""The forms that existing web pages use: {question, session_id} in; flat JSON, or data-only events, out."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server import sse
from server.asking import start, streamed
from server.auth import Owner
from server.backends.chat import Question, ask_of
from server.backends.render import TypedEvents, whole
from server.collect import collected
from server.json_body import JsonRoute
from server.openai.requests import IDENTIFIER
from server.state import StateNow

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
