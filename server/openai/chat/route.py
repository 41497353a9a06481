"""POST /v1/chat/completions."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Request, Response

from models.base import Embedder
from server.access.authentication import Owner
from server.answering.ask import Ask, Asking, new_id, user_of
from server.answering.question import conversation
from server.answering.run import Runs
from server.answering.transcript import Collected
from server.http.delivery import ended, streamed, whole
from server.http.json_body import JsonRoute
from server.http.provided import provided
from server.openai.chat.chunks import Chunks
from server.openai.chat.messages import messages_of
from server.openai.chat.passthrough import Passthrough
from server.openai.chat.render import Form, completion
from server.openai.chat.requests import ChatRequest, Extension, check, sampling_of

router = APIRouter(tags=["chat"], route_class=JsonRoute)


class Chat:
    """Chat requests to answers. embedder: its name is in the fingerprint."""

    def __init__(self, runs: Runs, asking: Asking, passthrough: Passthrough, embedder: Embedder) -> None:
        self.runs, self.passthrough = runs, passthrough
        self._asking, self._embedder = asking, embedder

    def is_for_engine(self, body: ChatRequest) -> bool:
        return body.model == self._asking.generators.name

    async def ask(self, owner: str, body: ChatRequest) -> Ask:
        """Raises ApiError, AnswerError before any work: unknown model or store, a parameter or a message that means
        nothing here.
        """
        check(body)
        asking, extension = self._asking, body.ragpod or Extension()
        in_session = extension.session_id is not None and body.store is not False
        stores = await asking.model_stores(owner, body.model)
        if extension.vector_store_ids is not None:
            stores = await asking.stores(owner, extension.vector_store_ids, "ragpod.vector_store_ids")
        params = asking.search_params(
            filters=extension.filters,
            keep=extension.top_k,
            min_score=extension.min_score,
            rerank=extension.rerank,
        )
        return Ask(
            owner,
            body.model,
            conversation(messages_of(body.messages, asking.defaults.messages)),
            stores,
            params,
            sampling_of(body, asking.defaults),
            session_id=extension.session_id or new_id("session"),
            explain=extension.explain,
            labels=body.labels,
            store=body.store is not False,
            user_id=user_of(body.labels),
            in_session=in_session,
            continues=in_session,
        )

    def form(self, body: ChatRequest) -> Form:
        asked_tier = (body.model_extra or {}).get("service_tier") is not None
        tier = {"service_tier": "default"} if asked_tier else {}
        return Form(
            body.model,
            choices=body.n or 1,
            include_usage=body.include_usage,
            obfuscate=body.obfuscate,
            refuses=body.structured and not body.tools,
            fields={"system_fingerprint": self._fingerprint(), **tier},
        )

    def _fingerprint(self) -> str:
        """Changes with the models, and so with what the same seed gives."""
        generators = self._asking.generators
        models = f"{generators.name}\n{self._embedder.name}\n{generators.style}"
        return f"fp_{hashlib.sha256(models.encode()).hexdigest()[:10]}"


@router.post("/v1/chat/completions")
async def chat_completions(
    body: ChatRequest, request: Request, owner: Owner, chat: Annotated[Chat, provided(Chat)]
) -> Response:
    """A cited answer from the documents of a store (`ragpod`, `ragpod:STORE`), or the engine itself by its own id."""
    if chat.is_for_engine(body):
        return await chat.passthrough.answer(owner, body, request)
    ask, form = await chat.ask(owner, body), chat.form(body)
    if body.stream:
        return streamed(chat.runs.start(ask, Chunks(form)))
    collected = Collected()
    run = chat.runs.start(ask, collected)
    await ended(run, request.receive)
    labels = {} if body.metadata is None else {"metadata": body.metadata}
    return whole(run, completion(collected.told, form, labels))
