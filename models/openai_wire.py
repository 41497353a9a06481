"""The OpenAI chat format as bytes: a request out, the deltas of its stream in; pure.

Read leniently, as engines differ: `reasoning` (vLLM) and `reasoning_content` (llama.cpp, others), usage on a chunk of
its own, errors inside a stream that began with HTTP 200 (vLLM), a missing [DONE].
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from models.base import FinishReason, Prompt, Sampling, TokenDelta, Usage
from models.errors import BadRequest, InputTooLong, ModelError, Overloaded, Unavailable
from models.sse import SseError, SseParser
from models.thinking import ThinkSplitter

_BROKEN = frozenset({"abort", "error"})


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
    request["model"] = model
    request["messages"] = [{"role": message.role, "content": message.content} for message in prompt.messages]
    request["stream"] = True
    request["stream_options"] = {"include_usage": True}
    return orjson.dumps(request)


class AnswerReader:
    """One answer's stream. started: a token has come. done: [DONE] has come, nothing more follows.

    splitter: takes thoughts out of the text; None for a model that has none. thinks: it was asked to think.
    """

    def __init__(self, engine: str, splitter: ThinkSplitter | None = None, *, thinks: bool = True) -> None:
        self.started = False
        self.done = False
        self._engine = engine
        self._splitter, self._thinks = splitter, thinks
        self._parser = SseParser()
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._thoughts = ""
        self._answered = False

    def feed(self, chunk: bytes) -> Iterator[TokenDelta]:
        """Raises Overloaded, BadRequest, InputTooLong before the first token, Unavailable at any time."""
        for data in self._events(chunk):
            if data.startswith(b"[DONE]"):
                self.done = True
                return
            event = self._event(data)
            if usage := event.get("usage"):
                self._usage = _usage(usage)
            for choice in event.get("choices") or ():
                if delta := self._delta(choice.get("delta") or {}):
                    yield delta
                if reason := choice.get("finish_reason"):
                    self._finish = self._finished(reason)

    def last(self) -> TokenDelta:
        """What ends the answer. Raises Unavailable where the stream ended before the answer did."""
        if self._finish is None:
            raise self._broken("its stream ended without a finish_reason")
        unclosed = self._splitter is not None and self._splitter.inside
        thoughts, text = self._splitter.last() if self._splitter else ("", "")
        if self._finish == "stop" and not (self._answered or text) and (unclosed or not self._thinks):
            text = (self._thoughts + thoughts).strip()  # nothing else was written: it was the answer (vllm#53284)
        return TokenDelta(text, thoughts, self._finish, self._usage)

    def _delta(self, delta: Mapping[str, Any]) -> TokenDelta | None:
        text = delta.get("content") or ""
        thoughts = delta.get("reasoning") or delta.get("reasoning_content") or ""
        self.started = self.started or bool(text or thoughts)
        if self._splitter and thoughts:
            self._splitter.separated()
        if self._splitter and text:
            found, text = self._splitter.feed(text)
            thoughts += found
        self._thoughts += thoughts
        self._answered = self._answered or bool(text.strip())
        return TokenDelta(text, thoughts) if text or thoughts else None

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
            error = _error_fields(event)
            if self.started:
                raise self._broken(str(error.get("message")))
            raise failure(self._engine, status_of(error), error)
        return event

    def _finished(self, reason: str) -> FinishReason:
        if reason in _BROKEN:
            raise self._broken(f"finish_reason {reason}")
        return "length" if reason == "length" else "stop"

    def _broken(self, why: str) -> Unavailable:
        return Unavailable(f"the engine {self._engine} broke off: {why}")


def refusal(engine: str, status: int, body: bytes) -> ModelError:
    """What an HTTP status other than 200, with its body, means to the caller."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = {"error": body.decode(errors="replace").strip()[:500]}
    return failure(engine, status, _error_fields(answer) if isinstance(answer, dict) else {})


def failure(engine: str, status: int, error: Mapping[str, Any]) -> ModelError:
    """An OpenAI error object (`message`, `param`) under an HTTP status, or under its own in-band code."""
    message = str(error.get("message") or f"HTTP {status}")
    if status in (429, 503):
        return Overloaded(f"the engine {engine} is busy: {message}")
    if status in (400, 413, 422):
        too_long = "context" in message and ("length" in message or "size" in message)
        return InputTooLong(message) if too_long else BadRequest(message, error.get("param"))
    if status in (401, 403):
        return Unavailable(f"the engine {engine} refused the configured API key (HTTP {status}): {message}")
    if status == 404:
        return Unavailable(f"the engine has no model {engine} or no such path (HTTP 404): {message}")
    return Unavailable(f"the engine {engine} failed (HTTP {status}): {message}")


def _error_fields(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    error = answer.get("error", answer)
    return error if isinstance(error, dict) else {"message": str(error)}


def status_of(error: Mapping[str, Any]) -> int:
    """The HTTP status that an in-band error stands for."""
    code = error.get("code")
    return int(code) if isinstance(code, int | str) and str(code).isdigit() else 500


def _usage(usage: Mapping[str, Any]) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        prompt.get("cached_tokens") or 0,
        completion.get("reasoning_tokens") or 0,
    )
