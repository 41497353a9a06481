"""HTML to readable text: navigation, scripts and controls left out, headings as sections, tables as rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import unescape
from itertools import pairwise

from models.base import Block
from retrieval.parsing.base.encoding import clean, decode, titled
from retrieval.parsing.base.limits import Budget, Limits, characters
from retrieval.parsing.base.sections import sections
from retrieval.parsing.web.markup import Tag, tokens
from retrieval.parsing.web.readable import ReadableText, Structure
from retrieval.types import ParsedDocument


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VOID = _names("area base basefont br col embed frame hr img input link meta param source track wbr")
_DROPPED = _names(
    "nav aside script style noscript template svg math iframe object button select textarea datalist dialog menu audio"
    " video canvas head title"
)
_PAGE_PARTS = _names("header footer")  # boilerplate around an article, a title inside one
_ARTICLES = ("main", "article", "section")
_DROPPED_ROLES = _names("navigation banner contentinfo search complementary menu menubar dialog")
# Hidden elements stay: the answers of an FAQ page are hidden until someone clicks.
_DROPPED_CLASSES = _names(
    "nav navbar navbox navigation breadcrumb breadcrumbs sidebar toc noprint skip-link mw-editsection mw-jump-link"
    " navheader navfooter vector-toc vector-dropdown vector-page-toolbar mw-portlet catlinks cookie-banner"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = _names("p ul ol dl table pre blockquote figure section article main form fieldset details hr body")
_LINES = _names("div br li dt dd tr caption summary figcaption legend center address")
_LAYOUT = _names("table ul ol pre blockquote h1 h2 h3 h4 h5 h6")  # inside a row: it lays out a page, it is no data
_MIN_MAIN = 0.2  # of the page's text that <main> must hold to be believed
_MAX_INDENT = 4


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    stream = list(_stream(decode(content, declared=True), limits))
    read = partial(_read, stream, limits)
    main, page = read(only_main=True), read()
    best = main if len(main.text.text()) > _MIN_MAIN * len(page.text.text()) else page
    if not best.text.text():
        best = read(keep_all=True)
    names = (name for _, _, name in best.text.headings if name)
    title = _title(stream) or next(names, titled(filename))
    found = sections(best.text.headings)
    return [ParsedDocument(best.text.text(), title, sections=found, url=_canonical(stream), blocks=best.blocks())]


def _stream(source: str, limits: Limits) -> Iterator[Tag | str]:
    budget = Budget(limits.tokens, "tags and texts between them")
    for token in tokens(source):
        budget.take(1)
        yield token if isinstance(token, Tag) else clean(unescape(token))


def _read(stream: Sequence[Tag | str], limits: Limits, *, only_main: bool = False, keep_all: bool = False) -> "_Reader":
    reader = _Reader(_layout_rows(stream), keep_all, ReadableText(characters(limits)))
    for index, token in enumerate(stream):
        if isinstance(token, Tag):
            reader.tag(token, index)
        elif not reader.dropping and (reader.mains or not only_main):
            reader.add(token)
    reader.text.close_heading()
    reader.structure.close(reader.text)
    return reader


class _Reader:
    """The open elements, and what follows from them for the text at hand."""

    def __init__(self, layout_rows: frozenset[int], keep_all: bool, text: ReadableText) -> None:
        self.text = text
        self.dropping = 0  # open elements whose text is left out
        self.mains = 0
        self._open: list[tuple[str, str]] = []  # name, what it is: "dropped", "main" or ""
        self._names: Counter[str] = Counter()
        self._lists: list[int] = []  # the last number of each open list; -1 for bullets
        self.structure = Structure()
        self._rows: list[bool] = []  # for each open table: in a row of data, its cells on one line
        self._cells = 0
        self._layout_rows = layout_rows
        self._keep_all = keep_all

    def blocks(self) -> tuple[Block, ...]:
        return self.structure.blocks(self.text)

    def add(self, text: str) -> None:
        if self._names["pre"]:
            self.text.add_verbatim(text)
        else:
            self.text.add(text)

    def tag(self, tag: Tag, index: int) -> None:
        if not tag.closing and tag.name not in _VOID:
            self._push(tag)
        if not self.dropping:
            self._break(tag.name)
            self._structure(tag, index)
        if tag.closing and self._names[tag.name]:
            self._pop(tag.name)

    def _push(self, tag: Tag) -> None:
        attributes = tag.attributes()
        kind = ""
        if tag.name == "main" or attributes.get("role") == "main":
            kind = "main"
        elif not self._keep_all and self._is_dropped(tag.name, attributes.get("role", ""), attributes):
            kind = "dropped"
        self.dropping += kind == "dropped"
        self.mains += kind == "main"
        self._open.append((tag.name, kind))
        self._names[tag.name] += 1

    def _pop(self, name: str) -> None:
        closed = ""
        while closed != name:
            closed, kind = self._open.pop()
            self._names[closed] -= 1
            self.dropping -= kind == "dropped"
            self.mains -= kind == "main"

    def _is_dropped(self, name: str, role: str, attributes: Mapping[str, str]) -> bool:
        if name in _PAGE_PARTS:
            return not any(self._names[article] for article in _ARTICLES)
        classes = attributes.get("class", "").lower().split()
        reference = name == "sup" and "reference" in classes
        return name in _DROPPED or role in _DROPPED_ROLES or reference or not _DROPPED_CLASSES.isdisjoint(classes)

    def _break(self, name: str) -> None:
        if self._rows and self._rows[-1] and name not in ("tr", "table"):
            self.text.add(" " if name in _PARAGRAPHS or name in _LINES else "")
        elif name in _PARAGRAPHS:
            self.text.close_heading()
            self.text.break_line(2)
        elif name in _LINES:
            self.text.break_line(1)

    def _structure(self, tag: Tag, index: int) -> None:
        if level := _HEADINGS.get(tag.name):
            if tag.closing:
                self.text.close_heading()
            else:
                self.text.open_heading(level)
        elif tag.name in ("ul", "ol"):
            self._list(tag)
        elif tag.name == "li" and not tag.closing:
            self._item()
        elif tag.name == "pre":
            if tag.closing:
                self.structure.end_code(self.text)
            elif not (self._rows and self._rows[-1]):
                self.structure.begin_code(self.text)
        elif tag.name in ("table", "tr", "td", "th"):
            self._table(tag, index)

    def _list(self, tag: Tag) -> None:
        if not tag.closing:
            self._lists.append(0 if tag.name == "ol" else -1)
        elif self._lists:
            self._lists.pop()

    def _item(self) -> None:
        indent = "  " * min(len(self._lists) - 1, _MAX_INDENT)
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            self.text.mark(f"{indent}{self._lists[-1]}. ")
        else:
            self.text.mark(f"{indent}- ")

    def _table(self, tag: Tag, index: int) -> None:
        if tag.name == "table":
            self.structure.end_row(self.text)
            self.structure.end_table()
            if not tag.closing:
                self._rows.append(False)
            elif self._rows:
                self._rows.pop()
        elif tag.name == "tr" and self._rows:
            self.structure.end_row(self.text)
            self._rows[-1] = not tag.closing and index not in self._layout_rows
            self._cells = 0
            self.text.mark("")
            if self._rows[-1]:
                self.structure.begin_row(self.text)
        elif self._rows and self._rows[-1] and not tag.closing:
            if self._cells:
                self.text.mark(" | ", after=True)
            self._cells += 1
            self.structure.cell(named=tag.name == "th")


def _layout_rows(stream: Sequence[Tag | str]) -> frozenset[int]:
    """Indices of the <tr> tags that hold lists, headings or tables of their own."""
    found: set[int] = set()
    rows: list[int] = []  # for each open table: its open row, or -1
    for index, tag in enumerate(stream):
        if isinstance(tag, str):
            continue
        if tag.name in _LAYOUT and not tag.closing and rows:
            found.add(rows[-1])
        if tag.name == "table":
            if not tag.closing:
                rows.append(-1)
            elif rows:
                rows.pop()
        elif tag.name == "tr" and rows:
            rows[-1] = -1 if tag.closing else index
    return frozenset(found)


def _title(stream: Sequence[Tag | str]) -> str:
    for tag, text in pairwise(stream):
        if isinstance(tag, Tag) and tag.name == "title" and not tag.closing and isinstance(text, str):
            return " ".join(text.split())
    return ""


def _canonical(stream: Sequence[Tag | str]) -> str:
    for tag in stream:
        if isinstance(tag, Tag) and tag.name == "link":
            attributes = tag.attributes()
            if attributes.get("rel", "").lower() == "canonical":
                url = attributes.get("href", "")
                return url if url.startswith(("https://", "http://")) else ""
    return ""
