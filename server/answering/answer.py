"""The use case: history -> question -> search -> prompt -> stream -> citations -> store."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from models.base import Generator, Message, Prompt
from retrieval.language import language
from retrieval.prompting.prompt import build, refusal
from retrieval.types import Retrieval
from server.answering.deadline import within
from server.answering.events import Done, ErrorEvent, Event, Sources, Stage, Started, TextDelta, UsageReport
from server.answering.question import recent, search_question
from server.answering.work import Ask, Work
from server.answering.writing import choose, write
from server.app.build import State
from server.http.errors import failure_of
from server.records.turns import Status

HISTORY_SHARE = 4  # of the context, at most a quarter is earlier turns
log = logging.getLogger("ragpod.answer")


async def admitted(state: State, ask: Ask) -> AsyncGenerator[Event, None]:
    """The answer, once there is room for it; a refusal is an ErrorEvent and Done."""
    try:
        async with state.admission.admit(), aclosing(answer(state, ask)) as events:
            async for event in events:
                yield event
    except Exception as error:
        yield _failed(error, ask)
        yield Done("error")


async def answer(state: State, ask: Ask) -> AsyncGenerator[Event, None]:
    """Events in the order of events.py. However it ends, the turn is stored, and before Done is yielded."""
    work, status = Work(ask), Status.CANCELLED
    try:
        try:
            async with within(state.settings.limits.total_seconds, "the answer"):
                async for event in _steps(state, work):
                    work.transcript.add(event)
                    yield event
            status = Status.COMPLETE
        except Exception as error:
            status = Status.FAILED
            work.transcript.add(failure := _failed(error, ask))
            yield failure
    finally:
        work.mark("total", work.begun)
        if ask.store:
            await asyncio.shield(state.turns.save(work.turn(status)))
        state.metrics.count_answer(status, work)
    yield Done("error") if status is Status.FAILED else Done(work.finish_reason, work.other_reasons)


async def _steps(state: State, work: Work) -> AsyncGenerator[Event, None]:
    ask = work.ask
    yield Started(ask.trace_id, ask.session_id, ask.message_id, ask.model)
    if ask.retrieve:
        yield Stage("search")
    retrieval = await _search(state, work)
    missing = ask.retrieve and retrieval.no_evidence
    generator = _choose(state, work, retrieval)
    candidates = retrieval.candidates if ask.explain else ()
    yield Sources(retrieval.evidence, missing, tuple(work.degraded), candidates, retrieval.skipped)
    if missing and "tools" not in ask.sampling.extra:
        for choice in range(ask.sampling.n):
            yield TextDelta(refusal(language(ask.talk.question)), choice)
    else:
        yield Stage("generate")
        async for event in write(state, work, generator, _prompt(state, ask, retrieval, generator)):
            yield event
    work.mark("total", work.begun)
    yield UsageReport(work.usage, dict(work.timings_ms), dict(retrieval.counts), tuple(work.degraded))


def _prompt(state: State, ask: Ask, retrieval: Retrieval, generator: Generator) -> Prompt:
    talk = ask.talk
    last = Message("user", talk.question, name=talk.name)
    if not ask.retrieve:
        system = (Message("system", talk.system),) if talk.system else ()
        return Prompt((*system, *talk.history, last, *talk.after))
    history = recent(talk.history, generator.context_tokens // HISTORY_SHARE)
    tools = "tools" in ask.sampling.extra
    return build(last, retrieval.evidence, history, talk.system, state.style, after=talk.after, tools=tools)


async def _search(state: State, work: Work) -> Retrieval:
    """Raises models.errors.Timeout past the limit, and what the retriever raises."""
    ask = work.ask
    work.search_question = search_question(ask.talk)
    since = time.perf_counter()
    if not ask.retrieve or not ask.store_ids:
        work.retrieval = Retrieval(work.search_question, ())
        return work.retrieval
    async with within(state.settings.limits.search_seconds, "the search"):
        retrieval = await state.retriever.search(ask.owner, ask.store_ids, work.search_question, ask.params)
    work.retrieval = retrieval
    work.timings_ms.update({name: round(value * 1000, 2) for name, value in retrieval.seconds.items()})
    work.mark("search", since)
    work.degraded.extend(retrieval.degraded)
    return retrieval


def _choose(state: State, work: Work, retrieval: Retrieval) -> Generator:
    evidence = " ".join(scored.chunk.text for scored in retrieval.evidence)
    languages = {language(work.ask.talk.question), language(evidence)} if evidence else set()
    generator, reason = choose(state, languages, needs_engine=work.ask.needs_engine)
    if reason and not retrieval.no_evidence:
        work.degraded.append(reason)
    return generator


def _failed(error: Exception, ask: Ask) -> ErrorEvent:
    failure = failure_of(error)
    if failure.status == 500:
        log.error("answer %s failed", ask.trace_id, exc_info=error)
    return failure.event()
