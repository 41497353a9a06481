"""Who chooses what is quoted: the units' weights alone, or the small engine under a grammar."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from models.base import Message, Prompt, Sampling
from models.engines.llama_cpp import llama_cpp
from models.engines.process import ProcessEngine
from models.quoting.candidates import Candidate
from models.quoting.extractive import ExtractiveGenerator
from models.quoting.grammar import choices
from models.quoting.inert import inert
from models.quoting.marks import neutral
from models.quoting.pictures import disarmed
from models.quoting.rendering import Quote
from models.quoting.sentences import units

Name = Literal["units", "sentences", "chosen"]
_MOST = 6  # candidates that the engine chooses among


@dataclass(frozen=True, slots=True)
class Answer:
    """quotes: in the order of the answer. ms: to its first delta."""

    quotes: list[Quote]
    ms: float


class Answerer(Protocol):
    """compact: whether its prompts are those for a slow reader."""

    compact: bool

    async def answer(self, prompt: Prompt) -> Answer: ...


@dataclass(slots=True)
class Units:
    """The quoter, as the server uses it."""

    generator: ExtractiveGenerator
    compact: bool = False

    async def answer(self, prompt: Prompt) -> Answer:
        since = time.perf_counter()
        quotes = await self.generator.quotes(prompt)
        return Answer(quotes, (time.perf_counter() - since) * 1000)


@dataclass(slots=True)
class Sentences:
    """The engine, held to sentences of the prompt by its own grammar."""

    engine: ProcessEngine
    compact: bool = True

    async def answer(self, prompt: Prompt) -> Answer:
        text, ms = await _written(self.engine, prompt)
        quotes = [
            quote
            for choice in choices(prompt)
            if f"{disarmed(neutral(choice.text))} [{choice.mark}]" in text
            for quote in _quotes_of(choice.text, choice.mark, prompt.passages[choice.mark - 1])
        ]
        return Answer(quotes, ms)


@dataclass(slots=True)
class Chosen:
    """The engine, held to one of the quoter's best candidates: rows, code and steps are among them."""

    engine: ProcessEngine
    generator: ExtractiveGenerator
    compact: bool = True

    async def answer(self, prompt: Prompt) -> Answer:
        since = time.perf_counter()
        found = self.generator.quoter(prompt).candidates[:_MOST]
        best = sorted(found, key=lambda one: (one.mark, one.quotes[0].position))
        if not best:
            return Answer([], (time.perf_counter() - since) * 1000)
        shown = "\n".join(
            f"[{one.mark}] {inert(f'{one.above}: {one.text}' if one.above else one.text)}" for one in best
        )
        user = Message("user", f"{shown}\n\nQuestion: {prompt.question}")
        text, _ = await _written(self.engine, replace(prompt, messages=(prompt.messages[0], user)), best)
        ms = (time.perf_counter() - since) * 1000
        return Answer([quote for one in best if _said(one) == text for quote in one.quotes], ms)


@asynccontextmanager
async def answerer(name: Name, generator: ExtractiveGenerator) -> AsyncIterator[Answerer]:
    if name == "units":
        yield Units(generator)
        return
    async with ProcessEngine(llama_cpp(slots=1)) as engine:
        await engine.wait_ready(120)
        yield Sentences(engine) if name == "sentences" else Chosen(engine, generator)


async def _written(engine: ProcessEngine, prompt: Prompt, among: Sequence[Candidate] = ()) -> tuple[str, float]:
    """All that it writes, and the milliseconds to its first words."""
    extra: dict[str, Any] = {}
    if among:
        extra = {"grammar": "root ::= " + " | ".join(json.dumps(_said(one), ensure_ascii=False) for one in among)}
    since, first, parts = time.perf_counter(), 0.0, []
    async with engine.generator.stream(prompt, Sampling(temperature=0.0, extra=extra)) as deltas:
        async for delta in deltas:
            if delta.text and not first:
                first = time.perf_counter() - since
            parts.append(delta.text)
    return "".join(parts), first * 1000


def _headed(candidate: Candidate) -> str:
    return f"{candidate.above}: {candidate.text}" if candidate.above else candidate.text


def _said(candidate: Candidate) -> str:
    return f"{disarmed(neutral(' '.join(candidate.text.split())))} [{candidate.mark}]"


def _quotes_of(text: str, mark: int, passage: str) -> list[Quote]:
    """The sentence and the items that were taken with it."""
    lines = text.split("\n")
    found = units(passage)
    for position, unit in enumerate(found):
        if unit.text == lines[0] or unit.text == f"{lines[0][:-1]}:":
            return [Quote(each, mark, position + n) for n, each in enumerate(found[position : position + len(lines)])]
    return []
