"""One choice of a streamed answer: text, thoughts, calls and log probabilities, delta by delta; pure."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from models.base import FinishReason, TokenDelta, ToolCall, Usage
from models.wire.forced_call import ForcedCall
from models.wire.thinking import ThinkSplitter

Logprobs = tuple[Mapping[str, Any], ...]


class ChoiceReader:
    """begun: a token has come. finish: why the engine ended it; None while it has not."""

    def __init__(self, index: int, splitter: ThinkSplitter | None, thinks: bool, *, forced: bool = False) -> None:
        self.index = index
        self.begun = False
        self.finish: FinishReason | None = None
        self._splitter, self._thinks = splitter, thinks
        self._thoughts = ""
        self._answered = self._said = False
        self._logprobs: list[Mapping[str, Any]] = []
        self._calls: set[int] = set()
        self._forced = ForcedCall(_new_id()) if forced else None

    def read(self, delta: Mapping[str, Any], logprobs: Mapping[str, Any] | None) -> TokenDelta | None:
        text = delta.get("content") or ""
        thoughts = delta.get("reasoning") or delta.get("reasoning_content") or ""
        calls = delta.get("tool_calls")
        self.begun = self.begun or bool(text or thoughts or calls)
        if logprobs:
            self._logprobs += logprobs.get("content") or ()
        if self._splitter and thoughts:
            self._splitter.separated()
        if self._splitter and text:
            found, text = self._splitter.feed(text)
            thoughts += found
        if self._forced:
            return self._call(self._forced, text)
        if thoughts:
            self._thoughts += thoughts
        if not self._answered:
            self._answered = bool(calls or text.strip())
        if not (text or thoughts or calls):
            return None
        tokens = self._take(text) if self._logprobs else ()
        return TokenDelta(text, thoughts, None, None, self.index, self._pieces(calls) if calls else (), tokens)

    def last(self, usage: Usage | None) -> TokenDelta:
        """What was held back, and the end. Log probabilities without text (an end token's) are left out."""
        if self._forced:
            return TokenDelta("", "", "tool_calls" if self.finish == "stop" else self.finish, usage, self.index)
        unclosed = self._splitter is not None and self._splitter.inside
        thoughts, text = self._splitter.last() if self._splitter else ("", "")
        tokens = self._take(text) if self._logprobs and text else ()
        if self.finish == "stop" and not (self._answered or text) and (unclosed or not self._thinks):
            text = (self._thoughts + thoughts).strip()  # nothing else was written: it was the answer (vllm#53284)
        return TokenDelta(text, thoughts, self.finish, usage, self.index, (), tokens)

    def _call(self, forced: ForcedCall, text: str) -> TokenDelta | None:
        """The text is a call."""
        pieces = forced.feed(text)
        return TokenDelta("", "", None, None, self.index, pieces) if pieces else None

    def _take(self, text: str) -> Logprobs:
        """Of the tokens held so far; the first text after thoughts leaves theirs behind, tag and blank lines too."""
        held, self._logprobs = self._logprobs, []
        if self._said or not self._thoughts:
            self._said = self._said or bool(text)
            return tuple(held) if text else ()
        self._said = bool(text)
        start, missing = len(held), len(text)
        while start and missing > 0:
            start -= 1
            missing -= len(held[start].get("token") or "")
        return tuple(held[start:])

    def _pieces(self, calls: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        return tuple(self._piece(call) for call in calls)

    def _piece(self, call: Mapping[str, Any]) -> ToolCall:
        """The first piece of a call always has an id, whether the engine gave one or not."""
        function = call.get("function") or {}
        index = call.get("index") or 0
        identity = call.get("id") or ""
        if index not in self._calls:
            self._calls.add(index)
            identity = identity or _new_id()
        return ToolCall(index, identity, function.get("name") or "", function.get("arguments") or "")


def _new_id() -> str:
    return f"call_{secrets.token_hex(12)}"
