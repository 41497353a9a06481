"""Headings to the sections below them."""

from collections.abc import Sequence

from retrieval.types import Section


def sections(headings: Sequence[tuple[int, int, str]]) -> tuple[Section, ...]:
    """(character offset, level, name) of each heading to its section, with the path of the headings above it."""
    path: list[tuple[int, str]] = []
    found: list[Section] = []
    for start, level, name in headings:
        path = [(above, title) for above, title in path if above < level] + [(level, name)]
        found.append(Section(start=start, headings=tuple(title for _, title in path if title)))
    return tuple(found)
