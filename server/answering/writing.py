"""From a prompt to cited events: what happens when the engine cannot write, and where the marks stand."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from models import errors as model_errors
from models.base import Generator, Prompt, TokenDelta
from models.quoting.pictures import Disarmer
from retrieval.prompting.citations import CitationParser, MarkPart, Part
from retrieval.types import ScoredChunk
from server.answering.events import Citation, Event, ReasoningDelta, TextDelta, ToolCallDelta
from server.answering.generators import ENGINE_DOWN, ENGINE_SLOW, Generators
from server.answering.running import within
from server.answering.work import Work


async def write(
    work: Work, generator: Generator, prompt: Prompt, generators: Generators, first_token_seconds: float
) -> AsyncIterator[Event]:
    """Text, calls and citations as they come; usage, finish reasons and timings go into `work`.

    generators: whose quoting takes the place of `generator` where that does not begin within first_token_seconds.
    """
    assert work.retrieval is not None
    evidence, structured = work.retrieval.evidence, work.ask.sampling.structured
    top = work.ask.sampling.extra.get("top_logprobs")
    choices = [Cited(evidence, i, structured=structured, top=top != 0) for i in range(work.ask.sampling.n)]
    since, first = time.perf_counter(), True
    async for delta in _deltas(work, generator, prompt, generators, first_token_seconds):
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
        # Of what rests on documents; JSON is data to its reader, who shows no pictures of it.
        shown = bool(evidence) and not structured
        self._text = Disarmer() if shown else None
        self._thoughts = Disarmer() if shown else None
        self._logprobs: tuple[Mapping[str, Any], ...] = ()

    def read(self, delta: TokenDelta) -> Iterator[Event]:
        if delta.reasoning:
            yield from self._thought(self._thoughts.feed(delta.reasoning) if self._thoughts else delta.reasoning)
        if delta.logprobs:
            self._logprobs += delta.logprobs if self._top else tuple(map(_alone, delta.logprobs))
        if delta.quoted:
            yield from self._events(self._parser.quote(delta.text))
        elif delta.text:
            yield from self._ended_thought()
            yield from self._events(self._parser.feed(self._text.feed(delta.text) if self._text else delta.text))
        for call in delta.tool_calls:
            yield ToolCallDelta(call, self._choice)

    def last(self) -> Iterator[Event]:
        yield from self._ended_thought()
        rest = self._parser.feed(self._text.finish()) if self._text else []
        yield from self._events([*rest, *self._parser.finish()])

    def _ended_thought(self) -> Iterator[Event]:
        if self._thoughts:
            yield from self._thought(self._thoughts.finish())

    def _thought(self, text: str) -> Iterator[Event]:
        if text:
            yield ReasoningDelta(text, self._choice)

    def _events(self, parts: Iterable[Part]) -> Iterator[Event]:
        """The text of every part, marks included; after each mark, what it cites."""
        for part in parts:
            logprobs, self._logprobs = self._logprobs, ()
            yield TextDelta(part.text, self._choice, logprobs)
            if isinstance(part, MarkPart):
                chunk = self._evidence[part.marker - 1].chunk
                yield Citation(part.marker, chunk.id, chunk.file_id, part.start, part.end, self._choice, chunk.own_id)


async def _deltas(
    work: Work, generator: Generator, prompt: Prompt, generators: Generators, first_token_seconds: float
) -> AsyncIterator[TokenDelta]:
    """An engine that is gone before its first token is replaced by quoting, where quoting will do; else it raises."""
    work.generator, wrote = generator.name, False
    try:
        async for delta in _in_time(generator, prompt, work, first_token_seconds):
            wrote = wrote or _says_something(delta)
            yield delta
        return
    except (model_errors.Unavailable, model_errors.Timeout) as error:
        if wrote or generator is generators.quoting or work.ask.needs_engine:
            raise
        work.degraded.append(ENGINE_SLOW if isinstance(error, model_errors.Timeout) else ENGINE_DOWN)
    work.generator = generators.quoting.name
    async with generators.quoting.stream(prompt, work.ask.sampling) as deltas:
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
