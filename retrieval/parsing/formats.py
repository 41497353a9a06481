"""Which parser reads a file: by its content, its name, its media type. A new format is one module and one line here."""

from dataclasses import dataclass
from pathlib import PurePath

from retrieval.parsing import sniffing
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits


@dataclass(frozen=True, slots=True)
class Format:
    """`module` holds `parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]`; imported late.

    binary: known by its content, so that a name alone does not make it one. holds: other files, read by a fourth
    argument, retrieval.parsing.base.nesting.Nesting. pictured: it may hold pictures of text; its fourth argument is
    retrieval.parsing.base.recognition.Recognise, or None.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    binary: bool = False
    holds: bool = False
    pictured: bool = False


_CODE = ".py .js .ts .java .kt .c .h .cpp .cs .go .rs .rb .php .sh .sql .css .json .yaml .yml .toml .ini .cfg .conf"
_OOXML, _ODF = "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."
FORMATS = (
    Format(
        "Markdown", "retrieval.parsing.markdown", (".md", ".markdown", ".mdx"), ("text/markdown", "text/x-markdown")
    ),
    Format("HTML", "retrieval.parsing.web.html", (".html", ".htm", ".xhtml"), ("text/html", "application/xhtml+xml")),
    Format("CSV", "retrieval.parsing.delimited", (".csv", ".tsv"), ("text/csv", "text/tab-separated-values")),
    Format(
        "JSONL",
        "retrieval.parsing.jsonl",
        (".jsonl", ".ndjson"),
        ("application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/jsonlines"),
    ),
    Format(
        "PDF",
        "retrieval.parsing.pdf.parser",
        (".pdf",),
        ("application/pdf", "application/x-pdf"),
        binary=True,
        pictured=True,
    ),
    Format(
        "Word",
        "retrieval.parsing.office.docx",
        (".docx", ".docm", ".dotx"),
        (f"{_OOXML}wordprocessingml.document",),
        binary=True,
    ),
    Format(
        "PowerPoint",
        "retrieval.parsing.office.pptx",
        (".pptx", ".pptm", ".ppsx"),
        (f"{_OOXML}presentationml.presentation",),
        binary=True,
    ),
    Format(
        "Excel",
        "retrieval.parsing.sheets.xlsx",
        (".xlsx", ".xlsm", ".xltx", ".xltm"),
        (f"{_OOXML}spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroenabled.12"),
        binary=True,
    ),
    Format("Excel 97", "retrieval.parsing.sheets.xls", (".xls", ".xlt"), ("application/vnd.ms-excel",), binary=True),
    Format(
        "Hangul",
        "retrieval.parsing.hangul.parser",
        (".hwp", ".hwpx", ".hml", ".hwt"),
        ("application/x-hwp", "application/haansofthwp", "application/vnd.hancom.hwp", "application/vnd.hancom.hwpx"),
        binary=True,
    ),
    Format(
        "OpenDocument",
        "retrieval.parsing.office.odf",
        (".odt", ".ott", ".odp", ".ods"),
        tuple(f"{_ODF}{kind}" for kind in ("text", "presentation", "spreadsheet")),
        binary=True,
    ),
    Format("EPUB", "retrieval.parsing.office.epub", (".epub",), ("application/epub+zip",), binary=True),
    Format("RTF", "retrieval.parsing.rtf", (".rtf",), ("application/rtf", "text/rtf"), binary=True),
    Format("notebook", "retrieval.parsing.notebook", (".ipynb",), ("application/x-ipynb+json",)),
    Format("mail", "retrieval.parsing.containers.mail", (".eml", ".mht"), ("message/rfc822",), holds=True),
    Format(
        "Outlook mail",
        "retrieval.parsing.containers.outlook",
        (".msg",),
        ("application/vnd.ms-outlook",),
        binary=True,
        holds=True,
    ),
    Format(
        "zip",
        "retrieval.parsing.containers.archive",
        (".zip",),
        ("application/zip", "application/x-zip-compressed"),
        binary=True,
        holds=True,
    ),
    Format("text", "retrieval.parsing.plain", (".txt", ".text", ".log", ".rst", ".tex", ""), ("text/plain",)),
    Format("source code", "retrieval.parsing.plain", tuple(_CODE.split()), ("text/x-python", "application/json")),
)
_BY_NAME = {format.name: format for format in FORMATS}
_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}
_BY_MEDIA_TYPE = {media_type: format for format in FORMATS for media_type in format.media_types}


def supported() -> str:
    return ", ".join(f"{f.name} ({f.suffixes[0]} …)" for f in FORMATS)


def detect(content: bytes, filename: str, media_type: str, limits: Limits) -> tuple[Format, str]:
    """The format of a file, and what its owner should know where its name says another one.

    The content decides where it can (sniffing). Else the name does, where it has a known suffix: browsers send CSV as
    application/vnd.ms-excel and Markdown as application/octet-stream. Without a suffix the media type decides; without
    either it is taken for text. Raises ParseError, unsupported_file naming the type and what is supported.
    """
    suffix = PurePath(filename).suffix.lower()
    named = _named(suffix, media_type.partition(";")[0].strip().lower())
    if (kind := sniffing.kind(content, limits)) is not None:
        found = _BY_NAME[kind]
        told = bool(suffix) and named is not None and named is not found and suffix in _BY_SUFFIX
        return found, f"it is called {suffix} and is read as what it is: {found.name}" if told else ""
    if named is None:
        kind = f"{suffix} files" if suffix else f"files of type {media_type}"
        raise ParseError("unsupported_file", f"{kind} are not supported; supported: {supported()}")
    if not named.binary:
        return named, ""
    if sniffing.is_html(content):
        return _BY_NAME["HTML"], f"it is called {suffix} and is read as what it is: HTML"
    raise ParseError("invalid_file", f"it is damaged, or no {named.name} file: its content is not one")


def _named(suffix: str, media_type: str) -> Format | None:
    if suffix and suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if media_type in _BY_MEDIA_TYPE and (not suffix or media_type != "text/plain"):
        return _BY_MEDIA_TYPE[media_type]
    return _BY_SUFFIX[""] if not suffix and media_type in ("", "application/octet-stream") else None
