"""Files inside files: mails with attachments, archives with mails. One count of all that is read, however deep."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits
from retrieval.parsing.base.recognition import Recognise
from retrieval.types import ParsedDocument

_DEEPEST = 4


@dataclass(slots=True)
class Shared:
    """What may still be read, of all levels together."""

    files: Budget
    bytes: Budget
    characters: Budget


@dataclass(frozen=True, slots=True)
class Nesting:
    """Of one container. read: content, name, media type, limits and the nesting below -> documents, as `parse`.

    recognise: for pictures of text in any of its files.
    """

    limits: Limits
    read: Callable[[bytes, str, str, Limits, "Nesting"], list[ParsedDocument]]
    shared: Shared
    recognise: Recognise | None = None
    depth: int = 0

    @classmethod
    def outermost(
        cls,
        limits: Limits,
        read: Callable[[bytes, str, str, Limits, "Nesting"], list[ParsedDocument]],
        recognise: Recognise | None = None,
    ) -> "Nesting":
        shared = Shared(
            Budget(limits.entries, "files inside it"),
            Budget(limits.inflated, "bytes in the files inside it"),
            Budget(limits.characters, "characters of text"),
        )
        return cls(limits, read, shared, recognise)

    def member(self, content: bytes, name: str, media_type: str = "") -> list[ParsedDocument]:
        """The documents of a file inside, their `member` its path. Raises ParseError, of the file or of the whole (see
        `ends`).
        """
        if self.depth >= _DEEPEST:
            raise ParseError("invalid_file", f"it stands more than {_DEEPEST} files deep")
        self._take(self.shared.files, 1)
        self._take(self.shared.bytes, len(content))
        documents = self.read(content, name, media_type, self.limits, replace(self, depth=self.depth + 1))
        self._take(self.shared.characters, sum(len(document.text) for document in documents if not document.member))
        return [
            replace(document, member="/".join(part for part in (name, document.member) if part))
            for document in documents
        ]

    @staticmethod
    def _take(budget: Budget, count: int) -> None:
        try:
            budget.take(count)
        except ParseError as error:
            raise Whole(error.code, error.message) from None


class Whole(ParseError):
    """The container as a whole holds too much: that its other files can be read does not help."""


def warned(documents: list[ParsedDocument], warnings: list[str]) -> list[ParsedDocument]:
    """With what could not be read told once, by the first of them."""
    if not warnings or not documents:
        return documents
    told = "; ".join(part for part in (documents[0].warning, *warnings) if part)
    return [replace(documents[0], warning=told), *documents[1:]]
