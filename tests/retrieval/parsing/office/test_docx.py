import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.office.made import cell, docx, paragraph, table, zipped
from tests.retrieval.parsing.sound import read_or_refused, sound
from tests.shared import HOSTILE, OK, needs_shared

STYLES = """<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="own"><w:name w:val="내 제목"/><w:basedOn w:val="1"/></w:style>
<w:style w:type="paragraph" w:styleId="ko"><w:name w:val="제목 2"/></w:style>
<w:style w:type="paragraph" w:styleId="toc"><w:name w:val="toc 1"/></w:style>
<w:style w:type="paragraph" w:styleId="cap"><w:name w:val="caption"/></w:style>"""
NUMBERING = """<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/>
<w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="ganada"/><w:lvlText w:val="%2)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1">
<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>"""


def read(content: bytes) -> ParsedDocument:
    (document,) = parse(content, "a.docx")
    sound([document])
    return document


def listed(number: int, level: int = 0) -> str:
    return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'


def styled(name: str) -> str:
    return f'<w:pStyle w:val="{name}"/>'


def test_headings_are_known_by_their_styles_and_levels() -> None:
    body = (
        paragraph("One", styled("own"))
        + paragraph("둘", styled("ko"))
        + paragraph("Three", '<w:outlineLvl w:val="2"/>')
    )
    document = read(docx(body + paragraph("Text."), styles=STYLES))
    assert document.title == "One"
    assert document.sections[-1].headings == ("One", "둘", "Three")


def test_a_list_counts_as_its_reader_does() -> None:
    items = [
        ("First", 1, 0),
        ("Below", 1, 1),
        ("Below too", 1, 1),
        ("Second", 1, 0),
        ("Below again", 1, 1),
        ("Point", 2, 0),
    ]
    body = paragraph("Do this:") + "".join(paragraph(text, listed(number, level)) for text, number, level in items)
    document = read(docx(body, numbering=NUMBERING))
    lines = document.text.splitlines()[2:]
    assert lines == ["1. First", "  가) Below", "  나) Below too", "2. Second", "  가) Below again", "- Point"]
    assert {block.context for block in document.blocks if block.kind == "item"} == {"Do this:"}


def test_tables_have_headers_and_merged_cells_are_repeated_down() -> None:
    look = '<w:tblLook w:firstRow="1"/>'
    rows = (
        cell("품목") + cell("가격"),
        cell("사과", '<w:vMerge w:val="restart"/>') + cell("1,000원"),
        cell("", "<w:vMerge/>") + cell("900원 | 할인"),
        cell("합계", '<w:gridSpan w:val="2"/>'),
    )
    document = read(docx(table(*rows, properties=look)))
    assert document.text.splitlines() == ["품목 | 가격", "사과 | 1,000원", "사과 | 900원 \\| 할인", "합계"]
    assert [(block.kind, block.context) for block in document.blocks][:2] == [("header", ""), ("row", "품목 | 가격")]


def test_a_table_in_a_cell_is_told_in_it_and_a_frame_is_none() -> None:
    inner = table(cell("a") + cell("b"), cell("c") + cell("d"))
    outer = table(f"<w:tc>{paragraph('Outer')}{inner}</w:tc>" + cell("x"), cell("y") + cell("z"))
    assert read(docx(outer)).text == "Outer a, b; c, d | x\ny | z"
    assert read(docx(table(cell("Only text.")))).text == "Only text."


def test_changes_are_accepted_and_what_is_hidden_stays_hidden() -> None:
    body = """<w:p><w:ins><w:r><w:t>new </w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>
    <w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r>
    <w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>
    <w:r><w:t>field</w:t></w:r>
    <w:hyperlink><w:r><w:t> link</w:t></w:r></w:hyperlink>
    <w:r><w:noBreakHyphen/><w:softHyphen/><w:tab/><w:t>end</w:t></w:r></w:p>"""
    assert read(docx(body + paragraph("Contents 1", styled("toc")), styles=STYLES)).text == "new field link- end"


def test_notes_and_comments_follow_what_they_hang_on() -> None:
    body = """<w:p><w:r><w:t>Said.</w:t><w:footnoteReference w:id="2"/></w:r>
    <w:r><w:commentReference w:id="0"/></w:r></w:p>"""
    footnotes = '<w:footnote w:type="separator" w:id="1"><w:p/></w:footnote><w:footnote w:id="2">' + paragraph(
        "A note."
    )
    comments = f'<w:comment w:id="0">{paragraph("A doubt.")}</w:comment>'
    document = read(docx(body + paragraph("Next."), footnotes=footnotes + "</w:footnote>", comments=comments))
    assert document.text == "Said.\n\nA note.\n\nA doubt.\n\nNext."
    assert [block.kind for block in document.blocks] == ["prose", "footnote", "comment", "prose"]


def test_equations_read_on_one_line() -> None:
    half = "<m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>a+b</m:t></m:r></m:den></m:f>"
    power = "<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
    root = f"<m:rad><m:deg/><m:e>{power}</m:e></m:rad>"
    assert read(docx(f"<w:p><m:oMath>{half}{root}</m:oMath></w:p>")).text == "1/(a+b)sqrt(x^2)"


def test_headers_and_footers_are_said_once_and_page_numbers_not() -> None:
    document = read(docx(paragraph("Body."), header=paragraph("회사 이름"), footer=paragraph("- 3 / 12 -")))
    assert document.text == "Body.\n\n회사 이름"


@pytest.mark.parametrize("members", [{}, {"word/document.xml": "<a"}, {"word/document.xml": "<!DOCTYPE a><a/>"}])
def test_a_damaged_document_is_refused(members: dict[str, str]) -> None:
    with pytest.raises(ParseError) as refused:
        parse(zipped({"[Content_Types].xml": "wordprocessingml", **members}), "a.docx")
    assert refused.value.code == "invalid_file"


@settings(max_examples=120, deadline=None)
@given(
    st.recursive(
        st.sampled_from([paragraph("text"), paragraph("", listed(1)), "<w:p/>", "<w:r/>", "<w:sectPr/>"]),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda parts: table("".join(f"<w:tc>{part}</w:tc>" for part in parts)))
            | st.lists(inner, max_size=3).map(
                lambda parts: f"<w:sdt><w:sdtContent>{''.join(parts)}</w:sdtContent></w:sdt>"
            )
        ),
        max_leaves=12,
    )
)
def test_any_structure_is_read_or_empty(body: str) -> None:
    read_or_refused(docx(body, numbering=NUMBERING), "a.docx", "empty_file")


@needs_shared
@pytest.mark.parametrize("name", ["made_features.docx", "markitdown_test.docx", "markitdown_equations.docx"])
def test_any_damage_to_a_real_file_is_read_or_refused(name: str) -> None:
    content = (OK / name).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 60)):
        broken = content[:at] + bytes([content[at] ^ 0x5A]) + content[at + 1 :]
        read_or_refused(broken, name)


@needs_shared
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("made_bomb.docx", "too_large"),
        ("made_deeptbl.docx", "invalid_file"),
        ("made_lol.docx", "invalid_file"),
        ("made_xxe.docx", "invalid_file"),
        ("poi_ExternalEntityInText.docx", "invalid_file"),
    ],
)
def test_hostile_documents_are_refused(name: str, code: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse((HOSTILE / name).read_bytes(), name)
    assert refused.value.code == code
