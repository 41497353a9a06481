"""A grammar (llama.cpp's GBNF) that holds an answer to the evidence's own sentences, each with its mark; pure.

A model of 135M parameters invents when it writes freely, and numbers its marks 1, 2, 3 wherever they belong. Under this
grammar it only chooses: one to three sentences of the prompt in reading order, none twice, each with its own ` [n]`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.base import Prompt
from models.quoting.inert import inert
from models.quoting.marks import neutral
from models.quoting.pictures import disarmed
from models.quoting.sentences import Unit, units

_MOST_SENTENCES = 3
_MOST_CANDIDATES = 16
_SHORTEST, _LONGEST = 25, 500
_WHOLE = re.compile(r"[.!?][\"'”’)\]]*$")
_LEANS_BACK = re.compile(
    r"^(This|That|These|Those|Such|It|They|Thus|Then|However|But|Otherwise|Therefore|Hence|Also|So|In this|In that"
    r"|In these|The (former|latter|same|following|above))\b"
)
_DANGLES = re.compile(r"\b(with|to|as|for|by|from|in|of|like|is|are|follows|following|form|forms|example|code):$")
_STARTS = re.compile(r"[A-Z0-9\"'“‘`*_(]|[^\x00-\x7f]")
_WORD = re.compile(r"[^\W_]{4,}")
_RELEVANT = 0.6  # of the best sentence's weight in words of the question
_POINTS_AWAY = re.compile(
    r"^(See|Refer to|For (more|full|further) |Changed in version|New in version|Added in version)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """leans_back: understood only right after the sentence before it, which is choice `before` (None: not there)."""

    text: str
    mark: int
    leans_back: bool = False
    before: int | None = None


def quoted_answer(prompt: Prompt) -> Mapping[str, Any]:
    """Request fields for llama.cpp: deterministic, and held to the sentences of the prompt where it has passages."""
    found = choices(prompt)
    fields: dict[str, Any] = {"temperature": 0.0}
    return fields | {"grammar": grammar(found)} if found else fields


def choices(prompt: Prompt) -> list[Choice]:
    """Whole sentences of the passages that stand in the last user message and share the question's rarer words."""
    shown = next((message.content for message in reversed(prompt.messages) if message.role == "user"), "")
    found: list[Choice] = []
    texts: set[str] = set()
    for mark, passage in enumerate(prompt.passages, 1):
        before: int | None = None
        parts = units(passage)
        for index, unit in enumerate(parts):
            text = _quotable(unit, parts[index + 1 :], shown)
            if text is None or text in texts:
                before = None
                continue
            texts.add(text)
            found.append(Choice(text, mark, _LEANS_BACK.match(text) is not None, before))
            before = len(found) - 1
    return _relevant(found[:_MOST_CANDIDATES], prompt.question)


def _relevant(found: Sequence[Choice], question: str) -> list[Choice]:
    """Without the sentences of other matters: a small model takes the first that begins as it would have begun.

    Sentences that lean back stay with the one that they lean on.
    """
    asked = _stems(question)
    stems = [_stems(choice.text) for choice in found]
    frequency = Counter(stem for own in stems for stem in own)
    weights = [sum(math.log(1 + len(found) / frequency[stem]) for stem in asked & own) for own in stems]
    enough = _RELEVANT * max((w for w, c in zip(weights, found, strict=True) if not c.leans_back), default=0.0)
    kept: dict[int, int] = {}
    relevant: list[Choice] = []
    for index, choice in enumerate(found):
        if (choice.before in kept) if choice.leans_back else weights[index] >= enough:
            kept[index] = len(relevant)
            before = None if choice.before is None else kept.get(choice.before)
            relevant.append(replace(choice, before=before))
    return relevant


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:5] for word in _WORD.findall(text.lower()))


def _quotable(unit: Unit, following: Sequence[Unit], shown: str) -> str | None:
    """The sentence as it may be said: with the list it introduces, or a full stop where what it introduces is code."""
    text = "".join(character for character in unit.text if character.isprintable())
    fits = unit.kind == "sentence" and inert(unit.text) in shown and _SHORTEST <= len(text) <= _LONGEST
    if not fits or _POINTS_AWAY.match(text) or not _STARTS.match(text):
        return None
    if _WHOLE.search(text):
        return text
    if not text.endswith(":"):
        return None
    steps = []
    for step in following:
        if step.kind != "item" or inert(step.text) not in shown:
            break
        steps.append(step.text)
    listed = "\n".join([text, *steps])
    if steps and len(listed) <= _LONGEST:
        return listed
    return None if _DANGLES.search(text) else f"{text[:-1]}."


def grammar(found: Sequence[Choice], most: int = _MOST_SENTENCES) -> str:
    """An answer begins in the best source. Rule a{i}x{k}: what may follow choice i when k more are allowed."""
    best = min(choice.mark for choice in found if not choice.leans_back)
    first = [index for index, choice in enumerate(found) if not choice.leans_back and choice.mark == best]
    rules = [f"root ::= {_either(first, most - 1)}"]
    for left in range(most - 1, 0, -1):
        for index in range(len(found)):
            allowed = _may_follow(found, index)
            rules.append(f'a{index}x{left} ::= ""' + (f' | " " ({_either(allowed, left - 1)})' if allowed else ""))
    for index, choice in enumerate(found):
        rules.append(
            f"s{index} ::= {json.dumps(f'{disarmed(neutral(choice.text))} [{choice.mark}]', ensure_ascii=False)}"
        )
    return "\n".join(rules)


def _either(indexes: Sequence[int], left: int) -> str:
    return " | ".join(f"s{index} a{index}x{left}" if left else f"s{index}" for index in indexes)


def _may_follow(found: Sequence[Choice], index: int) -> list[int]:
    later = range(index + 1, len(found))
    return [other for other in later if not found[other].leans_back or found[other].before == index]
