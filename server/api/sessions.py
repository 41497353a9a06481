"""Conversations: made, listed, searched, read, renamed, exported, removed; and all of one user erased.

Questions are asked with `session_id` (server/api/chat.py, and `ragpod.session_id` of /v1/chat/completions).
"""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.access.authentication import Owner
from server.answering.run import Runs
from server.api import messages
from server.http.errors import bad_request
from server.http.json_body import JsonRoute, NoNul, UserId
from server.http.provided import provided
from server.records.sessions import Sessions, clean_title

router = APIRouter(tags=["sessions"], route_class=JsonRoute)
SessionsNow = Annotated[Sessions, provided(Sessions)]
RunsNow = Annotated[Runs, provided(Runs)]
TITLE = 200  # characters
User = Annotated[str, Query(max_length=256, description="only of this user; empty: of everyone whom the key serves")]
Limit = Annotated[int, Query(ge=1, le=100)]
Json = dict[str, Any]


class NewSession(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=TITLE), NoNul] = ""
    user_id: UserId = ""


class Renaming(BaseModel):
    """shown: a message, whose version is shown from now on, and goes on."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=TITLE), NoNul] | None = None
    shown: Annotated[str, Field(max_length=128)] | None = None


class Listing:
    """What a list is asked for."""

    def __init__(
        self,
        user_id: User = "",
        q: Annotated[str, Query(max_length=500, description="words that all stand in the title or a message")] = "",
        limit: Limit = 20,
        after: Annotated[str | None, Query(max_length=128, description="a session's id")] = None,
    ) -> None:
        self.user_id, self.query, self.limit, self.after = user_id, q, limit, after


async def removed(owner: str, session_id: str, user_id: str, sessions: Sessions, runs: Runs) -> None:
    """An answer that still runs there is stopped first. Raises UnknownSession."""
    await sessions.get(owner, session_id, user_id)
    for trace in await sessions.running(owner, session_id=session_id):
        await runs.end(owner, trace)
    await sessions.delete(owner, session_id, user_id)


@router.post("/api/v1/sessions", status_code=201)
async def create(body: NewSession, owner: Owner, sessions: SessionsNow) -> Json:
    """Not needed before the first question: one without a session begins its own."""
    made = await sessions.create(owner, body.user_id, clean_title(body.title))
    return {"success": True, "session": messages.session(made)}


@router.get("/api/v1/sessions")
async def listed(owner: Owner, sessions: SessionsNow, asked: Annotated[Listing, Depends()]) -> Json:
    """The newest first."""
    page = await sessions.page(owner, asked.user_id, asked.query, asked.limit, asked.after)
    shown = [messages.session(each) for each in page.items]
    return {
        "success": True,
        "sessions": shown,
        "has_more": page.has_more,
        "last_id": shown[-1]["id"] if shown else None,
    }


@router.get("/api/v1/sessions/{session_id}")
async def read(
    session_id: str,
    owner: Owner,
    sessions: SessionsNow,
    user_id: User = "",
    limit: Annotated[int, Query(ge=1, le=500, description="messages")] = 100,
    before: Annotated[str | None, Query(max_length=128, description="a message's id")] = None,
) -> Response:
    """With its last messages, the oldest first; `before` pages back."""
    kept, page = await sessions.exchanges(owner, session_id, user_id, limit=max(1, limit // 2), before=before)
    shown = [message for exchange in page.items for message in messages.pair(exchange)]
    told = {"success": True, "session": messages.session(kept), "messages": shown, "has_more": page.has_more}
    return Response(orjson.dumps(told), media_type="application/json")


@router.patch("/api/v1/sessions/{session_id}")
async def change(session_id: str, body: Renaming, owner: Owner, sessions: SessionsNow, user_id: User = "") -> Json:
    """Another title, or another version of a message."""
    if body.title is None and body.shown is None:
        raise bad_request("say what changes: title, or shown")
    if body.shown is not None:
        kept = await sessions.show(owner, session_id, user_id, body.shown)
    if body.title is not None:
        if not (title := clean_title(body.title)):
            raise bad_request("a title must show something", "title")
        kept = await sessions.rename(owner, session_id, user_id, title)
    return {"success": True, "session": messages.session(kept)}


@router.delete("/api/v1/sessions/{session_id}")
async def delete(session_id: str, owner: Owner, sessions: SessionsNow, runs: RunsNow, user_id: User = "") -> Json:
    """With its messages and their traces; bookmarks stay. The bytes leave the disk within a minute."""
    await removed(owner, session_id, user_id, sessions, runs)
    return {"success": True, "id": session_id, "deleted": True}


@router.get("/api/v1/sessions/{session_id}/export")
async def export(
    session_id: str,
    owner: Owner,
    sessions: SessionsNow,
    user_id: User = "",
    format: Literal["json", "markdown"] = "json",
) -> Response:
    """The whole branch that is shown, as a file."""
    kept, page = await sessions.exchanges(owner, session_id, user_id)
    if format == "markdown":
        content, kind, ending = messages.markdown(kept, page.items).encode(), "text/markdown; charset=utf-8", "md"
    else:
        whole = [message for exchange in page.items for message in messages.pair(exchange)]
        content, kind, ending = (
            orjson.dumps({"session": messages.session(kept), "messages": whole}, option=orjson.OPT_INDENT_2),
            "application/json",
            "json",
        )
    return Response(
        content, headers={"Content-Disposition": f'attachment; filename="session.{ending}"'}, media_type=kind
    )


@router.delete("/api/v1/users/{user_id}")
async def erase(
    user_id: Annotated[str, NoNul, Field(min_length=1, max_length=256)],
    owner: Owner,
    sessions: SessionsNow,
    runs: RunsNow,
) -> Json:
    """Everything that is kept of one user: sessions, answers with their traces and responses, bookmarks. Answers that
    run are stopped. The same again finds nothing, and is no error.
    """
    for trace in await sessions.running(owner, user_id=user_id):
        await runs.end(owner, trace)
    return {"success": True, "user_id": user_id, "deleted": await sessions.erase(owner, user_id)}
