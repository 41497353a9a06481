"""/v1/responses."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from server.access.authentication import Owner
from server.http.delivery import ended, streamed, whole
from server.http.errors import bad_request, not_found
from server.http.json_body import JsonRoute
from server.http.provided import provided
from server.openai.chat.tools import Json
from server.openai.responses.output import shown, shown_item
from server.openai.responses.question import Responding, ResponseFrames
from server.openai.responses.request import CountRequest, ResponseRequest
from server.records.responses import Responses

router = APIRouter(prefix="/v1/responses", tags=["responses"], route_class=JsonRoute)
Include = Annotated[
    list[Literal["file_search_call.results", "message.output_text.logprobs"]] | None,
    Query(alias="include[]"),
]
RespondingNow = Annotated[Responding, provided(Responding)]
ResponsesNow = Annotated[Responses, provided(Responses)]


@router.post("")
async def create(body: ResponseRequest, request: Request, owner: Owner, responding: RespondingNow) -> Response:
    """A cited answer from documents, or the engine's own; kept, so that another request can go on from it."""
    question = await responding.question(owner, body)
    rendered = ResponseFrames(question.frame)
    run = responding.start(question, rendered)
    if body.stream:
        return streamed(run)
    await ended(run, request.receive)
    return whole(run, shown(rendered.response, question.frame.include))


@router.post("/input_tokens")
async def count_input_tokens(body: CountRequest, owner: Owner, responding: RespondingNow) -> dict[str, Any]:
    """By the engine's own count, of the conversation and the instructions; what retrieval adds is not in it."""
    question = await responding.question(owner, body)
    return {"object": "response.input_tokens", "input_tokens": await responding.count_tokens(question.ask)}


@router.post("/compact", include_in_schema=False)
async def compact(owner: Owner) -> Response:
    """Not an id: without this the path below answers that the method is wrong."""
    raise not_found("compaction is not offered; leave out `input` that is too long, or go on from a later response")


@router.get("/{response_id}")
async def retrieve(
    response_id: str, owner: Owner, responses: ResponsesNow, include: Include = None, stream: bool = False
) -> dict[str, Any]:
    if stream:
        raise bad_request("a response is streamed once, while it is made", "stream")
    stored = await responses.get(owner, response_id)
    return shown(stored.response, include or ())


@router.delete("/{response_id}")
async def delete(response_id: str, owner: Owner, responses: ResponsesNow) -> dict[str, Any]:
    """With the turn of the same answer, its trace. What went on from it can be read, but not be continued."""
    await responses.delete(owner, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel")
async def cancel(response_id: str, owner: Owner, responses: ResponsesNow) -> dict[str, Any]:
    """As OpenAI: only a background response can be cancelled, and none is made here."""
    await responses.get(owner, response_id)
    raise bad_request("cannot cancel a synchronous response: close its connection", "response_id")


@router.get("/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    owner: Owner,
    responses: ResponsesNow,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    include: Include = None,
) -> dict[str, Any]:
    items: list[Json] = (await responses.get(owner, response_id)).input
    if order == "desc":
        items = items[::-1]
    if after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise not_found(f"no item {after[:100]!r}", "item_not_found", "after")
        items = items[places[0] + 1 :]
    page = [shown_item(item, include or ()) for item in items[:limit]]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": len(items) > limit,
    }
