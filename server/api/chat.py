"""The plain HTTP API that other backends call: a question in, the answer with its sources out, whole or streamed."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from models.base import Message, Sampling
from server.access.authentication import Owner
from server.answering.ask import MODEL, Ask, Asking, new_id
from server.answering.question import conversation
from server.answering.run import Runs
from server.answering.transcript import Collected
from server.api.render import TypedEvents, answer_of
from server.http import sse
from server.http.delivery import ended, streamed, whole
from server.http.errors import bad_request
from server.http.json_body import IDENTIFIER, JsonRoute
from server.http.provided import provided

router = APIRouter(tags=["backends"], route_class=JsonRoute)


class Said(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatQuestion(BaseModel):
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


class BackendChat:
    """Questions of other backends to answers."""

    def __init__(self, runs: Runs, asking: Asking) -> None:
        self.runs, self._asking = runs, asking

    async def ask(self, owner: str, body: ChatQuestion) -> Ask:
        """Raises ApiError, AnswerError before any work."""
        asking, limit = self._asking, self._asking.defaults.messages
        if len(body.chat_history) >= limit:
            raise bad_request(f"more than {limit} messages", "chat_history")
        said = [Message(message.role, message.content) for message in body.chat_history]
        talk = conversation([*said, Message("user", body.question)])
        if body.vector_store_ids is None:
            stores = await asking.default_stores(owner)
        else:
            stores = await asking.stores(owner, body.vector_store_ids, "vector_store_ids")
        params = asking.search_params(filters=body.filters, keep=body.top_k, min_score=body.min_score)
        sampling = Sampling(max_tokens=asking.defaults.answer_tokens)
        session = body.session_id or new_id("session")
        return Ask(owner, MODEL, talk, stores, params, sampling, session_id=session)


BackendChatNow = Annotated[BackendChat, provided(BackendChat)]


@router.post("/api/v1/chat")
async def chat(body: ChatQuestion, request: Request, owner: Owner, backend: BackendChatNow) -> Response:
    collected = Collected()
    run = backend.runs.start(await backend.ask(owner, body), collected)
    await ended(run, request.receive)
    return whole(run, answer_of(collected.told))


@router.post("/api/v1/chat/stream")
async def chat_stream(body: ChatQuestion, owner: Owner, backend: BackendChatNow) -> Response:
    """Typed events: started, stage, sources, reasoning, delta, citation, usage, done, error."""
    return streamed(backend.runs.start(await backend.ask(owner, body), TypedEvents(sse.typed)))
