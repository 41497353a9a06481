"""From a prompt to cited events: which generator writes, what happens when it cannot, where the marks stand."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from models import errors as model_errors
from models.base import Generator, Prompt, TokenDelta
from retrieval.prompting.citations import CitationParser, MarkPart, Part
from retrieval.types import ScoredChunk
from server.answering.deadline import within
from server.answering.events import Citation, Event, ReasoningDelta, TextDelta, ToolCallDelta
from server.answering.work import Work
from server.app.build import State

ENGINE_DOWN = "engine: unavailable; the answer quotes the evidence"
ENGINE_SLOW = "engine: too slow; the answer quotes the evidence"


def choose(state: State, languages: Iterable[str], *, needs_engine: bool = False) -> tuple[Generator, str | None]:
    """The engine, or the quoting generator: by design for a language the engine cannot write, else with a reason.

    needs_engine: nothing else will do, whatever the language and whether or not it is ready.
    """
    engine = state.engine.generator
    if needs_engine:
        return engine, None
    if engine.languages and not engine.languages.issuperset(languages):
        return state.extractive, None
    return (engine, None) if state.engine.status == "ready" else (state.extractive, ENGINE_DOWN)


async def write(state: State, work: Work, generator: Generator, prompt: Prompt) -> AsyncIterator[Event]:
    """Text, calls and citations as they come; usage, finish reasons and timings go into `work`."""
    assert work.retrieval is not None
    evidence, structured = work.retrieval.evidence, work.ask.sampling.structured
    top = work.ask.sampling.extra.get("top_logprobs")
    choices = [Cited(evidence, i, structured=structured, top=top != 0) for i in range(work.ask.sampling.n)]
    since, first = time.perf_counter(), True
    async for delta in _deltas(state, work, generator, prompt):
        if first and _says_something(delta):
            first = False
            work.mark("first_token", work.begun)
        for event in choices[delta.choice].read(delta):
            yield event
        work.usage = delta.usage or work.usage
        if delta.finish_reason is not None:
            work.finishes[delta.choice] = delta.finish_reason
            for event in choices[delta.choice].last():
                yield event
    work.mark("generate", since)


class Cited:
    """One choice's deltas to events. Log probabilities held back with their text go out with it.

    structured: the text is JSON. top: tokens come with those that were nearly chosen.
    """

    def __init__(
        self, evidence: Sequence[ScoredChunk], choice: int = 0, *, structured: bool = False, top: bool = True
    ) -> None:
        self._evidence, self._choice = evidence, choice
        self._parser = CitationParser(len(evidence), json=structured)
        self._top = top
        self._logprobs: tuple[Mapping[str, Any], ...] = ()

    def read(self, delta: TokenDelta) -> Iterator[Event]:
        if delta.reasoning:
            yield ReasoningDelta(delta.reasoning, self._choice)
        if delta.logprobs:
            self._logprobs += delta.logprobs if self._top else tuple(map(_alone, delta.logprobs))
        if delta.text:
            yield from self._events(self._parser.feed(delta.text))
        for call in delta.tool_calls:
            yield ToolCallDelta(call, self._choice)

    def last(self) -> Iterator[Event]:
        return self._events(self._parser.finish())

    def _events(self, parts: Iterable[Part]) -> Iterator[Event]:
        """The text of every part, marks included; after each mark, what it cites."""
        for part in parts:
            logprobs, self._logprobs = self._logprobs, ()
            yield TextDelta(part.text, self._choice, logprobs)
            if isinstance(part, MarkPart):
                chunk = self._evidence[part.marker - 1].chunk
                yield Citation(part.marker, chunk.id, chunk.file_id, part.start, part.end, self._choice)


async def _deltas(state: State, work: Work, generator: Generator, prompt: Prompt) -> AsyncIterator[TokenDelta]:
    """An engine that is gone before its first token is replaced by quoting, where quoting will do; else it raises."""
    work.generator, wrote = generator.name, False
    try:
        async for delta in _in_time(generator, prompt, work, state.settings.limits.first_token_seconds):
            wrote = wrote or _says_something(delta)
            yield delta
        return
    except (model_errors.Unavailable, model_errors.Timeout) as error:
        if wrote or generator is state.extractive or work.ask.needs_engine:
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


def _alone(token: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**token, "top_logprobs": []}


def _says_something(delta: TokenDelta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool_calls)
