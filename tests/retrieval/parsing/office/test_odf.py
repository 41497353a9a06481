import pytest

from retrieval.parsing import ParseError, parse
from tests.retrieval.parsing.office.made import zipped
from tests.shared import OK, needs_shared

NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "drawing", "meta")
)


def odf(kind: str, body: str, **members: str) -> bytes:
    content = (
        f"<office:document-content {NAMES}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>"
    )
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content, **members})


def test_text_with_lists_tables_notes_and_comments() -> None:
    body = """<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
    <text:h text:outline-level="2">제목</text:h>
    <text:p>One<text:s text:c="2"/>two<text:note>
<text:note-body><text:p>A note.</text:p></text:note-body></text:note></text:p>
    <text:list><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p></text:list-item></text:list>
    </text:list-item></text:list>
    <table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>이름</text:p></table:table-cell>
    <table:table-cell table:number-columns-repeated="2"><text:p>값</text:p></table:table-cell></table:table-row>
    </table:table-header-rows><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table>"""
    (document,) = parse(odf("text", body), "a.odt")
    assert document.text == "제목\n\nOne  two\n\nA note.\n\n- a\n  - b\n이름 | 값 | 값\nx"
    assert [block.kind for block in document.blocks] == [
        "heading",
        "prose",
        "footnote",
        "item",
        "item",
        "header",
        "row",
    ]


def test_sheets_know_their_cells_and_a_sparse_one_costs_nothing() -> None:
    rows = """<table:table table:name="표1"><table:table-row table:number-rows-repeated="1000000"><table:table-cell
    table:number-columns-repeated="16000"/></table:table-row><table:table-row><table:table-cell/><table:table-cell><text:p>
    끝</text:p></table:table-cell></table:table-row></table:table>"""
    (document,) = parse(odf("spreadsheet", rows), "a.ods")
    assert document.text == "표1\n\n | 끝"
    assert (document.regions[-1].sheet, document.regions[-1].cells) == ("표1", "B1000001")


def test_an_encrypted_one_is_told() -> None:
    manifest = {"META-INF/manifest.xml": "<manifest:encryption-data/>"}
    with pytest.raises(ParseError) as refused:
        parse(odf("text", "", **manifest), "a.odt")
    assert refused.value.code == "encrypted_file"


@needs_shared
def test_a_real_one() -> None:
    (document,) = parse((OK / "made_table.odt").read_bytes(), "made_table.odt")
    assert "ODTCELL" in document.text
