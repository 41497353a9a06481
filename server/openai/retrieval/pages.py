"""GET /v1/files/{id}/pages/{n}: one page of a PDF for who looks at what was found in it: a picture, or its words."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Header, Query, Response

from retrieval.places import TextLayer
from retrieval.store.base.values import File
from retrieval.store.store import Store
from server.access.admission import Admission
from server.access.authentication import Owner
from server.http.errors import bad_request, not_found
from server.http.provided import provided
from server.openai.retrieval.objects import StoreNow

if TYPE_CHECKING:  # it loads the parsers
    from retrieval.sandbox.pool import Pool

T = TypeVar("T")
router = APIRouter(prefix="/v1/files", tags=["files"])
WIDTH, NARROWEST, WIDEST = 1000, 16, 4000  # pixels
_HEAD = 1024  # bytes within which a PDF says that it is one
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The page: a PNG, or with `format=words` its size and words, all in points from its top left.",
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "object"}},
        },
    },
    304: {"description": "It is as the client has it (`If-None-Match`)."},
    400: {"description": "The file is no PDF, or one that cannot be shown: damaged, encrypted."},
    404: {"description": "No such file, or no such page in it."},
    429: {"description": "Too many pages are waiting to be drawn."},
    503: {"description": "The page waited too long."},
}


class Viewing:
    """Pages as they are drawn, in children that the ingest does not use; so many at once as `admission` lets in."""

    def __init__(self, pool: "Pool", admission: Admission) -> None:
        self._pool, self._admission = pool, admission

    async def picture(self, store: Store, owner: str, file: File, page: int, width: int) -> bytes:
        """A PNG. Raises ApiError, NotFound."""
        drawn = partial(self._pool.picture, filename=file.filename, page=page, width=width)
        return await self._of(store, owner, file, drawn)

    async def words(self, store: Store, owner: str, file: File, page: int) -> TextLayer:
        """Raises as `picture`."""
        return await self._of(store, owner, file, partial(self._pool.words, filename=file.filename, page=page))

    async def _of(self, store: Store, owner: str, file: File, view: Callable[[bytes], Awaitable[T]]) -> T:
        """The file is read when its turn has come: those that wait hold no memory."""
        from retrieval.parsing import ParseError

        async with self._admission.admit():
            content = await store.reads.run(_pdf, store, owner, file.id)
            try:
                return await view(content)
            except ParseError as error:
                raise bad_request(f"the file cannot be shown: {error}", "file_id", error.code) from None
            except IndexError as error:
                raise not_found(str(error), param="page") from None


ViewingNow = Annotated[Viewing, provided(Viewing)]


@router.head("/{file_id}/pages/{page}", include_in_schema=False)
@router.get("/{file_id}/pages/{page}", response_class=Response, responses=_ANSWERS)
async def page_of(
    file_id: str,
    page: int,
    owner: Owner,
    store: StoreNow,
    viewing: ViewingNow,
    width: Annotated[int, Query(ge=NARROWEST, le=WIDEST, description="pixels of the picture")] = WIDTH,
    form: Annotated[Literal["png", "words"] | None, Query(alias="format")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Not OpenAI's. One page of a PDF, counted from 1. Without `format`, `Accept: application/json` asks for words. A
    picture has at most 16 million pixels, so a very tall page may come narrower than `width`.
    """
    words = form == "words" or (form is None and "application/json" in accept and "image/" not in accept)
    file = await store.reads.run(store.files.get, owner, file_id)
    if not 0 < page < 1 << 31:
        raise not_found("pages are counted from 1", param="page")
    tag = _tag(file, page, "words" if words else str(width))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    headers["X-Content-Type-Options"] = "nosniff"
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    if not words:
        png = await viewing.picture(store, owner, file, page, width)
        return Response(png, headers=headers, media_type="image/png")
    layer = await viewing.words(store, owner, file, page)
    body = await asyncio.to_thread(_body, file.id, page, layer)
    return Response(body, headers=headers, media_type="application/json")


def _pdf(store: Store, owner: str, file_id: str) -> bytes:
    """Raises NotFound, ApiError (400) where it is none."""
    with store.files.open(owner, file_id)[1] as stream:
        head = stream.read(_HEAD)
        if b"%PDF-" not in head:
            raise bad_request("only a PDF has pages that can be shown", "file_id", "unsupported_file")
        return bytes(head + stream.read())


def _tag(file: File, page: int, form: str) -> str:
    """Another PDFium may draw it otherwise."""
    what = f"{file.sha256}\n{page}\n{form}\n{_pdfium()}"
    return f'"{hashlib.sha256(what.encode()).hexdigest()[:32]}"'


@cache
def _pdfium() -> str:
    return version("pypdfium2")


def _body(file_id: str, page: int, layer: TextLayer) -> bytes:
    return orjson.dumps(
        {
            "object": "file.page",
            "file_id": file_id,
            "page": page,
            "pages": layer.pages,
            "width": round(layer.width, 2),
            "height": round(layer.height, 2),
            "words": [{"text": word.text, "box": list(word.box)} for word in layer.words],
        }
    )
