"""A Responses request as a running answer, rendered and kept as it goes."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive

from retrieval.types import SearchParams
from server.answering.answer import admitted
from server.answering.ask import hold_seconds, model_store_ids, new_ask, search_params, store_ids
from server.answering.events import Done, ErrorEvent, Event, Started
from server.answering.question import conversation, search_question
from server.answering.running import Running, cancelled_on_disconnect
from server.answering.work import Ask
from server.app.build import State
from server.http import sse
from server.http.collect import PATIENCE_SECONDS
from server.http.errors import ApiError, failure_of_event
from server.openai.chat.requests import Extension
from server.openai.chat.tools import Json
from server.openai.responses.items import items_of, messages_of, refuse_repeated
from server.openai.responses.output import Frame, shown
from server.openai.responses.request import ResponseRequest, check, sampling_of
from server.openai.responses.stream import ResponseStream
from server.openai.responses.truncation import fitting
from server.records.responses import Responses, Stored


@dataclass(frozen=True, slots=True)
class Question:
    """One validated request: what is asked, how its answer is shown, the items it came with."""

    ask: Ask
    frame: Frame
    items: list[Json]


async def question_of(state: State, owner: str, body: ResponseRequest) -> Question:
    """Raises ApiError before any work: a field, an item, a model, a store, an earlier response that is not there."""
    check(body)
    responses, key, extension = Responses(state.database), secrets.token_hex(16), body.ragpod or Extension()
    stores, retrieve = await _stores(state, owner, body)
    before = await responses.conversation(owner, body.previous_response_id)
    items = await responses.referred(owner, items_of(body.input, key))
    refuse_repeated([*before, *items])
    messages = messages_of([*before, *items], body.instructions, state.settings.limits.messages)
    sampling, context = sampling_of(body, state.settings), state.engine.generator.context_tokens
    talk = fitting(conversation(messages, "input"), body, context, sampling.max_tokens or 0, retrieve=retrieve)
    ask = new_ask(
        owner,
        body.model,
        talk,
        stores,
        _params(state, body, extension),
        sampling,
        extension.session_id,
        explain=extension.explain,
        labels=body.labels,
        store=body.store is not False,
        retrieve=retrieve,
    )
    return Question(ask, _frame(key, ask, body), items)


async def _stores(state: State, owner: str, body: ResponseRequest) -> tuple[tuple[str, ...], bool]:
    """What is searched, and whether anything is: the engine's own id searches only where file_search asks for it."""
    engine = body.model == state.engine.generator.name
    own = () if engine else await model_store_ids(state, owner, body.model)
    if body.search is not None:
        own = await store_ids(state, owner, body.search.vector_store_ids, "tools")
    elif body.ragpod is not None and body.ragpod.vector_store_ids is not None:
        own = await store_ids(state, owner, body.ragpod.vector_store_ids, "ragpod.vector_store_ids")
    return own, bool(own and body.tool_choice != "none") or not engine


def _params(state: State, body: ResponseRequest, extension: Extension) -> SearchParams:
    """What the tool says goes before what the extension says."""
    tool = body.search
    options = tool.ranking_options if tool else None
    return search_params(
        state,
        filters=tool.filters if tool and tool.filters else extension.filters,
        keep=tool.max_num_results if tool and tool.max_num_results else extension.top_k,
        min_score=options.score_threshold if options and options.score_threshold is not None else extension.min_score,
        rerank=False if options and options.ranker == "none" else extension.rerank,
    )


def _frame(key: str, ask: Ask, body: ResponseRequest) -> Frame:
    return Frame(
        key,
        int(time.time()),
        body,
        queries=(search_question(ask.talk),) if ask.retrieve else (),
        refuses=body.structured and not body.functions,
        obfuscate=bool(body.stream_options and body.stream_options.include_obfuscation),
        include=body.includes,
    )


class Answering:
    """frames(events) are the bytes of those events, which have been made while the answer was: both know the same."""

    def __init__(self, state: State, question: Question) -> None:
        self._state, self._question = state, question
        self._stream = ResponseStream(question.frame)
        self._frames: deque[bytes] = deque()
        ask = question.ask
        # Where it is cancelled its task is told nothing more: `last` wakes the reader, and _kept has made its bytes.
        self.running: Running[Event] = state.running.start(
            ask.owner, ask.trace_id, self._kept(), last=Done("cancelled")
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Request-Id": self._question.ask.trace_id}

    def streamed(self) -> sse.EventStream[Event]:
        state = self._state
        return sse.EventStream(
            self.running, self.frames, state.settings.heartbeat_seconds, self.headers, hold_seconds(state)
        )

    async def whole(self, receive: Receive) -> Json:
        """Raises ApiError where the answer failed, once that is stored. The client leaving cancels it."""
        error: ErrorEvent | None = None
        async with cancelled_on_disconnect(self.running, receive):
            while (events := await self.running.next(PATIENCE_SECONDS)) is not None:
                error = error or next((event for event in events if isinstance(event, ErrorEvent)), None)
        if error is not None:
            raise ApiError(failure_of_event(error))
        self._feed_end()
        assert self._stream.response is not None
        return shown(self._stream.response, self._question.frame.include)

    def frames(self, events: Sequence[Event]) -> bytes:
        if len(self._frames) < len(events):  # cancelled before its first step
            self._feed_end()
        return b"".join(self._frames.popleft() for _ in events)

    async def _kept(self) -> AsyncGenerator[Event, None]:
        begun = False
        try:
            async with aclosing(admitted(self._state, self._question.ask)) as events:
                async for event in events:
                    begun = begun or isinstance(event, Started)
                    self._feed(event)
                    if isinstance(event, Done):
                        await asyncio.shield(self._save(begun=begun))
                    yield event
        finally:
            if self._feed_end():
                await asyncio.shield(self._save(begun=begun))

    def _feed_end(self) -> bool:
        """False where it has had its end."""
        if self._stream.response is not None:
            return False
        self._feed(Done("cancelled"))
        return True

    def _feed(self, event: Event) -> None:
        made = self._stream.feed(event)
        self._frames.append(b"".join(sse.typed(one["type"], one) for one in made))

    async def _save(self, *, begun: bool) -> None:
        """A request that was refused before it began has no id that its caller knows."""
        ask, response = self._question.ask, self._stream.response
        if begun and ask.store and response is not None:
            previous = self._question.frame.request.previous_response_id
            kept = Stored(self._question.frame.id, previous, self._question.items, response)
            await Responses(self._state.database).save(ask.owner, kept)
