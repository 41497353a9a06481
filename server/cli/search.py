"""`ragpod search`: ranked passages, and how each came to its rank."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retrieval.characters import one_line
from retrieval.places import shown
from server.cli.base.client import Json
from server.cli.base.connection import Where, connected
from server.cli.base.terminal import note, say, say_json

STAGES = ("bm25", "dense", "sparse", "fused", "rerank1", "rerank2")
SHOWN_CHARACTERS = 300
SHOWN_CANDIDATES = 30


async def run(where: Where, store: str | None, query: str, top_k: int, *, explain: bool, as_json: bool) -> None:
    async with connected(where) as client:
        store_id = await client.store_id(store or client.default_store)
        found = await client.search(store_id, query, top_k)
    if as_json:
        say_json(found)
        return
    for line in result_lines(found["data"]):
        say(line)
    if explain:
        for line in explanation(found["ragpod"]):
            say(line)
    for skipped in found["ragpod"].get("degraded", ()):
        note(f"note: {skipped}")


def result_lines(results: Sequence[Json]) -> Iterator[str]:
    if not results:
        yield "nothing found above the score floor"
    for rank, result in enumerate(results, 1):
        text = one_line(" ".join(part["text"] for part in result["content"]))
        cut = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        named = one_line(f"{result.get('title') or result['filename']}  ({result['filename']})")
        place = one_line(shown(result))
        yield f"{rank:2}. {result['score']:.3f}  {named}" + (f"  {place}" if place else "")
        yield f"    {cut}"


def explanation(search: Mapping[str, Any]) -> Iterator[str]:
    """A table of the candidates, each stage's score with its rank in that stage; then what each stage took."""
    candidates = search["candidates"]
    stages = [stage for stage in STAGES if any(stage in candidate["scores"] for candidate in candidates)]
    ranks = {stage: ranks_of([candidate["scores"].get(stage) for candidate in candidates]) for stage in stages}
    yield ""
    yield "  score  " + "".join(f"{stage:>9}{'rank':>6}" for stage in stages) + "  candidate"
    for i, candidate in enumerate(candidates[:SHOWN_CANDIDATES]):
        cells = "".join(_cell(candidate["scores"].get(stage), ranks[stage][i]) for stage in stages)
        left = f"  [left out: {candidate['dropped']}]" if candidate["dropped"] else ""
        yield f"  {candidate['score']:.3f}  {cells}  {one_line(candidate['title']) or candidate['chunk_id']}{left}"
    if len(candidates) > SHOWN_CANDIDATES:
        yield f"  … and {len(candidates) - SHOWN_CANDIDATES} more candidates; --json has them all"
    yield ""
    yield "  milliseconds  " + ", ".join(f"{stage} {taken:.1f}" for stage, taken in search["timings_ms"].items())
    yield "  candidates    " + ", ".join(f"{stage} {left}" for stage, left in search["counts"].items())


def ranks_of(scores: Sequence[float | None]) -> list[int | None]:
    """1 for the highest; equal scores share a rank; None where there is no score.

    >>> ranks_of([0.2, None, 0.9, 0.2])
    [2, None, 1, 2]
    """
    ordered = sorted((score for score in scores if score is not None), reverse=True)
    return [None if score is None else ordered.index(score) + 1 for score in scores]


def _cell(score: float | None, rank: int | None) -> str:
    return f"{'–':>9}{'':>6}" if score is None else f"{score:9.3f}{'#' + str(rank):>6}"
