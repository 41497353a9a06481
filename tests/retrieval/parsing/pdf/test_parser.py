import json
from itertools import pairwise

import pytest

from retrieval.parsing import parse
from retrieval.places import place_of
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.pdf.files import OK, REAL, SHARED, pdf, said


def read(
    *pages: str, root: str = "", page: str = "", info: dict[str, str] | None = None, objects: tuple[str, ...] = ()
) -> ParsedDocument:
    return parse(pdf(*pages, root=root, page=page, info=info, objects=objects), "a_file.pdf")[0]


def kinds(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def wrapped(x: float, y: float, lines: list[str], size: float = 10) -> str:
    return "".join(said(x, y - 12 * number, line, size) for number, line in enumerate(lines))


LEFT = [
    "The left column begins here and it",
    "goes on for some lines of its own that",
    "are all about as wide as it is, and",
    "then it comes to its end at the foot.",
]
RIGHT = [
    "The right column is read after it and",
    "never between two lines of the other,",
    "however its lines stand beside those,",
    "which is what a reader does as well.",
]


@REAL
@pytest.mark.parametrize(
    "name", [path.name for path in sorted(OK.glob("*.pdf")) if "scan" not in path.name] or ["none"]
)
def test_real_files_hold_what_they_are_known_to_hold(name: str) -> None:
    expected = json.loads((SHARED / "data/docs/expected_phrases.json").read_text())[name]
    document = parse((OK / name).read_bytes(), name)[0]
    assert "".join(expected.split()) in "".join(document.text.split())
    assert all(one.end <= other.start for one, other in pairwise(document.regions))
    assert all(0 <= block.start < block.end <= len(document.text) for block in document.blocks)
    at = document.text.find(expected)
    assert at < 0 or place_of(document.regions, at, at + len(expected)).pages[0].boxes


def test_columns_drawn_row_by_row_are_read_one_after_the_other() -> None:
    rows = "".join(
        said(60, 600 - 12 * n, left) + said(320, 600 - 12 * n, right)
        for n, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True))
    )
    document = read(said(60, 700, "A title across both of the columns of this page", 18, "F2") + rows)
    text = document.text
    assert " ".join(LEFT) in text
    assert " ".join(RIGHT) in text
    assert text.index("title") < text.index("left column") < text.index("its end") < text.index("right column")
    assert document.title.startswith("A title across")


def test_paragraphs_are_joined_and_hyphens_at_line_ends_taken_out() -> None:
    document = read(
        wrapped(60, 700, ["This is a hard wrapped para-", "graph with a well known end."])
        + wrapped(60, 650, ["Another one."])
    )
    assert [text for _, text in kinds(document)] == [
        "This is a hard wrapped paragraph with a well known end.",
        "Another one.",
    ]
    assert len(place_of(document.regions, 0, 40).pages[0].boxes) == 2


def test_headings_items_captions_and_footnotes() -> None:
    document = read(
        said(60, 740, "Chapter one", 20, "F2") + said(60, 700, "Section", 14, "F2")
        + wrapped(60, 670, ["Some text that is the body of this page and gives its size,", "so that larger ones"])
        + said(60, 646, "are headings.")
        + said(60, 620, "- first item") + said(60, 608, "- second item") + said(60, 560, "Figure 1: A picture.")
        + said(60, 100, "1 A note in small type at the foot.", 7)
    )  # fmt: skip
    assert kinds(document)[:3] == [
        ("heading", "Chapter one"), ("heading", "Section"),
        ("prose", "Some text that is the body of this page and gives its size, so that larger ones are headings."),
    ]  # fmt: skip
    assert [kind for kind, _ in kinds(document)[3:]] == ["item", "item", "caption", "footnote"]
    assert document.sections[-1].headings == ("Chapter one", "Section")
    assert document.blocks[3].context.startswith("Some text")


def test_a_table_is_rows_with_a_header() -> None:
    lines = [("Item", "Count", "Price"), ("Pens", "12", "3.50"), ("Paper", "5", "12.00"), ("Ink", "1", "30.25")]
    document = read(
        "".join(
            said(x, 700 - 15 * n, cell)
            for n, line in enumerate(lines)
            for x, cell in zip((60, 200, 320), line, strict=True)
        )
    )
    assert kinds(document) == [
        ("header", "Item | Count | Price"),
        ("row", "Pens | 12 | 3.50"),
        ("row", "Paper | 5 | 12.00"),
        ("row", "Ink | 1 | 30.25"),
    ]
    assert document.blocks[1].context == "Item | Count | Price"
    price = document.text.index("12.00")
    assert 319 < place_of(document.regions, price, price + 5).pages[0].boxes[0].x0 < 323


def test_headers_once_and_page_numbers_never() -> None:
    pages = [
        said(60, 770, "The Yearly Report") + wrapped(60, 600, [f"Text of page {word}."]) + said(300, 30, f"{n} / 4")
        for n, word in enumerate(("one", "two", "three", "four"), 1)
    ]
    document = read(*pages)
    assert document.text.count("The Yearly Report") == 1
    assert "/ 4" not in document.text
    at = document.text.index("page four")
    assert place_of(document.regions, at, at + 9).pages[0].page == 4


def test_title_date_fields_comments_and_outline() -> None:
    fields = (
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /TU (Full name) /V (Jane Doe) "
        "/Rect [60 500 200 520] /F 4 >>",
        "<< /Type /Annot /Subtype /Text /Contents (Check this) /Rect [60 400 80 420] >>",
        "<< /Type /Annot /Subtype /Text /Contents (Hidden one) /Rect [60 300 80 320] /F 2 >>",
        "<< /Type /Outlines /First 14 0 R /Last 14 0 R /Count 1 >>",
        "<< /Title (Plain words) /Parent 13 0 R /Dest [15 0 R /Fit] >>",
    )
    document = read(
        said(60, 700, "Plain words") + wrapped(60, 660, ["Text below it, of the same size."]),
        root="/AcroForm << /Fields [10 0 R] >> /Outlines 13 0 R", page="/Annots [10 0 R 11 0 R 12 0 R]", objects=fields,
        info={"Title": "The real title", "ModDate": "D:20260102030405+09'00'"},
    )  # fmt: skip
    assert document.title == "The real title"
    assert document.attributes == {"updated_at": "2026-01-02T03:04:05+09:00"}
    assert kinds(document) == [
        ("heading", "Plain words"), ("prose", "Text below it, of the same size."),
        ("prose", "Full name: Jane Doe"), ("comment", "Check this"),
    ]  # fmt: skip
    assert "Microsoft" not in read(said(60, 700, "x y"), info={"Title": "Microsoft Word - draft.doc"}).title
