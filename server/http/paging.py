"""OpenAI's cursor pagination: what a list is asked for, and how it is shown."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Query

Order = Literal["asc", "desc"]


class Cursor:
    """limit, order, after, before."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> None:
        self.arguments: dict[str, Any] = {"limit": limit, "order": order, "after": after, "before": before}


Paging = Annotated[Cursor, Depends()]


def listing(objects: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": objects,
        "first_id": objects[0]["id"] if objects else None,
        "last_id": objects[-1]["id"] if objects else None,
        "has_more": has_more,
    }
