"""POST /v1/chat/completions."""

import orjson
from fastapi import APIRouter, Request, Response

from server.asking import model_store_ids, new_ask, search_params, start, store_ids, streamed
from server.auth import Owner
from server.collect import collected
from server.openai.passthrough import relay
from server.openai.render import Chunks, completion
from server.openai.requests import ChatRequest, Extension, messages_of, refuse_unknown, sampling_of
from server.question import conversation
from server.state import State, StateNow
from server.work import Ask

router = APIRouter(tags=["chat"])


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatRequest, request: Request, owner: Owner, state: StateNow) -> Response:
    """A cited answer from the documents of a store (`ragpod`, `ragpod:STORE`), or the engine itself by its own id."""
    if body.model == state.engine.generator.name:
        return await relay(state, owner, body, request)
    ask = await _ask(state, owner, body)
    if body.stream:
        return streamed(state, ask, Chunks(body.model, include_usage=body.include_usage))
    told = await collected(start(state, ask), request.receive)
    headers = {"X-Request-Id": ask.trace_id}
    return Response(orjson.dumps(completion(told, body.model)), headers=headers, media_type="application/json")


async def _ask(state: State, owner: str, body: ChatRequest) -> Ask:
    """Raises ApiError before any work: unknown model or store, a parameter or a message that means nothing here."""
    refuse_unknown(body)
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
    talk = conversation(messages_of(body, state.settings.limits.messages))
    sampling = sampling_of(body, state.settings)
    return new_ask(owner, body.model, talk, stores, params, sampling, extension.session_id, explain=extension.explain)
