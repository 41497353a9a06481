"""The use case: history -> question -> search -> prompt -> stream -> citations -> store."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from models.base import Generator, Message, Prompt
from retrieval.language import language
from retrieval.prompting.prompt import build, refusal
from retrieval.prompting.small_talk import small_talk
from retrieval.store.base.values import NamedStore, StoreError
from retrieval.types import Retrieval, SearchParams
from server.answering.ask import Ask
from server.answering.events import (
    NOT_STORED,
    Done,
    ErrorEvent,
    Event,
    Sources,
    Stage,
    Started,
    TextDelta,
    UsageReport,
)
from server.answering.failures import failure_of
from server.answering.generators import Generators
from server.answering.question import recent, said, search_question
from server.answering.running import within
from server.answering.work import Work
from server.answering.writing import write
from server.records.turn import Status, Turn

HISTORY_SHARE = 4  # of the context, at most a quarter is earlier turns
log = logging.getLogger("ragpod.answer")


class Searcher(Protocol):
    async def search(self, owner: str, stores: Sequence[NamedStore], query: str, params: SearchParams) -> Retrieval:
        """Raises Expired, NotFound, InvalidFilter, ModelError."""
        ...


class Recorder(Protocol):
    """Every call may raise StoreError."""

    async def begin(self, turn: Turn) -> None: ...

    async def enter(self, turn: Turn, replaces: str | None, most: int) -> tuple[Turn, list[Turn]]:
        """As `begin`, in a session: the turn with its place there, and the `most` last ones before it. Raises
        RecordError.
        """
        ...

    async def end(self, turn: Turn) -> None:
        """Of one that was begun."""
        ...

    async def save(self, turn: Turn) -> None:
        """Of one that could not be."""
        ...


class Observer(Protocol):
    def count_answer(self, status: str, work: Work) -> None: ...


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Seconds: of the whole answer, of its search, and until the engine's first token. history_turns: the most that an
    answer knows of its session.
    """

    total: float = 300.0
    search: float = 20.0
    first_token: float = 60.0
    history_turns: int = 5


class Answerer:
    """Answers questions one by one, any number at once. It admits everyone: see Runs for places and for stopping."""

    def __init__(
        self, retriever: Searcher, generators: Generators, limits: AnswerLimits, recorder: Recorder, observer: Observer
    ) -> None:
        self._retriever = retriever
        self._generators = generators
        self._limits = limits
        self._recorder = recorder
        self._observer = observer

    async def answer(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Events in the order of events.py. The turn is stored when it begins, beside the search, and however it ends,
        before Done is yielded; one that cannot be stored fails no answer, and Done says so.

        One that goes on in a session is stored there first: raises RecordError where that session is not there, or
        answers already, and StoreError.
        """
        if ask.continues:
            work = await self._entered(ask)
            begun: asyncio.Task[bool] | None = asyncio.create_task(_done())
        else:
            work = Work(ask)
            begun = asyncio.create_task(self._begun(work.turn(Status.RUNNING))) if ask.store else None
        status, ask = Status.CANCELLED, work.ask
        try:
            try:
                async with within(self._limits.total, "the answer"):
                    async for event in self._steps(work):
                        work.transcript.add(event)
                        yield event
                status = Status.COMPLETE
            except Exception as error:
                status = Status.FAILED
                work.transcript.add(failure := failed(error, ask.trace_id))
                yield failure
        finally:
            work.mark("total", work.begun)
            if begun is not None and not await asyncio.shield(self._kept(begun, work.turn(status))):
                work.degraded.append(NOT_STORED)
            self._observer.count_answer(status, work)
        late = (NOT_STORED,) if NOT_STORED in work.degraded else ()
        if status is Status.FAILED:
            yield Done("error", (), late)
        else:
            yield Done(work.finish_reason, work.other_reasons, late)

    async def _entered(self, ask: Ask) -> Work:
        """The question with its place in its session, and with what was said there before."""
        turn = Work(ask).turn(Status.RUNNING)
        placed, earlier = await self._recorder.enter(turn, ask.replaces, self._limits.history_turns)
        history = said(earlier) if placed.after_id is not None else ask.talk.history
        talk = replace(ask.talk, history=history)
        return Work(replace(ask, talk=talk, user_id=placed.user_id, after_id=placed.after_id, depth=placed.depth))

    async def _begun(self, turn: Turn) -> bool:
        try:
            await self._recorder.begin(turn)
        except StoreError as error:
            log.warning("the turn of answer %s could not be begun: %s", turn.trace_id, error)
            return False
        return True

    async def _kept(self, begun: asyncio.Task[bool], turn: Turn) -> bool:
        """Whoever asked has the answer by now, and would lose it with its record."""
        try:
            await (self._recorder.end if await begun else self._recorder.save)(turn)
        except StoreError as error:
            log.error("the turn of answer %s could not be kept: %s", turn.trace_id, error)
            return False
        return True

    async def _steps(self, work: Work) -> AsyncGenerator[Event, None]:
        ask = work.ask
        yield Started(ask.trace_id, ask.session_id, ask.message_id, ask.model)
        if (courtesy := _courtesy(ask)) is not None:
            work.search_question = ask.talk.question
            yield Sources(())
            for choice in range(ask.sampling.n):
                yield TextDelta(courtesy, choice)
            work.mark("total", work.begun)
            yield UsageReport(work.usage, dict(work.timings_ms), {}, ())
            return
        if ask.retrieve:
            yield Stage("search")
        retrieval = await self._search(work)
        missing = ask.retrieve and retrieval.no_evidence
        generator = self._choose(work, retrieval)
        candidates = retrieval.candidates if ask.explain else ()
        yield Sources(retrieval.evidence, missing, tuple(work.degraded), candidates, retrieval.skipped)
        if missing and "tools" not in ask.sampling.extra:
            for choice in range(ask.sampling.n):
                yield TextDelta(refusal(language(ask.talk.question)), choice)
        else:
            yield Stage("generate")
            prompt = self._prompt(ask, retrieval, generator)
            async for event in write(work, generator, prompt, self._generators, self._limits.first_token):
                yield event
        work.mark("total", work.begun)
        yield UsageReport(work.usage, dict(work.timings_ms), dict(retrieval.counts), tuple(work.degraded))

    async def _search(self, work: Work) -> Retrieval:
        """Raises models.errors.Timeout past the limit, and what the retriever raises."""
        ask = work.ask
        work.search_question = search_question(ask.talk)
        since = time.perf_counter()
        if not ask.retrieve or not ask.stores:
            work.retrieval = Retrieval(work.search_question, ())
            return work.retrieval
        async with within(self._limits.search, "the search"):
            retrieval = await self._retriever.search(ask.owner, ask.stores, work.search_question, ask.params)
        work.retrieval = retrieval
        work.timings_ms.update({name: round(value * 1000, 2) for name, value in retrieval.seconds.items()})
        work.mark("search", since)
        work.degraded.extend(retrieval.degraded)
        return retrieval

    def _choose(self, work: Work, retrieval: Retrieval) -> Generator:
        evidence = " ".join(scored.chunk.text for scored in retrieval.evidence)
        languages = {language(work.ask.talk.question), language(evidence)} if evidence else set()
        generator, reason = self._generators.choose(languages, needs_engine=work.ask.needs_engine)
        if reason and not retrieval.no_evidence:
            work.degraded.append(reason)
        return generator

    def _prompt(self, ask: Ask, retrieval: Retrieval, generator: Generator) -> Prompt:
        talk, style = ask.talk, self._generators.style
        if not ask.retrieve:
            return Prompt(talk.messages())
        last = Message("user", talk.question, name=talk.name)
        history = recent(talk.history, generator.context_tokens // HISTORY_SHARE)
        tools = "tools" in ask.sampling.extra
        return build(last, retrieval.evidence, history, talk.system, style, after=talk.after, tools=tools)


async def _done() -> bool:
    return True


def _courtesy(ask: Ask) -> str | None:
    """The answer to a greeting or thanks: no search finds it, and what a search finds does not answer it."""
    plain = ask.retrieve and not ask.needs_engine and not ask.talk.after
    return small_talk(ask.talk.question) if plain else None


def failed(error: Exception, trace_id: str) -> ErrorEvent:
    """What the caller is told; the log has the rest of what was not foreseen."""
    failure = failure_of(error)
    if failure.status == 500:
        log.error("answer %s failed", trace_id, exc_info=error)
    return failure.event()
