import struct

from retrieval.parsing.sheets.biff import codes, formats


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def stream() -> bytes:
    code = '#,##0"원"'
    own = struct.pack("<HHB", 170, len(code), 1) + code.encode("utf-16-le")
    styles = b"".join(record(0xE0, struct.pack("<HH", 0, number)) for number in (0, 10, 170))
    name = b"\x05\x00Sheet"
    head = record(0x41E, own) + styles
    start = len(head) + 4 + 6 + len(name) + 4
    listed = record(0x85, struct.pack("<IH", start, 0) + name) + record(0x0A, b"")
    cells = (
        record(0x203, struct.pack("<HHHd", 0, 0, 1, 0.153))
        + record(0xBD, struct.pack("<HH", 1, 2) + struct.pack("<HI", 2, 0) + struct.pack("<HI", 0, 0) + b"\x03\x00")
        + record(0x0A, b"")
    )
    return head + listed + cells


def test_every_number_has_the_format_of_its_style() -> None:
    assert codes(stream(), 100) == {"Sheet": {(1, 1): "0.00%", (2, 3): '#,##0"원"'}}


def test_cells_are_limited_and_damage_gives_none() -> None:
    assert len(codes(stream(), 0)["Sheet"]) == 1
    assert formats(b"no container", 100) == {}
