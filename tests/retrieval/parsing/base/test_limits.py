"""A file that holds too much is refused before it is all in memory: small limits, and inputs far over them."""

import csv
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import pytest

from retrieval.parsing import Limits, ParseError, parse

SIZE = 2_000_000  # bytes of each input
LIMITS = Limits(bytes=2 * SIZE, characters=50_000, rows=500, cells=100, line=10_000, tokens=2000, lines=1000, pages=500)
WIDE = replace(LIMITS, rows=SIZE, line=2 * SIZE)
HEADER = ",".join(f"{'column' * 50} {i}" for i in range(90))
INNER = ",".join(f'"{i}":0' for i in range(20_000))


def filled(unit: str, head: str = "") -> bytes:
    return (head + unit * (SIZE // len(unit))).encode()


TOO_LARGE = {
    "a long text": ("a.txt", filled("x"), LIMITS),
    "pages": ("a.txt", filled("a\f"), replace(LIMITS, characters=SIZE)),
    "a long line of Markdown": ("a.md", filled("x"), LIMITS),
    "headings": ("a.md", filled("#\n"), replace(LIMITS, characters=SIZE)),
    "tags": ("a.html", filled("<b>"), LIMITS),
    "rows of HTML": ("a.html", filled("<tr><td>a<td>b"), LIMITS),
    "a long page": ("a.html", filled("x"), LIMITS),
    "items with their marks": ("a.html", ("<ul>" * 4 + "<li>a" * 8000).encode(), replace(LIMITS, tokens=20_000)),
    "short rows": ("a.csv", filled("a\n"), LIMITS),
    "quoted rows": ("a.csv", filled('"a","b"\n'), LIMITS),
    "long rows": ("a.csv", filled("some text, and some more\n"), WIDE),
    "many cells": ("a.csv", filled(",", "a\nb"), LIMITS),
    "many quoted cells": ("a.csv", filled('"a",', "a\n"), LIMITS),
    "a long header over short rows": ("a.csv", filled("1," * 89 + "1\n", f"{HEADER}\n"), WIDE),
    "objects": ("a.jsonl", filled('{"text": "a"}\n'), LIMITS),
    "long objects": ("a.jsonl", filled('{"text": "some text, and some more"}\n'), WIDE),
    "empty lists": ("a.jsonl", filled("[],", '{"a": [') + b"1]}", LIMITS),
    "a long key over many": ("a.jsonl", f'{{"{"k" * 100_000}": {{{INNER}}}}}'.encode(), WIDE),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_is_refused_within_a_few_times_its_own_size(name: str) -> None:
    filename, content, limits = TOO_LARGE[name]
    parse(b'{"text": "warm"}', filename)  # what is imported late is not counted
    tracemalloc.start()
    try:
        with pytest.raises(ParseError) as refused:
            parse(content, filename, limits=limits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "too_large"
    assert "more than" in refused.value.message
    assert peak < 3 * len(content) + 6_000_000


@pytest.mark.parametrize("filename", ["a.txt", "a.md", "a.html", "a.csv", "a.jsonl"])
def test_a_file_of_too_many_bytes_is_not_even_decoded(filename: str) -> None:
    content = filled("x") * 3
    tracemalloc.start()
    try:
        with pytest.raises(ParseError, match="bytes") as refused:
            parse(content, filename, limits=LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "too_large"
    assert peak < 100_000


@pytest.mark.parametrize(
    ("filename", "content", "limits"),
    [
        ("a.txt", b"x\f" * 10, Limits(bytes=20, characters=20, pages=11)),
        ("a.md", b"# x\n" * 10, Limits(bytes=40, characters=40, lines=11)),
        ("a.html", b"<b>xx" * 10, Limits(bytes=50, characters=20, tokens=20)),
        ("a.csv", b"a,b\n" * 10, Limits(bytes=40, characters=30, rows=10, cells=2)),
        ("a.jsonl", b'{"text":"a"}\n' * 10, Limits(bytes=130, characters=10, rows=10, line=12)),
    ],
)
def test_what_just_fits_is_read(filename: str, content: bytes, limits: Limits) -> None:
    assert parse(content, filename, limits=limits)


@pytest.mark.parametrize("filename", ["a.jsonl", "a.html", "a.md", "a.csv", "a.txt"])
@pytest.mark.parametrize("unit", ['{"a":', "[", "<div>", "> ", "- ", '"'])
def test_what_is_nested_deeply_is_read_or_refused(filename: str, unit: str) -> None:
    content = ("text\n" + unit * 50_000).encode()
    with suppress(ParseError):
        assert parse(content, filename)


def test_no_setting_of_the_process_is_needed_or_changed() -> None:
    before = csv.field_size_limit(10)
    try:
        (document,) = parse(b"title,text\nt," + b"word " * 100_000, "a.csv")
        assert len(document.text) > 400_000
        assert csv.field_size_limit() == 10
    finally:
        csv.field_size_limit(before)
