"""From a prompt to cited events: which generator writes, what happens when it cannot, where the marks stand."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from models import errors as model_errors
from models.base import Generator, Prompt, TokenDelta
from retrieval.citations import CitationParser, MarkPart, Part
from retrieval.types import ScoredChunk
from server.deadline import within
from server.events import Citation, Event, ReasoningDelta, TextDelta
from server.state import State
from server.work import Work

ENGINE_DOWN = "engine: unavailable; the answer quotes the evidence"
ENGINE_SLOW = "engine: too slow; the answer quotes the evidence"


def choose(state: State, languages: Iterable[str]) -> tuple[Generator, str | None]:
    """The engine, or the quoting generator: by design for a language the engine cannot write, else with a reason."""
    engine = state.engine.generator
    if engine.languages and not engine.languages.issuperset(languages):
        return state.extractive, None
    return (engine, None) if state.engine.status == "ready" else (state.extractive, ENGINE_DOWN)


async def write(state: State, work: Work, generator: Generator, prompt: Prompt) -> AsyncIterator[Event]:
    """Text and citations as they come; usage, finish reason and timings go into `work`."""
    assert work.retrieval is not None
    evidence = work.retrieval.evidence
    parser = CitationParser(len(evidence))
    since, first = time.perf_counter(), True
    async for delta in _deltas(state, work, generator, prompt):
        if first and (delta.text or delta.reasoning):
            first = False
            work.mark("first_token", work.begun)
        if delta.reasoning:
            yield ReasoningDelta(delta.reasoning)
        for event in events_of(parser.feed(delta.text), evidence):
            yield event
        work.usage = delta.usage or work.usage
        work.finish_reason = delta.finish_reason or work.finish_reason
    for event in events_of(parser.finish(), evidence):
        yield event
    work.mark("generate", since)


async def _deltas(state: State, work: Work, generator: Generator, prompt: Prompt) -> AsyncIterator[TokenDelta]:
    """An engine that is gone before its first token is replaced by quoting; after it, its error is raised."""
    work.generator, wrote = generator.name, False
    try:
        async for delta in _in_time(generator, prompt, work, state.settings.limits.first_token_seconds):
            wrote = wrote or bool(delta.text or delta.reasoning)
            yield delta
        return
    except (model_errors.Unavailable, model_errors.Timeout) as error:
        if wrote or generator is state.extractive:
            raise
        work.degraded.append(ENGINE_SLOW if isinstance(error, model_errors.Timeout) else ENGINE_DOWN)
    work.generator = state.extractive.name
    async with state.extractive.stream(prompt, work.ask.sampling) as deltas:
        async for delta in deltas:
            yield delta


async def _in_time(generator: Generator, prompt: Prompt, work: Work, seconds: float) -> AsyncIterator[TokenDelta]:
    """Raises models.errors.Timeout where the first delta takes longer than `seconds`."""
    async with (
        within(seconds, "the engine's first token") as limit,
        generator.stream(prompt, work.ask.sampling) as deltas,
    ):
        async for delta in deltas:
            if limit.when() is not None:
                limit.reschedule(None)
            yield delta


def events_of(parts: Iterable[Part], evidence: Sequence[ScoredChunk]) -> Iterator[Event]:
    """The text of every part, marks included; after each mark, what it cites."""
    for part in parts:
        yield TextDelta(part.text)
        if isinstance(part, MarkPart):
            chunk = evidence[part.marker - 1].chunk
            yield Citation(part.marker, chunk.id, chunk.file_id, part.start, part.end)
