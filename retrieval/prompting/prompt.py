"""Numbered evidence and a question as a prompt; pure.

The fixed system text comes first, the same bytes for every request of a language, so that the engine's prefix cache
holds it; evidence and question come last. Evidence is delimited, declared to be data, and inert
(models/quoting/inert.py).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from models.base import Block, Message, Prompt
from models.quoting.inert import inert
from models.quoting.sentences import Unit, units
from models.wire.token_counting import estimate_text_tokens
from retrieval.language import Language, language
from retrieval.prompting.citations import without_marks
from retrieval.prompting.prompt_texts import INSTRUCTIONS, QUESTION, REFUSAL, TOOLS, Style
from retrieval.types import Chunk, ScoredChunk, repeated_header

_COMPACT_TOKENS = 350
_COMPACT_SOURCES = 3
_CHARACTERS_PER_TOKEN = 3
_WORD = re.compile(r"[^\W_]+")


def build(
    question: str | Message,
    evidence: Sequence[ScoredChunk],
    history: Sequence[Message] = (),
    system: str | None = None,
    style: Style = "full",
    *,
    after: Sequence[Message] = (),
    tools: bool = False,
) -> Prompt:
    """evidence[i] is source [i + 1]. history: turns before the question; marks in it, of other sources, are left out.

    compact: for an engine that reads slowly: the best sentences of the first sources, about 350 tokens of them.
    after: calls of the caller's tools and their results, which follow the question. tools: there are some to call.
    """
    asked = Message("user", question) if isinstance(question, str) else question
    answer_language = language(asked.content)
    instructions = INSTRUCTIONS[style, answer_language] + (f"\n{TOOLS[answer_language]}" if tools else "")
    sources = _full_sources(evidence) if style == "full" else _compact_sources(asked.content, evidence)
    messages = (
        Message("system", f"{instructions}\n\n{system.strip()}" if system and system.strip() else instructions),
        *(_unmarked(turn) for turn in (history if style == "full" else _last_two(history))),
        replace(asked, content=f"{sources}\n\n{QUESTION[answer_language]}: {asked.content}"),
        *after,
    )
    blocks = tuple(_blocks(scored) for scored in evidence)
    return Prompt(messages, asked.content, tuple(_passage(scored) for scored in evidence), blocks)


def refusal(answer_language: Language) -> str:
    """What is said when nothing was found, in the question's language."""
    return REFUSAL[answer_language]


def _unmarked(turn: Message) -> Message:
    """A tool's result stays as it is: its brackets are data."""
    return turn if turn.role == "tool" else replace(turn, content=without_marks(turn.content))


def _last_two(history: Sequence[Message]) -> Sequence[Message]:
    """Without calls of tools, whose results might be cut off."""
    return [turn for turn in history if turn.role != "tool" and not turn.tool_calls][-2:]


def _full_sources(evidence: Sequence[ScoredChunk]) -> str:
    sources = "\n".join(
        f'<source id="{number}"{_title(scored)}>\n{_shown(scored.chunk)}\n</source>'
        for number, scored in enumerate(evidence, 1)
    )
    return f"<sources>\n{sources}\n</sources>"


def _shown(chunk: Chunk) -> str:
    """Rows with the header of their table, also where it stands in another passage."""
    text, header = inert(chunk.text, chunk.blocks).strip(), repeated_header(chunk.blocks)
    return f"{inert(header)}\n{text}" if header else text


def _title(scored: ScoredChunk) -> str:
    title = inert(_heading(scored)).replace('"', "'")
    return f' title="{title}"' if title else ""


def _heading(scored: ScoredChunk) -> str:
    """Title and heading path on one line; "" where there are none."""
    chunk = scored.chunk
    parts = [chunk.title, *(heading for heading in chunk.headings if heading != chunk.title)]
    return " ".join(" > ".join(part for part in parts if part).split())


def _passage(scored: ScoredChunk) -> str:
    heading = _heading(scored)
    return f"# {heading}\n{scored.chunk.text}" if heading else scored.chunk.text


def _blocks(scored: ScoredChunk) -> tuple[Block, ...]:
    """Of `_passage`."""
    known = scored.chunk.blocks
    if not known or not (heading := _heading(scored)):
        return known
    above = len(f"# {heading}")
    return Block("heading", 0, above), *(replace(b, start=b.start + above + 1, end=b.end + above + 1) for b in known)


def _compact_sources(question: str, evidence: Sequence[ScoredChunk]) -> str:
    """The best sentences of the first sources, none twice; each source has half of what is left, the last one all."""
    first = evidence[:_COMPACT_SOURCES]
    asked, left = _stems(question), _COMPACT_TOKENS
    said: set[str] = set()
    lines = []
    for number, scored in enumerate(first, 1):
        text = _best_sentences(asked, scored, left if number == len(first) else left // 2, said)
        left -= estimate_text_tokens(text)
        if text:
            lines.append(f"[{number}] {text}")
    return "\n".join(lines)


def _best_sentences(asked: frozenset[str], scored: ScoredChunk, tokens: int, said: set[str]) -> str:
    """The sentences that share most of the question's stems, earlier ones first among equals, in reading order."""
    text = scored.chunk.text
    found = [unit for unit in units(text) if unit.kind in ("sentence", "item") and unit.text not in said]
    ranked = sorted(range(len(found)), key=lambda index: (-_overlap(asked, found[index]), index))
    chosen: list[int] = []
    for index in ranked:
        tokens -= estimate_text_tokens(found[index].text)
        if tokens < 0 and chosen:
            break
        chosen.append(index)
    said |= {found[index].text for index in chosen}
    if found or said:
        return " ".join(inert(found[index].text) for index in sorted(chosen))
    return inert(" ".join(text.split()))[: tokens * _CHARACTERS_PER_TOKEN]


def _overlap(asked: frozenset[str], unit: Unit) -> int:
    return len(asked & _stems(unit.text))


def _stems(text: str) -> frozenset[str]:
    """Rough stems, enough to choose sentences by: five letters of a longer English word, two of a Korean one."""
    words = (word for word in _WORD.findall(text.lower()) if len(word) > 3 or not word.isascii())
    return frozenset(word[:5] if word.isascii() else word[:2] for word in words)
