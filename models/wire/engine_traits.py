"""What tells one OpenAI-compatible engine from another: the fields it wants, whether its model thinks; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from models.base import Prompt, Sampling
from models.wire.forced_call import as_format, is_forced, named_as_required
from models.wire.openai_wire import AnswerReader, chat_request, no_defaults
from models.wire.thinking import Thinking, ThinkSplitter, asks_to_think, switch_fields, thinking_of
from models.wire.token_counting import Dialect


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """defaults: request fields that this engine wants for a prompt (a grammar); Sampling wins over them.

    thinking: None asks the model's name. forces_calls: a tool that must be called is, by our doing.
    """

    dialect: Dialect = "openai"
    defaults: Callable[[Prompt, Sampling], Mapping[str, Any]] = no_defaults
    thinking: Thinking | None = None
    forces_calls: bool = False

    @property
    def several(self) -> bool:
        """It writes `n` choices to one request. llama.cpp takes no more than it has slots; others may take none."""
        return self.dialect == "vllm"

    def request(self, model: str, prompt: Prompt, sampling: Sampling) -> bytes:
        """The body of a chat request."""
        fields = dict(self.defaults(prompt, sampling))
        if self.dialect == "llama.cpp":
            fields["return_progress"] = True  # written while it reads: see whole_answer
        if self.dialect == "vllm" and self._thinking(model) == "switch":
            fields |= switch_fields(sampling)
        return chat_request(model, prompt, replace(sampling, extra=self._own_way(sampling.extra)), fields)

    def reader(self, model: str, sampling: Sampling) -> AnswerReader:
        """Of the answer to such a request."""
        thinking = self._thinking(model)
        splitter = None if thinking == "never" else partial(ThinkSplitter, opened=thinking == "always")
        thinks = thinking == "always" or asks_to_think(sampling)
        forced = self.forces_calls and is_forced(sampling.extra)
        return AnswerReader(model, splitter, thinks=thinks, choices=sampling.n, forced=forced)

    def _own_way(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request's own fields in the engine's way."""
        if self.dialect != "llama.cpp":
            return fields
        if fields.get("top_logprobs") == 0:
            fields = {**fields, "top_logprobs": 1}  # 0 would be no log probabilities at all
        if not is_forced(fields):
            return fields
        return as_format(fields) if self.forces_calls else named_as_required(fields)

    def _thinking(self, model: str) -> Thinking:
        return self.thinking or thinking_of(model)
