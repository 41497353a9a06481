"""Zip archives: every file inside as if it had been sent alone, `member` its path."""

from pathlib import PurePosixPath

from retrieval.parsing.base.encoding import clean
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.nesting import Nesting, Whole, warned
from retrieval.parsing.base.safe import Archive
from retrieval.types import ParsedDocument

_OF_SYSTEMS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_TOLD = 20  # members that could not be read, by name


def parse(content: bytes, filename: str, limits: Limits, nesting: Nesting) -> list[ParsedDocument]:
    """What cannot be read is a warning, unless nothing can. Raises ParseError."""
    archive = Archive(content, limits)
    documents: list[ParsedDocument] = []
    failed: list[tuple[str, ParseError]] = []
    for name in archive.names:
        if name.endswith("/") or _is_hidden(name):
            continue
        shown = _readable(name)
        try:
            _refuse_outside(name)
            documents += nesting.member(archive.read(name), shown)
        except Whole:
            raise
        except ParseError as error:
            failed.append((shown, error))
    if not documents:
        raise _failure(failed)
    warnings = [f"{name}: {error}" for name, error in failed[:_TOLD]]
    if more := len(failed) - len(warnings):
        warnings.append(f"and {more} more files inside could not be read")
    return warned(documents, warnings)


def _refuse_outside(name: str) -> None:
    """No name is ever a path here, but who writes such a one means no good."""
    if ".." in PurePosixPath(name).parts:
        raise ParseError("invalid_file", "its name leads out of the archive: it is refused")


def _failure(failed: list[tuple[str, ParseError]]) -> ParseError:
    if not failed:
        return ParseError("empty_file", "it holds no file")
    codes = {error.code for _, error in failed}
    code = codes.pop() if len(codes) == 1 else "invalid_file"
    name, error = failed[0]
    return ParseError(code, f"none of its {len(failed)} files can be read; {name}: {error}")


def _is_hidden(name: str) -> bool:
    steps = PurePosixPath(name).parts
    return any(step in _OF_SYSTEMS or step.startswith("._") for step in steps)


def _readable(name: str) -> str:
    """Old programs write names in their system's encoding, which zipfile takes for that of DOS."""
    if name.isascii():
        return name
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return clean(name)  # it was marked as UTF-8
    for encoding in ("utf-8", "cp949"):
        try:
            return clean(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return clean(name)
