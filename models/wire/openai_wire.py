"""The OpenAI chat format as bytes: a request out, the deltas of its stream in; pure.

Read leniently, as engines differ: `reasoning` (vLLM) and `reasoning_content` (llama.cpp, others), usage on a chunk of
its own, errors inside a stream that began with HTTP 200 (vLLM), a missing [DONE].
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from models.base import FinishReason, Message, Prompt, Sampling, TokenDelta, Usage
from models.errors import Unavailable
from models.wire.engine_errors import error_fields, failure, status_of
from models.wire.openai_choice import ChoiceReader
from models.wire.sse import SseError, SseParser
from models.wire.thinking import ThinkSplitter

_BROKEN = frozenset({"abort", "error"})
_FINISHES: Mapping[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def no_defaults(prompt: Prompt, sampling: Sampling) -> Mapping[str, Any]:
    """The request fields of an engine that wants none of its own."""
    return {}


def chat_request(model: str, prompt: Prompt, sampling: Sampling, defaults: Mapping[str, Any]) -> bytes:
    """defaults: the engine's own fields for this prompt; Sampling wins over them."""
    request: dict[str, Any] = {**defaults, **sampling.extra}
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        if (value := getattr(sampling, name)) is not None:
            request[name] = value
    if sampling.stop:
        request["stop"] = sampling.stop
    if sampling.n > 1:
        request["n"] = sampling.n
    request["model"] = model
    request["messages"] = [message_fields(message) for message in prompt.messages]
    request["stream"] = True
    request["stream_options"] = {"include_usage": True}
    return orjson.dumps(request)


def message_fields(message: Message) -> dict[str, Any]:
    """As an engine takes it; content is a string in any case: some chat templates fail over null."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return fields


class AnswerReader:
    """One answer's stream. started: a token has come. done: [DONE] has come, nothing more follows.

    splitter: makes what takes thoughts out of a choice's text; None for a model that has none. thinks: it was asked
    to think. choices: how many it was asked for. forced: its text is a call (models/wire/forced_call.py).
    """

    def __init__(
        self,
        engine: str,
        splitter: Callable[[], ThinkSplitter] | None = None,
        *,
        thinks: bool = True,
        choices: int = 1,
        forced: bool = False,
    ) -> None:
        self.done = False
        self._engine = engine
        self._parser = SseParser()
        self._choices = [
            ChoiceReader(i, splitter() if splitter else None, thinks, forced=forced) for i in range(choices)
        ]
        self._usage: Usage | None = None

    def feed(self, chunk: bytes) -> Iterator[TokenDelta]:
        """Raises Overloaded, BadRequest, InputTooLong before the first token, Unavailable at any time."""
        for data in self._events(chunk):
            if data.startswith(b"[DONE]"):
                self.done = True
                return
            event = self._event(data)
            if usage := event.get("usage"):
                self._usage = usage_of(usage)
            for part in event.get("choices") or ():
                choice = self._choice(part)
                if delta := choice.read(part.get("delta") or {}, part.get("logprobs")):
                    yield delta
                if reason := part.get("finish_reason"):
                    choice.finish = self._finished(reason)

    @property
    def started(self) -> bool:
        return any(choice.begun for choice in self._choices)

    def last(self) -> list[TokenDelta]:
        """What ends the answer, a delta for each choice. Raises Unavailable where the stream ended before it did."""
        if any(choice.finish is None for choice in self._choices):
            raise self._broken("its stream ended without a finish_reason")
        last = len(self._choices) - 1
        return [choice.last(self._usage if choice.index == last else None) for choice in self._choices]

    def _choice(self, part: Mapping[str, Any]) -> ChoiceReader:
        index = part.get("index") or 0
        if not (isinstance(index, int) and 0 <= index < len(self._choices)):
            raise self._broken(f"it sent choice {index!r} of {len(self._choices)}")
        return self._choices[index]

    def _events(self, chunk: bytes) -> list[bytes]:
        try:
            return self._parser.feed(chunk)
        except SseError as endless:
            raise self._broken(str(endless)) from endless

    def _event(self, data: bytes) -> dict[str, Any]:
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError as invalid:
            raise self._broken("it sent an event that is not JSON") from invalid
        if not isinstance(event, dict):
            raise self._broken("it sent an event that is not an object")
        if "error" in event:
            error = error_fields(event)
            if self.started:
                raise self._broken(str(error.get("message")))
            raise failure(self._engine, status_of(error), error)
        return event

    def _finished(self, reason: str) -> FinishReason:
        if reason in _BROKEN:
            raise self._broken(f"finish_reason {reason}")
        return _FINISHES.get(reason, "stop")

    def _broken(self, why: str) -> Unavailable:
        return Unavailable(f"the engine {self._engine} broke off: {why}")


def usage_of(usage: Mapping[str, Any]) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        prompt.get("cached_tokens") or 0,
        completion.get("reasoning_tokens") or 0,
    )
