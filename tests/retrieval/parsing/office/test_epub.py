import pytest

from retrieval.parsing import ParseError, parse
from tests.retrieval.parsing.office.made import zipped
from tests.shared import OK, needs_shared

CONTAINER = '<container><rootfiles><rootfile full-path="O/c.opf"/></rootfiles></container>'
BOOK = """<package><metadata><title>책 이름</title></metadata>
<manifest><item id="a" href="a.xhtml"/><item id="b" href="b%20b.xhtml"/>
<item id="x" href="missing.xhtml"/><item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>
<spine><itemref idref="b"/><itemref idref="a"/><itemref idref="x"/></spine></package>"""
CONTENTS = """<ncx><navMap><navPoint><navLabel><text>둘째</text></navLabel>
<content src="b%20b.xhtml#start"/></navPoint></navMap></ncx>"""


def book(**members: str) -> bytes:
    files = {
        "O/a.xhtml": "<html><h1>첫째</h1><p>가.</p></html>",
        "O/b b.xhtml": "<html><p>나.</p></html>",
        "O/toc.ncx": CONTENTS,
    }
    return zipped(
        {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "O/c.opf": BOOK, **files, **members}
    )


def test_chapters_come_in_the_order_of_the_spine_under_their_names() -> None:
    (document,) = parse(book(), "a.epub")
    assert (document.title, document.text) == ("책 이름", "나.\n\n첫째\n\n가.")
    assert [(section.start, section.headings) for section in document.sections] == [(0, ("둘째",)), (4, ("첫째",))]
    assert all(document.text[block.start : block.end] for block in document.blocks)
    assert "O/missing.xhtml" in document.warning


@pytest.mark.parametrize(
    ("method", "refused"), [("http://www.idpf.org/2008/embedding", False), ("http://x/aes256", True)]
)
def test_protected_books_are_told_and_garbled_fonts_are_none(method: str, refused: bool) -> None:
    content = book(**{"META-INF/encryption.xml": f'<e><EncryptionMethod Algorithm="{method}"/></e>'})
    if not refused:
        assert parse(content, "a.epub")
        return
    with pytest.raises(ParseError) as error:
        parse(content, "a.epub")
    assert error.value.code == "encrypted_file"


@needs_shared
def test_a_real_one_in_the_order_of_its_spine() -> None:
    (document,) = parse((OK / "made_two_chapters.epub").read_bytes(), "made_two_chapters.epub")
    assert document.text.index("EPUBA") < document.text.index("EPUBB")
