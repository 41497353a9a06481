"""Text on its way to a reader, without what his client would load by itself; a stream, in and out.

A picture from a document that was copied into an answer (`![x](https://tracker/?q=…)`, `<img src=…>`) tells its server
that the answer was read, and may carry words of it. A picture becomes its text and its address; a tag that loads
something loses its `<`. Addresses of our own host go too: a document's own ones mean nothing where the answer is shown.
Links stay as they are written: nothing is fetched until a person follows one, and its address is there to be seen.
"""

import re

_IMAGE = re.compile(
    r"!\[(?P<text>[^\[\]\n]{0,200})\]\([ ]{0,2}<?(?P<address>[^()\s<>]{0,500})>?(?:[ ]{1,2}\"[^\"\n()]{0,100}\")?[ ]?\)"
)
_BEGINS_IMAGE = re.compile(
    r"!(?:\[[^\[\]\n]{0,200}(?:\](?:\([ ]{0,2}<?[^()\s<>]{0,500}>?(?:[ ]{1,2}(?:\"[^\"\n()]{0,100}\"?)?)?[ ]?)?)?)?"
)
_NAMES = "audio|base|embed|frame|iframe|image|img|link|meta|object|picture|script|source|style|svg|track|video"
_LOADS = frozenset(_NAMES.split("|"))
_TAG = re.compile(r"<[A-Za-z]{0,8}")
_MAY_LOAD = re.compile(rf"!\[|<(?:{_NAMES})\b", re.IGNORECASE)
_OPENS = re.compile(r"(`{3,})[^`]*\Z|(~{3,})")
_CLOSES = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\Z")
_MAY_FENCE = re.compile(r"`{3}|~{3}|^\s*[<‹]")
_LINE = 200  # characters of a line that are kept to see whether it is a fence


class Disarmer:
    """Deltas in, deltas out. Held back is only what may be a picture or a tag: `!`, `<` and what may belong to it.

    Inside a fence nothing is changed, where it is sure that every client takes it for one: it begins a line, and before
    it was nothing that clients may see otherwise (fences in lists, blocks of HTML).
    """

    def __init__(self) -> None:
        self._held = ""
        self._said: list[str] = []
        self._line = ""
        self._fence = ""
        self._sure = True

    def feed(self, text: str) -> str:
        for character in text:
            self._read(character)
        return self._take()

    def finish(self) -> str:
        """What was held back at the end."""
        while self._held:
            self._release("")
        return self._take()

    def _read(self, character: str) -> None:
        if self._held:
            longer = self._held + character
            if image := _IMAGE.fullmatch(longer):
                self._held = ""
                self._show(image["text"].strip(), image["address"])
                return
            if (_BEGINS_IMAGE if longer[0] == "!" else _TAG).fullmatch(longer):
                self._held = longer
                return
            self._release(character)
            self._read(character)
            return
        if character in "!<" and not self._fence:
            self._held = character
        else:
            self._say(character)

    def _show(self, text: str, address: str) -> None:
        """Read again: the text may hold a tag."""
        for character in f"{text} ({address})" if text and address else text or address:
            self._read(character)

    def _release(self, following: str) -> None:
        """What was no whole picture may still begin one that is written otherwise (`![a [b]](…)`, `![a][b]`)."""
        held, self._held = self._held, ""
        if held.startswith("!["):
            self._say("! [")
            for character in held[2:]:
                self._read(character)
        elif held.startswith("<") and held[1:].lower() in _LOADS and not following.isalnum():
            self._say("‹" + held[1:])
        else:
            self._say(held)

    def _say(self, text: str) -> None:
        self._said.append(text)
        for character in text:
            if character in "\r\n":
                self._end_line()
            elif len(self._line) < _LINE:
                self._line += character

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        if self._fence:
            closing = _CLOSES.match(line)
            self._fence = "" if closing and closing[1].startswith(self._fence) else self._fence
        elif self._sure and (opening := _OPENS.match(line)) and len(line) < _LINE:
            self._fence = opening[1] or opening[2]
        elif _MAY_FENCE.search(line):
            self._sure = False

    def _take(self) -> str:
        said, self._said = "".join(self._said), []
        return said


def disarmed(text: str) -> str:
    """A whole text."""
    if not _MAY_LOAD.search(text):
        return text
    disarmer = Disarmer()
    return disarmer.feed(text) + disarmer.finish()
