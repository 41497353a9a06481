"""HTML source to a stream of tags and texts, after the HTML standard's tokenizer, in one pass and linear time.

No tree: both trees tried take quadratic time on some input (html.parser on `<a <a …`, lexbor on nested `<div>`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape

# Possessive throughout. Without a closing `>` the rest is text, so that no second tag scans it again.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)((?:=\s*+(?:\"[^\"]*+\"|'[^']*+')|[^>=]++|=)*+)>")
_TAG_START = re.compile(r"</?[a-zA-Z]")
_ATTRIBUTE = re.compile(r"([^\s=/>\"']++)(?:\s*+=\s*+(\"[^\"]*+\"|'[^']*+'|[^\s>]++))?")
_ATTRIBUTES = 4096  # characters of a tag looked at
_RAW = {
    name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "title", "xmp", "iframe")
}
_SHOWN_RAW = ("title", "xmp")


@dataclass(frozen=True, slots=True)
class Tag:
    """name is lower-case; source is the text between the name and `>`."""

    name: str
    closing: bool
    source: str = ""

    def attributes(self) -> Mapping[str, str]:
        if not self.source:
            return {}
        found = _ATTRIBUTE.findall(self.source, 0, _ATTRIBUTES)
        return {name.lower(): unescape(value.strip("\"'")) for name, value in found}


def tokens(html: str) -> Iterator[Tag | str]:
    """Tags and texts in order, entities still in the texts; comments, doctypes and scripts are left out."""
    position = 0
    while (start := html.find("<", position)) >= 0:
        if start > position:
            yield html[position:start]
        if tag := _TAG.match(html, start):
            name = tag[2].lower()
            yield Tag(name, bool(tag[1]), tag[3])
            position = tag.end()
            if name in _RAW and not tag[1]:
                end = _RAW[name].search(html, position)
                if name in _SHOWN_RAW:
                    yield html[position : end.start() if end else None]
                position = end.start() if end else len(html)
        elif html.startswith(("<!", "<?"), start):
            position = _after_comment(html, start)
        else:
            position = len(html) if _TAG_START.match(html, start) else start + 1
            yield html[start:position]
    if position < len(html):
        yield html[position:]


def _after_comment(html: str, start: int) -> int:
    comment = html.startswith("<!--", start)
    end = html.find("-->" if comment else ">", start + 4 if comment else start)
    return len(html) if end < 0 else end + (3 if comment else 1)
