"""Messages that somebody marked, with note and tag."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from server.access.authentication import Owner
from server.api import messages
from server.api.sessions import Limit, User
from server.http.errors import bad_request
from server.http.json_body import JsonRoute, NoNul, UserId
from server.http.provided import provided
from server.records.bookmarks import Bookmarks

router = APIRouter(tags=["bookmarks"], route_class=JsonRoute)
BookmarksNow = Annotated[Bookmarks, provided(Bookmarks)]
Note = Annotated[str, Field(max_length=10_000), NoNul]
Tag = Annotated[str, Field(max_length=100), NoNul]
Json = dict[str, Any]


class NewBookmark(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message_id: Annotated[str, Field(min_length=1, max_length=128)]
    note: Note | None = None
    tag: Tag | None = None
    user_id: UserId = ""


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Note | None = None
    tag: Tag | None = None


class Listing:
    """What a list is asked for."""

    def __init__(
        self,
        user_id: User = "",
        tag: Annotated[str | None, Query(max_length=100)] = None,
        q: Annotated[str, Query(max_length=500, description="stands in note, question or answer")] = "",
        limit: Limit = 20,
        after: Annotated[str | None, Query(max_length=128, description="a bookmark's id")] = None,
    ) -> None:
        self.user_id, self.tag, self.query, self.limit, self.after = user_id, tag, q, limit, after


@router.post("/api/v1/bookmarks")
async def create(body: NewBookmark, owner: Owner, bookmarks: BookmarksNow) -> Json:
    """A message that is marked already keeps its bookmark, with what is given now."""
    made = await bookmarks.add(owner, body.user_id, body.message_id, body.note, body.tag)
    return {"success": True, "bookmark": messages.bookmark(made)}


@router.get("/api/v1/bookmarks")
async def listed(owner: Owner, bookmarks: BookmarksNow, asked: Annotated[Listing, Depends()]) -> Json:
    """The newest first, each with question, answer and passages as they were."""
    page = await bookmarks.page(owner, asked.user_id, asked.tag, asked.query, asked.limit, asked.after)
    shown = [messages.bookmark(each) for each in page.items]
    return {
        "success": True,
        "bookmarks": shown,
        "has_more": page.has_more,
        "last_id": shown[-1]["id"] if shown else None,
    }


@router.get("/api/v1/bookmarks/{bookmark_id}")
async def read(bookmark_id: str, owner: Owner, bookmarks: BookmarksNow, user_id: User = "") -> Json:
    return {"success": True, "bookmark": messages.bookmark(await bookmarks.get(owner, user_id, bookmark_id))}


@router.patch("/api/v1/bookmarks/{bookmark_id}")
async def change(bookmark_id: str, body: Change, owner: Owner, bookmarks: BookmarksNow, user_id: User = "") -> Json:
    if body.note is None and body.tag is None:
        raise bad_request("say what changes: note, or tag")
    kept = await bookmarks.change(owner, user_id, bookmark_id, body.note, body.tag)
    return {"success": True, "bookmark": messages.bookmark(kept)}


@router.delete("/api/v1/bookmarks/{bookmark_id}")
async def delete(bookmark_id: str, owner: Owner, bookmarks: BookmarksNow, user_id: User = "") -> Json:
    await bookmarks.delete(owner, user_id, bookmark_id)
    return {"success": True, "id": bookmark_id, "deleted": True}
