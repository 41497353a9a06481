"""The sum of an answer's events: what is stored, and what a caller gets who did not stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.base import ToolCall, Usage
from server.answering.events import (
    Citation,
    Done,
    ErrorEvent,
    Event,
    ReasoningDelta,
    Sources,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)


@dataclass(slots=True)
class Choice:
    """One answer to the question; a request for several (`n`) has several."""

    citations: list[Citation] = field(default_factory=list)
    logprobs: list[Mapping[str, Any]] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _calls: dict[int, list[ToolCall]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Whole ones, in their order."""
        return [_joined(self._calls[index]) for index in sorted(self._calls)]

    def add(self, event: TextDelta | ReasoningDelta | ToolCallDelta | Citation) -> None:
        match event:
            case TextDelta():
                self._text.append(event.text)
                self.logprobs.extend(event.logprobs)
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case ToolCallDelta():
                self._calls.setdefault(event.call.index, []).append(event.call)
            case Citation():
                self.citations.append(event)


@dataclass(slots=True)
class Transcript:
    """text, reasoning, citations, tool_calls: of the first choice."""

    started: Started | None = None
    sources: Sources = field(default_factory=lambda: Sources(()))
    usage: UsageReport | None = None
    error: ErrorEvent | None = None
    done: Done | None = None
    _choices: dict[int, Choice] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        match event:
            case TextDelta() | ReasoningDelta() | ToolCallDelta() | Citation():
                self.choice(event.choice).add(event)
            case Started():
                self.started = event
            case Sources():
                self.sources = event
            case UsageReport():
                self.usage = event
            case ErrorEvent():
                self.error = event
            case Done():
                self.done = event
            case Stage():
                pass

    def choice(self, index: int) -> Choice:
        return self._choices.setdefault(index, Choice())

    @property
    def degraded(self) -> tuple[str, ...]:
        """All that is known of by now."""
        known = self.sources.degraded if self.usage is None else self.usage.degraded
        return known if self.done is None else known + self.done.degraded

    @property
    def text(self) -> str:
        return self.choice(0).text

    @property
    def reasoning(self) -> str:
        return self.choice(0).reasoning

    @property
    def citations(self) -> list[Citation]:
        return self.choice(0).citations

    @property
    def tool_calls(self) -> list[ToolCall]:
        return self.choice(0).tool_calls


class Collected:
    """The renderer of a request that does not stream: nothing is shown before the answer has ended."""

    def __init__(self) -> None:
        self.told = Transcript()

    def feed(self, event: Event) -> bytes:
        self.told.add(event)
        return b""


def usage_of(told: Transcript) -> dict[str, Any]:
    """Tokens, as every route shows them: OpenAI's `usage`."""
    usage = told.usage.usage if told.usage else Usage()
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _joined(pieces: list[ToolCall]) -> ToolCall:
    """The id and the name come once, the arguments in parts."""
    first = pieces[0]
    call_id = next((piece.id for piece in pieces if piece.id), "")
    name = next((piece.name for piece in pieces if piece.name), "")
    return ToolCall(first.index, call_id, name, "".join(piece.arguments for piece in pieces))
