"""The sum of an answer's events: what is stored, and what a caller gets who did not stream."""

from dataclasses import dataclass, field

from server.events import (
    Citation,
    Done,
    ErrorEvent,
    Event,
    ReasoningDelta,
    Sources,
    Stage,
    Started,
    TextDelta,
    UsageReport,
)


@dataclass(slots=True)
class Transcript:
    started: Started | None = None
    sources: Sources = field(default_factory=lambda: Sources(()))
    citations: list[Citation] = field(default_factory=list)
    usage: UsageReport | None = None
    error: ErrorEvent | None = None
    done: Done | None = None
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ReasoningDelta(text):
                self._reasoning.append(text)
            case Citation():
                self.citations.append(event)
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

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)
