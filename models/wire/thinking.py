"""Models that think before they answer: which they are, what they are asked, and thoughts kept out of the answer; pure.

Engines that know their model send thoughts apart (`reasoning`). One that does not leaves them in the text, as a block
at its very beginning: `<think>…</think>`, cut anywhere between deltas, the opening tag missing where the model's chat
template has written it. A tag later in an answer is the answer's own text.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from models.base import Sampling

Thinking = Literal["never", "switch", "always", "unknown"]
OPEN, CLOSE = "<think>", "</think>"
# Their chat templates write the opening tag.
_ALWAYS = re.compile(r"qwen3.*thinking|\bqwq\b|deepseek-r1", re.IGNORECASE)
_SWITCH = re.compile(r"qwen3(?!.*(instruct|coder|embedding|reranker))", re.IGNORECASE)

# Tokens that an effort may think; the answer keeps a quarter of max_tokens in any case.
BUDGETS: Mapping[str, int] = {"minimal": 512, "low": 1024, "medium": 4096, "high": 8192}
_MOST_THOUGHT = 0.75
# As Qwen publishes them for Qwen3; greedy decoding makes it repeat itself.
_PLAIN = {"temperature": 0.7, "top_p": 0.8, "top_k": 20}
_THOUGHTFUL = {"temperature": 0.6, "top_p": 0.95, "top_k": 20}


def thinking_of(model: str) -> Thinking:
    """switch: asked for by request (Qwen3). unknown: a name that says nothing."""
    if _ALWAYS.search(model):
        return "always"
    return "switch" if _SWITCH.search(model) else "unknown"


def asks_to_think(sampling: Sampling) -> bool:
    """OpenAI's reasoning_effort; without it, and with "none", an answer comes at once."""
    return sampling.extra.get("reasoning_effort") not in (None, "none")


def thinking_budget(effort: str | None) -> int:
    """Tokens that this effort may think, 0 for none; an effort of another vocabulary counts as high."""
    return 0 if effort in (None, "none") else BUDGETS.get(str(effort), BUDGETS["high"])


def switch_fields(sampling: Sampling) -> dict[str, Any]:
    """What turns the thinking of a Qwen3 on and off in its chat template."""
    return {"chat_template_kwargs": {"enable_thinking": asks_to_think(sampling)}}


def qwen3_sampling(sampling: Sampling) -> dict[str, Any]:
    """Qwen's own sampling for the kind of answer; with thinking, the budget that leaves room for the answer."""
    if not asks_to_think(sampling):
        return dict(_PLAIN)
    budget = thinking_budget(sampling.extra.get("reasoning_effort"))
    if sampling.max_tokens is not None:
        budget = min(budget, int(sampling.max_tokens * _MOST_THOUGHT))
    return {**_THOUGHTFUL, "thinking_token_budget": budget}


def plain_sampling() -> dict[str, Any]:
    return dict(_PLAIN)


class ThinkSplitter:
    """An answer's text, delta by delta, as thoughts and answer; any cutting of the same text gives the same two.

    opened: the text begins inside the block. inside: it still is.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self.inside = opened
        self._begun = False
        self._rest = ""
        self._trim = False

    def feed(self, text: str) -> tuple[str, str]:
        """Thoughts and answer of this delta; what may be half a tag is held back."""
        if not self._begun:
            text = self._opening(text)
            if not self._begun:
                return "", ""
        return self._within(text) if self.inside else ("", self._trimmed(text))

    def separated(self) -> None:
        """The engine sends thoughts apart: its text is the answer."""
        if not self._begun:
            self._begun, self.inside = True, False

    def last(self) -> tuple[str, str]:
        """What was held back."""
        rest, self._rest = self._rest, ""
        return (rest, "") if self.inside else ("", rest)

    def _opening(self, text: str) -> str:
        """The text after an opening tag at the beginning, or all of it where there is none."""
        self._rest += text
        start = self._rest.lstrip()
        if len(start) < len(OPEN) and OPEN.startswith(start):
            return ""
        text, self._rest, self._begun = self._rest, "", True
        if start.startswith(OPEN):
            self.inside = True
            return start[len(OPEN) :]
        return text

    def _within(self, text: str) -> tuple[str, str]:
        thoughts, closed, answer = (self._rest + text).partition(CLOSE)
        self._rest = ""
        if closed:
            self.inside, self._trim = False, True
            return thoughts, self._trimmed(answer)
        whole = len(thoughts) - next(size for size in range(len(CLOSE), -1, -1) if thoughts.endswith(CLOSE[:size]))
        self._rest = thoughts[whole:]
        return thoughts[:whole], ""

    def _trimmed(self, text: str) -> str:
        """Without the blank lines that follow the block."""
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        return text
