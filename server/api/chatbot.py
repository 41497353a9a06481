"""The paths and bodies of the Django integration: {success, data} around what /api/v1/sessions and bookmarks tell."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.access.authentication import Owner
from server.answering.transcript import Collected
from server.api import bookmarks as marking
from server.api import messages
from server.api import sessions as talking
from server.api.bookmarks import BookmarksNow, NewBookmark
from server.api.chat import BackendChatNow, ChatQuestion
from server.api.render import answer_of
from server.api.sessions import RunsNow, SessionsNow, User
from server.http.delivery import ended, whole
from server.http.json_body import IDENTIFIER, JsonRoute, UserId

router = APIRouter(prefix="/api/v1/chatbot", tags=["chatbot"], route_class=JsonRoute)
Json = dict[str, Any]


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    message: str = Field(min_length=1)
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)
    user_id: UserId = ""


@router.post("/chat")
async def chat(body: Message, request: Request, owner: Owner, backend: BackendChatNow) -> Response:
    question = ChatQuestion(question=body.message, session_id=body.session_id, user_id=body.user_id)
    ask, collected = await backend.ask(owner, question), Collected()
    run = backend.runs.start(ask, collected)
    await ended(run, request.receive)
    told = answer_of(collected.told)
    ids = {"session_id": ask.session_id, "message_id": ask.message_id}
    data = {**ids, "response": told["answer"], "sources": told["sources"], "metadata": told["metadata"]}
    return whole(run, {"success": True, **ids, "data": data})


@router.get("/sessions")
async def sessions(owner: Owner, kept: SessionsNow, asked: Annotated[talking.Listing, Depends()]) -> Json:
    page = await kept.page(owner, asked.user_id, asked.query, asked.limit, asked.after)
    shown = [messages.session(each) for each in page.items]
    return {"success": True, "data": {"sessions": shown, "has_more": page.has_more}}


@router.get("/sessions/{session_id}")
async def session(session_id: str, owner: Owner, kept: SessionsNow, user_id: User = "") -> Json:
    """With all of its messages."""
    found, page = await kept.exchanges(owner, session_id, user_id)
    shown = [message for exchange in page.items for message in messages.pair(exchange)]
    return {"success": True, "data": {**messages.session(found), "messages": shown}}


@router.post("/sessions/{session_id}/delete")
@router.delete("/sessions/{session_id}/delete")
@router.delete("/sessions/{session_id}")
async def delete(session_id: str, owner: Owner, kept: SessionsNow, runs: RunsNow, user_id: User = "") -> Json:
    await talking.removed(owner, session_id, user_id, kept, runs)
    return {"success": True, "data": {"id": session_id, "deleted": True}}


@router.get("/bookmarks")
async def bookmarks(owner: Owner, kept: BookmarksNow, asked: Annotated[marking.Listing, Depends()]) -> Json:
    page = await kept.page(owner, asked.user_id, asked.tag, asked.query, asked.limit, asked.after)
    return {
        "success": True,
        "data": {"bookmarks": [messages.bookmark(each) for each in page.items], "has_more": page.has_more},
    }


@router.post("/bookmark")
async def bookmark(body: NewBookmark, owner: Owner, kept: BookmarksNow) -> Json:
    made = await kept.add(owner, body.user_id, body.message_id, body.note, body.tag)
    return {"success": True, "data": messages.bookmark(made)}


@router.delete("/bookmark/{bookmark_id}")
async def unmark(bookmark_id: str, owner: Owner, kept: BookmarksNow, user_id: User = "") -> Json:
    await kept.delete(owner, user_id, bookmark_id)
    return {"success": True, "data": {"id": bookmark_id, "deleted": True}}
