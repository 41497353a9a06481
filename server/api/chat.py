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
from server.http.json_body import IDENTIFIER, JsonRoute, UserId
from server.http.provided import provided
from server.records.sessions import Sessions

router = APIRouter(tags=["backends"], route_class=JsonRoute)


class Said(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatQuestion(BaseModel):
    """user_id: whom the caller asks for; a session belongs to the user of its first question. session_id: without one,
    and without a history of the caller's own, a session begins. chat_history: read where the session has none.

    replaces: a message of the session, whose question is asked anew, or in other words; the earlier one stays beside.
    """

    model_config = ConfigDict(extra="forbid")

    question: str | None = Field(default=None, min_length=1)
    user_id: UserId = ""
    chat_history: list[Said] = Field(default_factory=list)
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)
    replaces: str | None = Field(default=None, pattern=IDENTIFIER)
    vector_store_ids: list[str] | None = Field(default=None, min_length=1, max_length=16)
    filters: dict[str, Any] | None = None
    top_k: int | None = Field(default=None, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)


class BackendChat:
    """Questions of other backends to answers."""

    def __init__(self, runs: Runs, asking: Asking, sessions: Sessions) -> None:
        self.runs, self._asking, self._sessions = runs, asking, sessions

    async def ask(self, owner: str, body: ChatQuestion) -> Ask:
        """Raises ApiError, AnswerError before any work."""
        asking, limit = self._asking, self._asking.defaults.messages
        if len(body.chat_history) >= limit:
            raise bad_request(f"more than {limit} messages", "chat_history")
        said = [Message(message.role, message.content) for message in body.chat_history]
        talk = conversation([*said, Message("user", await self._question(owner, body))], "question")
        if body.vector_store_ids is None:
            stores = await asking.default_stores(owner)
        else:
            stores = await asking.stores(owner, body.vector_store_ids, "vector_store_ids")
        params = asking.search_params(filters=body.filters, keep=body.top_k, min_score=body.min_score)
        sampling = Sampling(max_tokens=asking.defaults.answer_tokens)
        return Ask(
            owner,
            MODEL,
            talk,
            stores,
            params,
            sampling,
            session_id=body.session_id or new_id("session"),
            user_id=body.user_id,
            in_session=body.session_id is not None or not said,
            continues=body.session_id is not None,
            replaces=body.replaces,
        )

    async def _question(self, owner: str, body: ChatQuestion) -> str:
        """Raises ApiError, UnknownMessage."""
        if body.replaces is not None and body.session_id is None:
            raise bad_request("a message is replaced in its session: session_id is missing", "session_id")
        if body.question is not None:
            return body.question
        if body.replaces is None:
            raise bad_request("question: Field required", "question", "missing")
        return (await self._sessions.exchange(owner, body.replaces, body.user_id)).question


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
