"""Which parser reads a file: by its name, then by its media type. A new format is one module and one line here."""

from dataclasses import dataclass
from pathlib import PurePath

from retrieval.parsing.errors import ParseError


@dataclass(frozen=True, slots=True)
class Format:
    """`module` holds `parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]`; imported late."""

    name: str
    module: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]


_CODE = ".py .js .ts .java .kt .c .h .cpp .cs .go .rs .rb .php .sh .sql .css .json .yaml .yml .toml .ini .cfg .conf"
FORMATS = (
    Format(
        "Markdown", "retrieval.parsing.markdown", (".md", ".markdown", ".mdx"), ("text/markdown", "text/x-markdown")
    ),
    Format("HTML", "retrieval.parsing.html", (".html", ".htm", ".xhtml"), ("text/html", "application/xhtml+xml")),
    Format("CSV", "retrieval.parsing.delimited", (".csv", ".tsv"), ("text/csv", "text/tab-separated-values")),
    Format(
        "JSONL",
        "retrieval.parsing.jsonl",
        (".jsonl", ".ndjson"),
        ("application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/jsonlines"),
    ),
    Format("text", "retrieval.parsing.plain", (".txt", ".text", ".log", ".rst", ".tex", ""), ("text/plain",)),
    Format("source code", "retrieval.parsing.plain", tuple(_CODE.split()), ("text/x-python", "application/json")),
)
_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}
_BY_MEDIA_TYPE = {media_type: format for format in FORMATS for media_type in format.media_types}


def supported() -> str:
    return ", ".join(f"{f.name} ({f.suffixes[0]} …)" for f in FORMATS)


def detect(filename: str, media_type: str = "") -> Format:
    """The format of a file. Raises ParseError unsupported_file, naming the type and what is supported.

    The name decides where it has a known suffix: browsers send CSV as application/vnd.ms-excel and Markdown as
    application/octet-stream. Without a suffix the media type decides; without either it is taken for text.
    """
    suffix = PurePath(filename).suffix.lower()
    media_type = media_type.partition(";")[0].strip().lower()
    if suffix and suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if media_type in _BY_MEDIA_TYPE and (not suffix or media_type != "text/plain"):
        return _BY_MEDIA_TYPE[media_type]
    if not suffix and media_type in ("", "application/octet-stream"):
        return _BY_SUFFIX[""]
    kind = f"{suffix} files" if suffix else f"files of type {media_type}"
    raise ParseError("unsupported_file", f"{kind} are not supported ({filename}); supported: {supported()}")
