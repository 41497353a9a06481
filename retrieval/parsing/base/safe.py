"""Zip archives and XML from strangers: what they unpack to is counted while they are read, no DTD is accepted.

A member's name is a key and never a path. Everything that zipfile and lxml raise becomes a ParseError.
"""

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from lxml import etree

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits

_ENTRY = b"PK\x01\x02"  # one stands in a zip's directory for each member
_CHUNK = 1 << 20
_RATIO, _RATIO_FROM = 250, 16 << 20  # inflated to packed, looked at beyond so many bytes
_DTD = tuple(f"<!{word}".encode(code) for word in ("DOCTYPE", "ENTITY") for code in ("utf-8", "utf-16-le", "utf-16-be"))
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class Archive:
    """The members of a zip by name, with `/` between steps whatever the file says; of two with one name the last."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        """Raises ParseError invalid_file, too_large."""
        if content.count(_ENTRY) > limits.entries:
            raise ParseError("too_large", f"it holds more than {limits.entries:,} parts: divide it")
        try:
            self._zip = zipfile.ZipFile(BytesIO(content))
        except (*_BROKEN, MemoryError) as error:
            raise ParseError("invalid_file", f"it is damaged: {error}; save it again and send it") from None
        self._infos = {info.filename.replace("\\", "/").lstrip("/"): info for info in self._zip.infolist()}
        self._lower = {name.lower(): name for name in self._infos}
        self._budget = Budget(limits.inflated, "bytes once it is unpacked")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._infos)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._lower

    def read(self, name: str) -> bytes:
        """Names are looked up whatever their case. Raises ParseError: encrypted_file, too_large, invalid_file, also
        where there is no such member.
        """
        if name not in self:
            raise ParseError("invalid_file", f"it is damaged: its part {name!r} is missing")
        info = self._infos[self._lower[name.lower()]]
        if info.flag_bits & 1:
            raise ParseError("encrypted_file", f"its part {name!r} opens with a password alone")
        parts: list[bytes] = []
        size = 0
        try:
            with self._zip.open(info) as member:
                while part := member.read(_CHUNK):
                    size += len(part)
                    self._budget.take(len(part))
                    not_a_bomb(info.compress_size, size, f"its part {name!r}")
                    parts.append(part)
        except (*_BROKEN, MemoryError) as error:
            raise ParseError("invalid_file", f"its part {name!r} is damaged: {error}") from None
        return b"".join(parts)


def not_a_bomb(packed: int, unpacked: int, what: str, most: int = _RATIO) -> None:
    """most: times its size. Raises ParseError too_large where so few bytes unpack to so many as no text does."""
    if unpacked > _RATIO_FROM and unpacked > most * max(1, packed):
        raise ParseError("too_large", f"{what} unpacks to more than {most} times its size")


def root(content: bytes) -> Any:
    """The root element (lxml) of a small part, 256 levels deep at most. Raises ParseError invalid_file."""
    refuse_dtd(content)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, recover=False)
    try:
        element = etree.fromstring(content, parser)
    except (etree.LxmlError, ValueError, MemoryError) as error:
        raise _bad_xml(error) from None
    _refuse_declared(element)
    return element


def elements(content: bytes, *tags: str) -> Iterator[Any]:
    """Elements (lxml) of those local names as each ends, and then emptied, with those before it. Raises ParseError."""
    refuse_dtd(content)
    names = [f"{{*}}{tag}" for tag in tags]
    first = True
    try:
        events = etree.iterparse(
            BytesIO(content), events=("end",), tag=names, resolve_entities=False, no_network=True, huge_tree=False
        )
        for _, element in events:
            if first:
                _refuse_declared(element)
                first = False
            yield element
            element.clear()
            while element.getprevious() is not None and element.getparent() is not None:
                del element.getparent()[0]
    except (etree.LxmlError, ValueError, MemoryError) as error:
        raise _bad_xml(error) from None


def local(element: Any) -> str:
    """Its name without the namespace, "" of a comment."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """By local name, whatever its namespace: strict and transitional Office files differ in it."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""


def refuse_dtd(content: bytes) -> None:
    """Raises ParseError invalid_file. No office file needs a DTD; entities are how one grows to gigabytes."""
    if any(mark in content for mark in _DTD):
        raise ParseError("invalid_file", "it declares a DTD or entities, which no such document needs: it is refused")


def _refuse_declared(element: Any) -> None:
    """As `refuse_dtd`, in whatever encoding."""
    if element.getroottree().docinfo.internalDTD is not None:
        raise ParseError("invalid_file", "it declares a DTD or entities, which no such document needs: it is refused")


def _bad_xml(error: BaseException) -> ParseError:
    return ParseError("invalid_file", f"its XML is damaged: {str(error)[:200] or type(error).__name__}")
