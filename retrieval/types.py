"""Value types of the retrieval room: frozen, plain, without identity in any database session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from retrieval.places import NOWHERE, Place, Region

if TYPE_CHECKING:  # it loads numpy, and the command line has these types without
    from models.base import Block, FloatArray

Attribute = str | float | bool
Attributes = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a file is cut into passages: tokens of one at most, and how many of them the next one may repeat."""

    size: int = 180
    overlap: int = 40


AUTO = Chunking()
# Raised when parsers, chunking, terms or what is embedded of a passage change so much that all files be cut anew.
REVISION = 1


class VectorSpace(NamedTuple):
    """Of a vector store: the embedder's name and dimensions, and whether every vector has lexical weights beside it."""

    embedder: str
    dim: int
    lexical: bool = False

    def __str__(self) -> str:
        return f"{self.embedder} ({self.dim} dimensions{', lexical weights' if self.lexical else ''})"


@dataclass(frozen=True, slots=True)
class Cutting:
    """How files become passages. chunking: of those that are attached without one. masked: kinds of personal data that
    are made unreadable, ascending; None where that is not known. revision: of the code.
    """

    chunking: Chunking = AUTO
    masked: tuple[str, ...] | None = ()
    revision: int = REVISION

    def matches(self, other: "Cutting") -> bool:
        """Whether both make the same passages, as far as is known."""
        masks = None in (self.masked, other.masked) or self.masked == other.masked
        return masks and (self.chunking, self.revision) == (other.chunking, other.revision)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading path and the page valid from `start` (character offset) to the next section's start."""

    start: int
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser yields: one for a file, or one a row for CSV and JSONL.

    external_id: the row's own `_id`/`id`, "" where there is none. sections: ascending starts. blocks: what the parser
    knows of the text's parts, ascending; what is not in any is to be seen from the text. warning: what the file's owner
    should know of how it was read; no part of the document. regions: where the text stands in the file, ascending,
    apart from each other. member: the path of an archive's or mail's part, its steps divided by `/`; "" outside one.
    """

    text: str
    title: str = ""
    external_id: str = ""
    attributes: Attributes = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    url: str = ""
    warning: str = ""
    blocks: "tuple[Block, ...]" = ()
    regions: tuple[Region, ...] = ()
    member: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A chunk before it has an identity: exact character offsets into the document's text."""

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None
    token_count: int = 0
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class IdentifiedDocument:
    """id: hash of store, filename and the document's key in the file. sha256: over everything that is stored of it."""

    id: str
    sha256: str
    ordinal: int
    parsed: ParsedDocument


@dataclass(frozen=True, slots=True)
class NewChunk:
    """text: the passage. terms: lexical terms of its indexed text, none of them empty or with a space in it.

    blocks: of the passage, where they are not what its text alone shows.
    """

    span: Span
    text: str
    terms: Sequence[str]
    blocks: "tuple[Block, ...]" = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored passage. text == document text[start:end].

    key: the chunk's integer in the store, never reused; what the indexes hold.
    id: the public id, a hash of document, content version and position: the same after a re-ingest of the same bytes.
    external_id: the `_id` of the row that the document came from, "" where there is none.
    blocks: of `text`, offsets in it; empty where the text alone shows them.
    """

    key: int
    id: str
    document_id: str
    file_id: str
    store_id: str
    position: int
    text: str
    start: int
    end: int
    title: str = ""
    filename: str = ""
    url: str = ""
    headings: tuple[str, ...] = ()
    page: int | None = None
    token_count: int = 0
    external_id: str = ""
    attributes: Attributes = field(default_factory=dict)
    blocks: "tuple[Block, ...]" = ()
    place: Place = NOWHERE

    @property
    def own_id(self) -> str:
        """What its owner calls the document: the row's own id, else ours."""
        return self.external_id or self.document_id


def indexed_text(title: str, headings: tuple[str, ...], text: str, blocks: "Sequence[Block]" = ()) -> str:
    """What is embedded and indexed for a passage: its title and heading path, the header of the table that it goes on
    with, then the passage itself. blocks: of `text`.
    """
    heading = " > ".join(h for h in headings if h and h != title)
    return "\n".join(part for part in (title, heading, repeated_header(blocks), text) if part)


def repeated_header(blocks: "Sequence[Block]") -> str:
    """Of a table that a passage goes on with; "" where it begins none, or with the header itself."""
    first = next((block for block in blocks if block.kind in ("header", "row")), None)
    return first.context if first is not None and first.kind == "row" else ""


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """dense: (dim,) unit vector. tokens: (t, dim) unit rows. terms: lexical, in reading order, with repeats.

    sparse: the model's lexical weights, token id -> weight; None where it gives none.
    """

    text: str
    dense: "FloatArray"
    tokens: "FloatArray"
    terms: Sequence[str]
    sparse: Mapping[int, float] | None = None


class Hit(NamedTuple):
    """One entry of one list from one scorer; scores compare only inside that list."""

    key: int
    score: float


DropReason = Literal[
    "rerank1", "rerank2", "score_floor", "near_duplicate", "merged", "document_cap", "token_budget", "limit"
]


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A passage with every score it was given, each on its own scale; `score` is the last stage's, calibrated 0..1."""

    chunk: Chunk
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate of the trace: where it stood and why it left (None: it is evidence)."""

    scored: ScoredChunk
    dropped: DropReason | None = None


@dataclass(frozen=True, slots=True)
class SearchParams:
    """candidates: taken from each leg. keep: evidence at most. min_score: None is the calibrated default, 0 keeps all.

    filters: an OpenAI vector-store filter, {"type": "eq", "key": …, "value": …} or {"type": "and", "filters": […]}.
    """

    candidates: int = 100
    keep: int = 8
    min_score: float | None = None
    rerank: bool = True
    filters: Mapping[str, Any] | None = None
    token_budget: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """evidence[i] carries mark [i + 1]. seconds: stage -> seconds. counts: stage -> candidates left after it.

    degraded: what should have run and did not, skipped: what was not needed, in words fit for a user.
    """

    query: str
    evidence: tuple[ScoredChunk, ...]
    candidates: tuple[Candidate, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def no_evidence(self) -> bool:
        return not self.evidence
