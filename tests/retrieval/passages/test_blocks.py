"""What passages keep of their document's parts."""

from hypothesis import given
from hypothesis import strategies as st

from models.base import Block
from models.quoting.sentences import units
from models.quoting.structure import blocks as shown
from retrieval.parsing import parse
from retrieval.passages.blocks import of_document, within
from retrieval.types import ParsedDocument

TABLE = "# Plans\n\n| Plan | Month |\n|---|---|\n| Hobby | $0 |\n| Pro | $19 |\n"


def cut(document: ParsedDocument, start: int, end: int) -> list[tuple[str, str, str]]:
    text = document.text[start:end]
    own = within(of_document(document), text, start, end) or tuple(shown(text))
    return [(block.kind, text[block.start : block.end], block.context) for block in own]


def test_a_row_that_was_cut_from_its_header_keeps_it() -> None:
    document = parse(TABLE.encode(), "a.md")[0]
    start = document.text.index("| Pro")
    assert cut(document, start, len(document.text)) == [("row", "| Pro | $19 |", "| Plan | Month |")]


def test_code_that_was_cut_is_code_and_an_item_keeps_what_introduces_it() -> None:
    document = parse(b"Do this:\n\n1. One step.\n2. Two steps.\n\n```sh\nfirst\n\nsecond\n```\n", "a.md")[0]
    start = document.text.index("second")
    assert cut(document, start, start + 6) == [("code", "second", "")]
    start = document.text.index("2.")
    assert cut(document, start, start + 13) == [("item", "2. Two steps.", "Do this:")]


def test_nothing_is_kept_where_the_passage_shows_it_itself() -> None:
    document = parse(TABLE.encode(), "a.md")[0]
    assert within(of_document(document), document.text, 0, len(document.text)) == ()


def test_a_page_tells_headings_tables_and_code_apart() -> None:
    page = (
        b"<h1>Plans</h1><p>We build.</p><h2>Prices</h2><table><tr><th>Plan</th><th>Month</th></tr>"
        b"<tr><td>Pro</td><td>$19</td></tr></table><h3>Install</h3><pre>pip install x\n\ny = 1</pre>"
    )
    document = parse(page, "a.html")[0]
    assert cut(document, 0, len(document.text)) == [
        ("heading", "Plans", ""),
        ("prose", "We build.", ""),
        ("heading", "Prices", "Plans"),
        ("header", "Plan | Month", ""),
        ("row", "Pro | $19", "Plan | Month"),
        ("heading", "Install", "Plans > Prices"),
        ("code", "pip install x\n\ny = 1", ""),
    ]


def test_a_row_of_an_faq_knows_its_question_and_its_answer() -> None:
    rows = '질문,답변,note\n어떻게 하나요?,"1. 엽니다.\n2. 닫습니다.",none\n'
    document = parse(rows.encode(), "faq.csv")[0]
    known = within(of_document(document), document.text, 0, len(document.text))
    kinds = [(block.kind, document.text[block.start : block.end]) for block in known]
    assert ("question", "어떻게 하나요?") in kinds
    assert ("answer", "1. 엽니다.\n2. 닫습니다.") in kinds
    assert [unit.text for unit in units(document.text, known)] == ["1. 엽니다.", "2. 닫습니다."]


@given(st.text("가다. a1|\n#-`:", min_size=1, max_size=80), st.floats(0, 1), st.integers(1, 80))
def test_blocks_of_any_cut_lie_within_it(text: str, place: float, length: int) -> None:
    start = int(place * (len(text) - 1))
    end = min(start + length, len(text))
    asks = (Block("question", 0, 2),) if len(text) > 2 else ()
    found = within(of_document(ParsedDocument(text, blocks=asks)), text[start:end], start, end)
    assert all(0 <= block.start < block.end <= end - start for block in found)
    assert list(found) == sorted(found, key=lambda block: block.start)
