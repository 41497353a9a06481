import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.sheets.workbook import DOCS, zipped
from tests.retrieval.parsing.sound import read_or_refused, sound

REAL = pytest.mark.skipif(not DOCS.is_dir(), reason="the shared documents are not here")
PARAGRAPH = "http://www.hancom.co.kr/hwpml/2011/paragraph"
SECTION = "http://www.hancom.co.kr/hwpml/2011/section"


def read(content: bytes, filename: str) -> ParsedDocument:
    (document,) = parse(content, filename)
    sound([document])
    return document


def hwpx(body: str, more: dict[str, str | bytes] | None = None) -> bytes:
    section = f'<hs:sec xmlns:hs="{SECTION}" xmlns:hp="{PARAGRAPH}">{body}</hs:sec>'
    return zipped({"mimetype": "application/hwp+zip", "Contents/section0.xml": section} | (more or {}))


def line(text: str) -> str:
    return f"<hp:p><hp:run><hp:t>{text}</hp:t></hp:run></hp:p>"


@REAL
@pytest.mark.parametrize(
    ("filename", "phrase", "kind"),
    [
        ("pyhwp_lists.hwp", "문단번호 두 번째 (번호 이어짐)", "prose"),
        ("hwpxlib_notice.hwpx", "서류전형과 면접전형 절차를 반드시 거치도록 개선", "prose"),
        ("hwpxlib_standard_table.hwpx", "대중교통환승센터", "prose"),
        ("hwpxlib_Table.hwpx", "팔푼이", "row"),
        ("hwpxlib_ParaHead.hwpx", "번호-4-1-1-2", "item"),
        ("hwplib_distribution.hwp", "시설관리원 용역업체 선정 입찰공고", "prose"),
        ("hwplib_merging-cell.hwp", "3,5", "row"),
        ("made_hwpml.hwp", "HMLCELL 9억원", "row"),
    ],
)
def test_real_documents_give_their_text(filename: str, phrase: str, kind: str) -> None:
    document = read((DOCS / "ok" / filename).read_bytes(), filename)
    at = document.text.index(phrase)
    assert [block.kind for block in document.blocks if block.start <= at < block.end] == [kind]


@REAL
def test_a_table_has_its_header_and_outlines_are_sections() -> None:
    table = read((DOCS / "ok" / "hwpxlib_Table.hwpx").read_bytes(), "a.hwpx")
    row = next(block for block in table.blocks if block.kind == "row")
    assert (table.text[row.start : row.end], row.context) == ("개똥이 | 89 | 65 | 78", "이름 | 국어 | 영어 | 수학")
    outlines = read((DOCS / "ok" / "hwpxlib_ParaHead.hwpx").read_bytes(), "a.hwpx")
    assert outlines.sections[-1].headings == ("개요2", "개요2-1", "개요2-1-1")


@REAL
@pytest.mark.parametrize(
    ("filename", "code"),
    [("made_bomb.hwp", "too_large"), ("made_lol_hml.hwp", "invalid_file"), ("made_xxe.hwpx", "invalid_file")],
)
def test_hostile_documents_are_refused(filename: str, code: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse((DOCS / "hostile" / filename).read_bytes(), filename)
    assert raised.value.code == code


def test_a_header_of_pages_stands_once_at_the_end() -> None:
    header = f"<hp:ctrl><hp:header><hp:subList>{line('대외비')}</hp:subList></hp:header></hp:ctrl>"
    body = f"<hp:p><hp:run>{header}<hp:t>본문</hp:t></hp:run></hp:p>" + f"<hp:p><hp:run>{header}</hp:run></hp:p>"
    assert read(hwpx(body + line("끝")), "a.hwpx").text == "본문\n\n끝\n\n대외비"


def test_a_title_is_believed_where_the_text_has_it() -> None:
    def titled(title: str) -> str:
        manifest = (
            f'<opf:package xmlns:opf="http://www.idpf.org/2007/opf/"><opf:title>{title}</opf:title></opf:package>'
        )
        return read(hwpx(line("모집 공고 안내"), {"Contents/content.hpf": manifest}), "파일.hwpx").title

    assert titled("모집 공고") == "모집 공고"
    assert titled("지난해 양식") == "파일"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (hwpx(""), "empty_file"),
        (hwpx(line("x"), {"META-INF/manifest.xml": "<m><odf:encryption-data/></m>"}), "encrypted_file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "invalid_file"),
        (b"HWP Document File V3.00 \x1a", "unsupported_file"),
        (b"no document", "invalid_file"),
        ("<!DOCTYPE HWPML><HWPML><BODY/></HWPML>".encode("utf-16"), "invalid_file"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_code(content: bytes, code: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(content, "a.hwp")
    assert raised.value.code == code


@REAL
def test_a_password_has_its_own_code() -> None:
    content = bytearray((DOCS / "ok" / "pyhwp_lists.hwp").read_bytes())
    at = content.index(b"HWP Document File") + 36
    struct.pack_into("<I", content, at, struct.unpack_from("<I", content, at)[0] | 2)
    with pytest.raises(ParseError) as raised:
        parse(bytes(content), "a.hwp")
    assert raised.value.code == "encrypted_file"


SEED = hwpx(line("가나다") + line("라마바"))


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_any_mutation_of_hwpx_gives_a_document_or_a_parse_error(random: random.Random, changes: int) -> None:
    mutated(SEED, "a.hwpx", random, changes)


@REAL
@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["pyhwp_lists.hwp", "made_hwpml.hwp"]), st.randoms(use_true_random=False), st.integers(1, 30))
def test_any_mutation_of_real_documents_too(filename: str, random: random.Random, changes: int) -> None:
    mutated((DOCS / "ok" / filename).read_bytes(), filename, random, changes)


def mutated(content: bytes, filename: str, random: random.Random, changes: int) -> None:
    changed = bytearray(content)
    for _ in range(changes):
        changed[random.randrange(len(changed))] = random.randrange(256)
    read_or_refused(bytes(changed), filename)
