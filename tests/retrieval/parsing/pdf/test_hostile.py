"""Damaged, locked and hostile PDFs: a code that their owner can act on, never an empty success."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import Limits, ParseError, parse
from tests.retrieval.parsing.pdf.files import HOSTILE, OK, REAL, pdf, said
from tests.retrieval.parsing.sound import read_or_refused

SMALL = pdf(said(72, 700, "A heading", 20, "F2") + said(72, 650, "Some text (in brackets)".replace("(", "\\(")))


def code(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(ParseError) as caught:
        parse(content, "a.pdf", "", limits or Limits())
    return caught.value.code


@REAL
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pypdf_libreoffice-writer-password.pdf", "encrypted_file"),
        ("pypdf_r6-both-passwords.pdf", "encrypted_file"),
        ("made_pages.pdf", "too_large"),
        ("made_loop.pdf", "invalid_file"),
        ("markitdown_random.bin", "invalid_file"),
    ],
)
def test_refused(name: str, expected: str) -> None:
    assert code((HOSTILE / name).read_bytes()) == expected


@REAL
def test_an_empty_password_is_none() -> None:
    assert "pdf encryption test" in parse((HOSTILE / "pypdf_r6-user-password.pdf").read_bytes(), "a.pdf")[0].text


@REAL
@pytest.mark.parametrize("name", ["made_bomb.pdf", "made_formloop.pdf"])
def test_what_kills_pdfium_kills_a_child_alone(name: str) -> None:
    """The limits that the server's child has: PDFium aborts, or there is nothing to read."""
    script = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (20, 20))\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "from retrieval.parsing import ParseError, parse\n"
        "try: print(parse(open(sys.argv[1], 'rb').read(), 'a.pdf'))\n"
        "except ParseError as error: sys.exit(f'refused: {error.code}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(HOSTILE / name)], capture_output=True, timeout=60)
    assert done.returncode != 0, done.stdout


@REAL
def test_a_scan_needs_recognition() -> None:
    found = next(OK.glob("*scan.pdf"))
    assert code(found.read_bytes()) == "needs_ocr"


def test_no_text_and_no_picture_is_empty() -> None:
    assert code(pdf("")) == "empty_file"


def test_limits_hold_while_it_is_read() -> None:
    many = pdf(*[said(72, 700, "word " * 20)] * 5)
    assert code(many, Limits(characters=300)) == "too_large"
    assert code(many, Limits(pages=4)) == "too_large"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=12), st.booleans())
def test_any_damage_gives_documents_or_a_refusal(changes: list[tuple[int, int]], cut: bool) -> None:
    content = bytearray(SMALL)
    for place, value in changes:
        content[place] = value
    read_or_refused(bytes(content[: changes[0][0]]) if cut else bytes(content), "a.pdf")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_mark(tail: bytes) -> None:
    read_or_refused(b"%PDF-1.7\n" + tail, "a.pdf")
