"""Whether a streamed text is the text that was not streamed; pure."""

from collections.abc import Sequence

from streaming.results import Failed, NotAsked

# A last delta of this many characters that is all the text before it was never made by an engine.
REPEATED = 8


def difference(whole: str, streamed: str) -> str:
    """What became of `whole` on the way: doubled, lost, reordered, or other; empty where nothing did."""
    if streamed == whole:
        return ""
    if _within(whole, streamed):
        return "doubled"
    if _within(streamed, whole):
        return "lost"
    return "reordered" if sorted(streamed) == sorted(whole) else "other"


def same(wholes: Sequence[str], streams: Sequence[str]) -> str:
    """Several answers to one question, not streamed and streamed. Raises Failed, or NotAsked where the engine's own
    answers differ.

    An engine whose answers differ goes on differently from some word on; it does not lose, double or reorder words of
    the same text. Streams that agree on another text than all the others do are no accident either.
    """
    found = [difference(wholes[0], text) for text in streams]
    if len(set(wholes)) > 1:
        raise NotAsked(f"not comparable: {len(set(wholes))} texts in {len(wholes)} answers without streaming")
    if not any(found):
        return f"{len(streams)} streams and {len(wholes)} whole answers, the same {len(wholes[0])} characters"
    damage = sorted({kind for kind in found if kind} - {"other"})
    if damage:
        where = next(text for text, kind in zip(streams, found, strict=True) if kind == damage[0])
        raise Failed(f"text is {' and '.join(damage)}: {_first_difference(wholes[0], where)}")
    if len(set(streams)) == 1:
        raise Failed(f"the streamed text is another one: {_first_difference(wholes[0], streams[0])}")
    raise NotAsked("not comparable: the streams differ among themselves, from some word on")


def not_repeated(deltas: Sequence[str]) -> str:
    """Raises Failed where the last delta says again what all before it said."""
    told, last = "".join(deltas[:-1]), deltas[-1]
    if len(told) >= REPEATED and last.strip() == told.strip():
        raise Failed(f"the last of {len(deltas)} deltas repeats the whole text")
    return f"the last of {len(deltas)} deltas is {last[:20]!r}"


def _within(short: str, long: str) -> bool:
    """Whether `short` is left where characters of `long` are taken out."""
    rest = iter(long)
    return all(character in rest for character in short)


def _first_difference(whole: str, streamed: str) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(whole, streamed, strict=False)) if a != b), min(len(whole), len(streamed))
    )
    return f"from character {at} on {streamed[at : at + 24]!r} instead of {whole[at : at + 24]!r}"
