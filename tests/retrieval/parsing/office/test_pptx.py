from retrieval.parsing import parse
from tests.retrieval.parsing.office.made import NAMES, line, pptx, relations, shape
from tests.shared import HOSTILE, OK, needs_shared


def test_a_slide_is_read_as_eyes_go_over_it() -> None:
    shapes = (
        shape("아래", at=(0, 5_000_000))
        + shape("오른쪽", at=(4_000_000, 1_000_000))
        + shape("왼쪽", at=(0, 1_100_000))
        + shape("제목", "title")
        + shape("12", "sldNum")
        + shape("하나|둘", "body")
    )
    (document,) = parse(pptx(shapes, shape("Second", "ctrTitle")), "a.pptx")
    assert document.text == "제목\n\n- 하나\n- 둘\n\n왼쪽\n\n오른쪽\n\n아래\n\nSecond"
    assert [region.slide for region in document.regions] == [1, 1, 1, 1, 1, 1, 2]
    assert [section.headings for section in document.sections] == [("제목",), ("Second",)]


def test_groups_tables_charts_notes_and_comments_are_read() -> None:
    rows = "".join(
        f"<a:tr>{''.join(f'<a:tc><a:txBody>{line(text)}</a:txBody></a:tc>' for text in row)}</a:tr>"
        for row in (("분기", "매출"), ("1", "10억"))
    )
    frame = f'<p:graphicFrame><a:graphic><a:tbl><a:tblPr firstRow="1"/>{rows}</a:tbl></a:graphic></p:graphicFrame>'
    chart = '<p:graphicFrame><a:graphic><c:chart r:id="c1"/></a:graphic></p:graphicFrame>'
    group = f"<p:grpSp>{shape('안쪽')}</p:grpSp>"
    points = '<c:pt idx="0"><c:v>{}</c:v></c:pt><c:pt idx="1"><c:v>{}</c:v></c:pt>'
    series = (
        '<c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>서울</c:v></c:pt></c:strCache></c:strRef></c:tx>'
        f"<c:cat>{points.format('봄', '가을')}</c:cat><c:val>{points.format(3, 5)}</c:val></c:ser>"
    )
    parts = {
        "ppt/slides/_rels/slide0.xml.rels": relations(
            c1="chart ../charts/c.xml", n="notesSlide ../n.xml", k="comments ../k.xml"
        ),
        "ppt/charts/c.xml": f"<c:chartSpace {NAMES}>{series}</c:chartSpace>",
        "ppt/n.xml": f"<p:notes {NAMES}>{shape('발표자 노트', 'body')}{shape('7', 'sldNum')}</p:notes>",
        "ppt/k.xml": f"<p:cmLst {NAMES}><p:cm><p:text>의견</p:text></p:cm></p:cmLst>",
    }
    (document,) = parse(pptx(group + frame + chart, **parts), "a.pptx")
    assert document.text == "안쪽\n\n분기 | 매출\n1 | 10억\n\n| 서울\n봄 | 3\n가을 | 5\n\n발표자 노트\n\n의견".replace(
        "\n\n| 서울", "\n\n | 서울"
    )
    assert [block.kind for block in document.blocks][-2:] == ["note", "comment"]


def test_a_slide_that_cannot_be_read_is_a_warning() -> None:
    broken = {"ppt/slides/slide0.xml": "<p:sld"}
    (document,) = parse(pptx(shape("a"), shape("Second", "title"), **broken), "a.pptx")
    assert (document.text, document.warning.partition(":")[0]) == ("Second", "slide 1 could not be read")


@needs_shared
def test_real_slides() -> None:
    for name, phrase in [
        ("made_features.pptx", "NOTES 발표자노트"),
        ("poi_with_japanese.pptx", "Suddenly some Japanese text"),
    ]:
        (document,) = parse((OK / name).read_bytes(), name)
        assert phrase in document.text
    (document,) = parse((HOSTILE / "made_xxe.pptx").read_bytes(), "made_xxe.pptx")
    assert "declares a DTD" in document.warning
