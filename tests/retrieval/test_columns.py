import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.columns import ROLES, own_columns, plain, role, roles
from retrieval.parsing import Limits, parse
from retrieval.sandbox.pool import Pool
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.sheets.workbook import rows, workbook

OWN = {"question": ["증상"], "answer": ["해결책", "조치 사항"], "category": ["업무"], "updated": ["바꾼 날"]}
HEADER, ROW = ["증상", "해결책", "업무", "바꾼 날"], ["화면이 꺼져요", "다시 켜세요.", "PC", "2026. 11. 2."]
LIMITS = Limits(columns=own_columns(OWN))
FILES = {
    "faq.csv": "\n".join(",".join(line) for line in (HEADER, ROW)).encode(),
    "faq.tsv": "\n".join("\t".join(line) for line in (HEADER, ROW)).encode("cp949"),
    "faq.jsonl": json.dumps(dict(zip(HEADER, ROW, strict=True))).encode(),
    "faq.xlsx": workbook({"FAQ": rows(HEADER, ROW)}),
}


def said(document: ParsedDocument) -> tuple[str, str, object, list[str]]:
    return document.title, document.text, document.attributes, [block.kind for block in document.blocks]


EXPECTED = (
    "화면이 꺼져요",
    "화면이 꺼져요\n다시 켜세요.",
    {"category": "PC", "updated_at": "2026. 11. 2."},
    ["question", "answer"],
)


@pytest.mark.parametrize("name", FILES)
def test_an_owners_columns_mean_what_he_says_in_every_format(name: str) -> None:
    (document,) = parse(FILES[name], name, "", LIMITS)
    assert said(document) == EXPECTED


async def test_a_child_is_told_of_them() -> None:
    pool = Pool(1, limits=LIMITS)
    try:
        for name, content in FILES.items():
            (document,) = await pool.parse(content, name)
            assert said(document) == EXPECTED
    finally:
        await pool.aclose()


def test_they_go_before_the_usual_names_of_their_role() -> None:
    row = {"answer": "old", "질문": "왜?", "해결책": "그래서"}
    (document,) = parse(json.dumps(row).encode(), "a.jsonl", "", LIMITS)
    assert (document.text, document.attributes) == ("왜?\n그래서", {"answer": "old"})


def test_a_usual_name_may_mean_something_else() -> None:
    limits = Limits(columns=own_columns({"text": ["title"]}))
    (document,) = parse(b'{"title": "the text"}', "a.jsonl", "", limits)
    assert (document.title, document.text) == ("", "the text")


@pytest.mark.parametrize("name", ["수정일", "Last Updated", "updated_at"])
def test_a_day_of_change_is_the_documents_and_other_words_are_not(name: str) -> None:
    source = "\n".join(json.dumps({"text": "글", name: value}) for value in ("2026-01-02", "어제"))
    dated, other = parse(source.encode(), "a.jsonl")
    assert dated.attributes == {"updated_at": "2026-01-02"}
    assert other.attributes == {name: "어제"}


@pytest.mark.parametrize(
    ("given_names", "says"),
    [
        ({"anser": ["x"]}, "did you mean answer?"),
        ({"answer": ["x", "  "]}, "a name for 'answer' is blank"),
        ({"answer": ["Fix "], "question": ["fix"]}, "'fix' cannot be both 'answer' and 'question'"),
    ],
)
def test_what_cannot_be_meant_is_said(given_names: dict[str, list[str]], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        own_columns(given_names)


@given(st.dictionaries(st.sampled_from(ROLES), st.lists(st.text(min_size=1), max_size=4)), st.lists(st.text()))
def test_every_own_name_has_its_role_however_it_is_written(names: dict[str, list[str]], others: list[str]) -> None:
    try:
        own = own_columns(names)
    except ValueError:
        return
    for wanted, each in ((wanted, each) for wanted, given_names in names.items() for each in given_names):
        assert role(f" {each}\u200b ", own) == role(plain(each), own) == wanted
    assert set(roles(others, own)) <= set(others)
