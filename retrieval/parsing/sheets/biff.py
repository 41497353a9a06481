"""The number formats of an Excel 97 workbook ([MS-XLS]), which calamine leaves out. No value is read."""

import struct
from collections.abc import Iterator
from io import BytesIO

import olefile

from retrieval.parsing.sheets.numbers import BUILT_IN

_FORMAT, _XF, _SHEET, _EOF = 0x041E, 0x00E0, 0x0085, 0x000A
_NUMBER, _RK, _MULRK, _FORMULA = 0x0203, 0x027E, 0x00BD, 0x0006

Codes = dict[tuple[int, int], str]


def formats(content: bytes, most: int) -> dict[str, Codes]:
    """Sheet -> (row, column), both from 1 -> its format's code, where that is not General. most: cells.

    Nothing where the file is older (BIFF5) or damaged: its numbers are then shown as they are stored.
    """
    try:
        with olefile.OleFileIO(BytesIO(content)) as ole:
            return codes(bytes(ole.openstream("Workbook").read()), most) if ole.exists("Workbook") else {}
    except Exception:  # olefile raises whatever a damaged file leads it to
        return {}


def codes(stream: bytes, most: int) -> dict[str, Codes]:
    """Of the workbook's stream. Raises struct.error, IndexError where it is damaged."""
    own: dict[int, str] = {}
    numbers: list[int] = []
    sheets: dict[str, int] = {}
    for kind, data in _records(stream, 0):
        if kind == _FORMAT:
            number, length, wide = struct.unpack_from("<HHB", data)
            own[number] = _text(data[5:], length, wide)
        elif kind == _XF:
            numbers.append(struct.unpack_from("<H", data, 2)[0])
        elif kind == _SHEET:
            start, length, wide = struct.unpack_from("<IxxBB", data)
            sheets[_text(data[8:], length, wide)] = start
    styles = [own.get(number) or BUILT_IN.get(number, "General") for number in numbers]
    found: dict[str, Codes] = {}
    for name, start in sheets.items():
        found[name] = {}
        for row, column, style in _cells(stream, start):
            if styles[style] != "General":
                found[name][row + 1, column + 1] = styles[style]
                most -= 1
            if most < 0:
                return found
    return found


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Up to the end of a substream."""
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        if kind == _EOF:
            return
        yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length


def _cells(stream: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """(row, column, style), from 0, of the cells with numbers."""
    for kind, data in _records(stream, start):
        if kind in (_NUMBER, _RK, _FORMULA):
            yield struct.unpack_from("<HHH", data)
        elif kind == _MULRK:
            row, first = struct.unpack_from("<HH", data)
            for i in range((len(data) - 6) // 6):
                yield row, first + i, struct.unpack_from("<H", data, 4 + 6 * i)[0]


def _text(data: bytes, length: int, wide: int) -> str:
    return data[: 2 * length].decode("utf-16-le") if wide & 1 else data[:length].decode("latin-1")
