"""What a route is given: the parts of the house that it names by their type, put into the application by server/app."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

from fastapi import Depends, Request
from starlette.types import Scope

T = TypeVar("T")


def part(scope: Scope, kind: type[T]) -> T:
    """The application's own of that type. Raises KeyError where server/app/build.py does not provide one."""
    parts: Mapping[type[Any], Any] = scope["app"].state.parts
    return cast(T, parts[kind])


def provided(kind: type[T]) -> Any:
    """For Annotated[Kind, provided(Kind)] in a route's signature."""

    async def get(request: Request) -> T:
        return part(request.scope, kind)

    getter: Callable[[Request], Coroutine[Any, Any, T]] = get
    return Depends(getter)
