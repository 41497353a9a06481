"""The context filter: from ranked passages to the few that the answer may stand on. Pure.

In this order: score floor, near-duplicates, documents' caps, neighbours merged, token budget and number of marks. Every
passage that leaves has its reason, so a trace can show what was dropped and why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from models.base import Block
from models.quoting.structure import blocks as shown
from retrieval.dates import UPDATED_AT, moment
from retrieval.places import joined
from retrieval.types import Candidate, Chunk, DropReason, ScoredChunk

_DUPLICATE = 0.9
_PER_DOCUMENT = 4


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage at its final rank; score is calibrated 0..1."""

    scored: ScoredChunk
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """floor: 0 keeps everything. keep: evidence at most. tokens: of all evidence; None is no limit. newer_wins: see
    Retriever.
    """

    floor: float
    keep: int = 8
    tokens: int | None = None
    per_document: int = _PER_DOCUMENT
    newer_wins: bool = False


def select(ranked: Iterable[Ranked], limits: Limits) -> tuple[list[ScoredChunk], list[Candidate]]:
    """Evidence, best first, and every passage with the reason for which it left (None: it is evidence)."""
    kept: list[Ranked] = []
    fates: list[tuple[Ranked, DropReason | None]] = []
    for passage in ranked:
        reason = _reason(passage, kept, limits)
        if reason == "near_duplicate" and limits.newer_wins and (older := _older(passage, kept)) is not None:
            fates = [(one, "near_duplicate" if one is kept[older] else fate) for one, fate in fates]
            passage = replace(passage, scored=replace(passage.scored, score=kept[older].scored.score))
            kept[older], reason = passage, None
        elif reason is None:
            kept.append(passage)
        fates.append((passage, reason))
    evidence = _merged([passage.scored for passage in kept])
    within, stopped_by = _within(evidence, limits)
    return within, [Candidate(p.scored, reason or _fate(p.scored, within, stopped_by)) for p, reason in fates]


def _reason(passage: Ranked, kept: Sequence[Ranked], limits: Limits) -> DropReason | None:
    if passage.scored.score < limits.floor:
        return "score_floor"
    if any(_alike(passage, other) for other in kept):
        return "near_duplicate"
    document = passage.scored.chunk.document_id
    if sum(other.scored.chunk.document_id == document for other in kept) >= limits.per_document:
        return "document_cap"
    return None


def _older(passage: Ranked, kept: Sequence[Ranked]) -> int | None:
    """The place of its only double, where that was updated before it; None where one of them does not say when."""
    doubles = [place for place, other in enumerate(kept) if _alike(passage, other)]
    if len(doubles) != 1:
        return None
    here, there = (moment(one.scored.chunk.attributes.get(UPDATED_AT)) for one in (passage, kept[doubles[0]]))
    return doubles[0] if here is not None and there is not None and here > there else None


def _alike(one: Ranked, other: Ranked) -> bool:
    """The same words, of whatever document; neighbours that overlap are merged instead."""
    a, b = one.scored.chunk, other.scored.chunk
    if a.document_id == b.document_id and a.store_id == b.store_id and _touch(a, b):
        return False
    if a.text == b.text:
        return True
    union = len(one.terms | other.terms)
    return union > 0 and len(one.terms & other.terms) / union >= _DUPLICATE


def _touch(a: Chunk, b: Chunk) -> bool:
    return abs(a.position - b.position) == 1


def _merged(scored: Sequence[ScoredChunk]) -> list[ScoredChunk]:
    """Neighbouring chunks of a document become one passage at the better one's rank, under its id and scores."""
    groups: list[list[ScoredChunk]] = []
    for one in scored:
        near = next((g for g in groups if any(_neighbours(one.chunk, other.chunk) for other in g)), None)
        if near is None:
            groups.append([one])
        else:
            near.append(one)
    return [replace(group[0], chunk=_joined(group)) for group in groups]


def _neighbours(a: Chunk, b: Chunk) -> bool:
    return a.store_id == b.store_id and a.document_id == b.document_id and _touch(a, b)


def _joined(group: Sequence[ScoredChunk]) -> Chunk:
    parts = sorted((one.chunk for one in group), key=lambda chunk: chunk.start)
    text, end, blocks = parts[0].text, parts[0].end, parts[0].blocks
    for part in parts[1:]:
        blocks = _blocks_joined(text, blocks, part, part.start - parts[0].start)
        # Between chunks there is only white space; as many characters keep the offsets true.
        gap = max(part.start - end, 0)
        text += "\n" * gap + part.text[max(end - part.start, 0) :]
        end = max(end, part.end)
    tokens = sum(part.token_count for part in parts)
    whole = replace(group[0].chunk, text=text, start=parts[0].start, end=end, token_count=tokens, blocks=blocks)
    return replace(whole, page=parts[0].page, place=joined([part.place for part in parts]))


def _blocks_joined(text: str, blocks: tuple[Block, ...], part: Chunk, shift: int) -> tuple[Block, ...]:
    """Of a passage that goes on in `part`, `shift` characters into it; one that both have a part of is one again."""
    if not blocks and not part.blocks:
        return ()
    joined = list(blocks or shown(text))
    for block in part.blocks or shown(part.text):
        moved = replace(block, start=block.start + shift, end=block.end + shift)
        last = joined[-1] if joined else None
        if last is None or moved.start >= last.end:
            joined.append(moved)
        elif moved.kind == last.kind and moved.end > last.end:
            joined[-1] = replace(last, end=moved.end)
    return tuple(joined)


def _within(evidence: Sequence[ScoredChunk], limits: Limits) -> tuple[list[ScoredChunk], DropReason]:
    """As many as fit, and what stopped the rest; the best passage always stays, whatever its length."""
    within: list[ScoredChunk] = []
    tokens = 0
    for one in evidence:
        tokens += one.chunk.token_count
        if len(within) >= limits.keep:
            return within, "limit"
        if within and limits.tokens is not None and tokens > limits.tokens:
            return within, "token_budget"
        within.append(one)
    return within, "limit"


def _fate(scored: ScoredChunk, within: Sequence[ScoredChunk], stopped_by: DropReason) -> DropReason | None:
    if any(one.chunk.key == scored.chunk.key for one in within):
        return None
    return "merged" if any(_covers(one.chunk, scored.chunk) for one in within) else stopped_by


def _covers(passage: Chunk, chunk: Chunk) -> bool:
    same = passage.store_id == chunk.store_id and passage.document_id == chunk.document_id
    return same and passage.start <= chunk.start and chunk.end <= passage.end
