"""Open Packaging Conventions (ECMA-376 part 2): parts, and what they refer to."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.safe import Archive, attribute, local, root

_CORE = "docProps/core.xml"
_NO_TITLES = (
    "microsoft word -",
    "microsoft powerpoint -",
    "powerpoint presentation",
    "powerpoint 프레젠테이션",
    "제목 없음",
    "untitled",
)


@dataclass(frozen=True, slots=True)
class Relation:
    """kind: the last step of its type's URI, "footnotes". target: a part's name."""

    id: str
    kind: str
    target: str


class Package:
    """Raises ParseError, as every call."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self.archive = Archive(content, limits)
        self._relations: dict[str, dict[str, Relation]] = {}

    def main(self, usual: str) -> str:
        """The part that the document begins with."""
        found = (one.target for one in self.relations("").values() if one.kind == "officeDocument")
        return next((part for part in found if part in self.archive), usual)

    def root(self, part: str) -> Any:
        return root(self.archive.read(part))

    def optional(self, part: str) -> Any | None:
        """None also where it is damaged: the rest can be read without."""
        try:
            return self.root(part) if part in self.archive else None
        except ParseError as error:
            if error.code != "invalid_file":
                raise
            return None

    def relations(self, part: str) -> dict[str, Relation]:
        """By id; those that lead out of the file are left out."""
        if part not in self._relations:
            folder, name = posixpath.split(part)
            self._relations[part] = {
                one.id: one for one in self._read(posixpath.join(folder, "_rels", f"{name}.rels"), folder)
            }
        return self._relations[part]

    def related(self, part: str, kind: str) -> Iterator[str]:
        """The parts of that kind that `part` refers to and that are there."""
        for one in self.relations(part).values():
            if one.kind == kind and one.target in self.archive:
                yield one.target

    def title(self) -> str:
        """Of its properties; "" where there is none but what the program wrote by itself."""
        core = self.optional(_CORE)
        found = "" if core is None else next((one.text or "" for one in core if local(one) == "title"), "")
        return "" if found.strip().lower().startswith(_NO_TITLES) else found.strip()

    def _read(self, part: str, folder: str) -> Iterator[Relation]:
        found = self.optional(part)
        for one in () if found is None else found:
            if local(one) == "Relationship" and attribute(one, "TargetMode") != "External":
                target = attribute(one, "Target")
                joined = (
                    target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
                )
                yield Relation(attribute(one, "Id"), attribute(one, "Type").rpartition("/")[2], joined)
