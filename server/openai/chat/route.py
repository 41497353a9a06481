"""POST /v1/chat/completions."""

import hashlib

import orjson
from fastapi import APIRouter, Request, Response

from server.access.auth import Owner
from server.answering.ask import model_store_ids, new_ask, search_params, start, store_ids, streamed
from server.answering.question import conversation
from server.answering.work import Ask
from server.app.build import State, StateNow
from server.http.collect import collected
from server.http.json_body import JsonRoute
from server.openai.chat.chunks import Chunks
from server.openai.chat.messages import messages_of
from server.openai.chat.passthrough import relay
from server.openai.chat.render import Form, completion
from server.openai.chat.requests import ChatRequest, Extension, check, sampling_of

router = APIRouter(tags=["chat"], route_class=JsonRoute)


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatRequest, request: Request, owner: Owner, state: StateNow) -> Response:
    """A cited answer from the documents of a store (`ragpod`, `ragpod:STORE`), or the engine itself by its own id."""
    if body.model == state.engine.generator.name:
        return await relay(state, owner, body, request)
    ask = await _ask(state, owner, body)
    form = _form(state, body)
    if body.stream:
        return streamed(state, ask, Chunks(form))
    told = await collected(start(state, ask), request.receive)
    labels = {} if body.metadata is None else {"metadata": body.metadata}
    headers = {"X-Request-Id": ask.trace_id}
    return Response(orjson.dumps(completion(told, form, labels)), headers=headers, media_type="application/json")


async def _ask(state: State, owner: str, body: ChatRequest) -> Ask:
    """Raises ApiError before any work: unknown model or store, a parameter or a message that means nothing here."""
    check(body)
    extension = body.ragpod or Extension()
    stores = await model_store_ids(state, owner, body.model)
    if extension.vector_store_ids is not None:
        stores = await store_ids(state, owner, extension.vector_store_ids, "ragpod.vector_store_ids")
    params = search_params(
        state,
        filters=extension.filters,
        keep=extension.top_k,
        min_score=extension.min_score,
        rerank=extension.rerank,
    )
    return new_ask(
        owner,
        body.model,
        conversation(messages_of(body.messages, state.settings.limits.messages)),
        stores,
        params,
        sampling_of(body, state.settings),
        extension.session_id,
        explain=extension.explain,
        labels=body.labels,
        store=body.store is not False,
    )


def _form(state: State, body: ChatRequest) -> Form:
    asked_tier = (body.model_extra or {}).get("service_tier") is not None
    return Form(
        body.model,
        choices=body.n or 1,
        include_usage=body.include_usage,
        obfuscate=body.obfuscate,
        refuses=body.structured and not body.tools,
        fields={"system_fingerprint": _fingerprint(state)} | ({"service_tier": "default"} if asked_tier else {}),
    )


def _fingerprint(state: State) -> str:
    """Changes with the models, and so with what the same seed gives."""
    models = f"{state.engine.generator.name}\n{state.embedder.name}\n{state.style}"
    return f"fp_{hashlib.sha256(models.encode()).hexdigest()[:10]}"
