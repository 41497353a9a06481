"""What a generation is made by, and how far it is."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from retrieval.store.base.values import FileCounts, VectorSpace
from retrieval.types import Cutting

# found: by searches. building: takes up what the vector store holds, and is found when it has all of it. kept: was
# found before, and goes after a while. refused: was found before somebody switched back; it stays until it is dropped.
State = Literal["found", "building", "kept", "refused"]
# What a switch did: or why not.
Switched = Literal["switched", "waiting", "failed", "gone"]


class Recipe(NamedTuple):
    """What shapes passages and vectors."""

    space: VectorSpace
    cutting: Cutting

    def matches(self, other: "Recipe") -> bool:
        """Whether both make the same, as far as is known."""
        return self.space == other.space and self.cutting.matches(other.cutting)

    def __str__(self) -> str:
        cut, chunking = self.cutting, self.cutting.chunking
        masked = f", masked: {', '.join(cut.masked)}" if cut.masked else ""
        return f"{self.space}, passages of {chunking.size}/{chunking.overlap} tokens, revision {cut.revision}{masked}"


@dataclass(frozen=True, slots=True)
class Generation:
    """store_id, name, owner: of the vector store. files: by their status here. waiting: files that are found in the
    vector store and not here yet; failed: those of them that failed here. passages: embedded. bytes: of texts and
    vectors. ended_at: Unix seconds, when it was last found. recipe: None before the first vector.
    """

    index_id: str
    store_id: str
    name: str
    owner: str
    state: State
    recipe: Recipe | None
    files: FileCounts
    waiting: int
    failed: int
    passages: int
    bytes: int
    ended_at: int | None
