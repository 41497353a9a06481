"""From a Responses request to its answer: what is asked, how it is shown, and what is kept of it."""

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Protocol

from retrieval.store.base.values import NamedStore, StoreError
from retrieval.types import SearchParams
from server.answering.ask import Ask, Asking, new_id, user_of
from server.answering.events import NOT_STORED, Done, Event, Started
from server.answering.question import conversation, search_question
from server.answering.run import Run, Runs
from server.http import sse
from server.openai.chat.requests import Extension
from server.openai.chat.tools import Json
from server.openai.responses.items import items_of, messages_of, refuse_repeated, refuse_too_many
from server.openai.responses.output import Frame
from server.openai.responses.request import ResponseRequest, check, sampling_of
from server.openai.responses.stream import ResponseStream
from server.openai.responses.truncation import fitting
from server.records.responses import Responses, Stored

log = logging.getLogger("ragpod.answer")


class KeepingObserver(Protocol):
    def count_degraded(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ResponseQuestion:
    """One validated request: what is asked, how its answer is shown, the items it came with."""

    ask: Ask
    frame: Frame
    items: list[Json]


class ResponseFrames:
    """Renders an answer as the typed events of the Responses API, and adds up the response meanwhile."""

    def __init__(self, frame: Frame) -> None:
        self.stream = ResponseStream(frame)
        self._made: list[Json] = []

    def feed(self, event: Event) -> bytes:
        self._made = self.stream.feed(event)
        return self._frames()

    def _frames(self) -> bytes:
        return b"".join([sse.typed(made["type"], made) for made in self._made])

    def not_stored(self) -> bytes:
        """The frames of its end anew, where the response says that it is not kept."""
        degraded: list[str] = self.response["ragpod"]["degraded"]  # the last event's too
        if NOT_STORED not in degraded:
            degraded.append(NOT_STORED)
        return self._frames()

    @property
    def response(self) -> Json:
        """With every extra. Only of an answer that has ended."""
        assert self.stream.response is not None
        return self.stream.response


class Keeping:
    """The sink that keeps a response when it has its end, before that is given to anyone; one that cannot be kept is
    given all the same, and says so.
    """

    def __init__(
        self, responses: Responses, question: ResponseQuestion, rendered: ResponseFrames, observer: KeepingObserver
    ) -> None:
        self._responses, self._question, self._rendered = responses, question, rendered
        self._observer = observer
        self._begun = False

    async def __call__(self, event: Event) -> bytes | None:
        """A request that was refused before it began has no id that its caller knows."""
        self._begun = self._begun or isinstance(event, Started)
        if not isinstance(event, Done) or not self._begun or not self._question.ask.store:
            return None
        try:
            await asyncio.shield(self._responses.save(self._question.ask.owner, self._stored()))
        except StoreError as error:
            log.error("the response of answer %s could not be kept: %s", self._question.ask.trace_id, error)
            if NOT_STORED not in event.degraded:  # else it has been counted with the answer
                self._observer.count_degraded(NOT_STORED)
            return self._rendered.not_stored()
        return None

    def _stored(self) -> Stored:
        asked, frame = self._question, self._question.frame
        previous, response = frame.request.previous_response_id, self._rendered.response
        return Stored(frame.id, previous, asked.items, response, asked.ask.trace_id)


class Responding:
    """Responses requests to answers."""

    def __init__(self, runs: Runs, asking: Asking, responses: Responses, observer: KeepingObserver) -> None:
        self._runs, self._asking, self._responses = runs, asking, responses
        self._observer = observer

    def start(self, question: ResponseQuestion, rendered: ResponseFrames) -> Run[Event]:
        keeping = Keeping(self._responses, question, rendered, self._observer)
        return self._runs.start(question.ask, rendered, keeping)

    async def count_tokens(self, ask: Ask) -> int:
        """By the engine's own count; what retrieval adds is not in it."""
        return await self._asking.generators.client.count_tokens(ask.talk.messages())

    async def question(self, owner: str, body: ResponseRequest) -> ResponseQuestion:
        """Raises ApiError, AnswerError, RecordError before any work: a field, an item, a model, a store, an earlier
        response that is not there.
        """
        check(body)
        asking, key, extension = self._asking, secrets.token_hex(16), body.ragpod or Extension()
        stores, retrieve = await self._stores(owner, body)
        most = asking.defaults.messages
        before = await self._responses.conversation(owner, body.previous_response_id, most)
        items = await self._responses.referred(owner, items_of(body.input, key))
        refuse_repeated([*before, *items])
        refuse_too_many(before, items, most)
        messages = messages_of([*before, *items], body.instructions)
        sampling, context = sampling_of(body, asking.defaults), asking.generators.client.context_tokens
        talk = fitting(conversation(messages, "input"), body, context, sampling.max_tokens or 0, retrieve=retrieve)
        ask = Ask(
            owner,
            body.model,
            talk,
            stores,
            self._params(body, extension),
            sampling,
            session_id=extension.session_id or new_id("session"),
            explain=extension.explain,
            labels=body.labels,
            store=body.store is not False,
            user_id=user_of(body.labels),
            retrieve=retrieve,
        )
        return ResponseQuestion(ask, _frame(key, ask, body), items)

    async def _stores(self, owner: str, body: ResponseRequest) -> tuple[tuple[NamedStore, ...], bool]:
        """What is searched, and whether anything is: the engine's own id searches only where file_search asks it."""
        asking, named = self._asking, body.ragpod.vector_store_ids if body.ragpod else None
        engine = body.model == asking.generators.name
        own = () if engine else await asking.model_stores(owner, body.model)
        if body.search is not None:
            own = await asking.stores(owner, body.search.vector_store_ids, "tools")
        elif named is not None:
            own = await asking.stores(owner, named, "ragpod.vector_store_ids")
        return own, bool(own and body.tool_choice != "none") or not engine

    def _params(self, body: ResponseRequest, extension: Extension) -> SearchParams:
        """What the tool says goes before what the extension says."""
        tool = body.search
        options = tool.ranking_options if tool else None
        threshold = options.score_threshold if options else None
        return self._asking.search_params(
            filters=extension.filters if tool is None or tool.filters is None else tool.filters,
            keep=tool.max_num_results if tool and tool.max_num_results else extension.top_k,
            min_score=extension.min_score if threshold is None else threshold,
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
