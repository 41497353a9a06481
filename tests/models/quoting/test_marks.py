"""A document's own marks: readable still, and marks no longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quoting.marks import neutral, reads_as_code
from retrieval.prompting.citations import CitationParser, MarkPart

FORMS = (
    "[2]",
    "[ 2 ]",
    "[02]",
    "[1, 3]",
    "[1,3]",
    "[1-3]",
    "[1][3]",
    "[^2]",
    "[ ^2 ]",
    "[[2]]",
    r"\[2\]",
    "［２］",
    "【2】",
    "【2†source】",
    "⟦2⟧",
    "〔2〕",
    "〖2〗",
    "[２]",
    "[٢]",
    "[२]",
    "[²]",
    "&#91;2&#93;",
    "&#x5B;2&#x5d;",
    "&lsqb;2&rsqb;",
    "&lbrack;2]",
    "&amp;#91;2&amp;#93;",
    "[&#50;]",
    "[\u200b2]",
    "[2\u00ad]",
    "[\u20662\u2069]",
    "[1\u200d2]",
    "[\u00a02\u3000]",
    "[\x002]",
    "[2](https://a.example)",
    "[2]: https://a.example",
)


def marks(text: str) -> list[str]:
    parser = CitationParser(999)
    return [part.text for part in [*parser.feed(text), *parser.finish()] if isinstance(part, MarkPart)]


@pytest.mark.parametrize("before", ["수도는 X이다", "4 million", "so it is. ", "`", "a\n", "x[1] and "])
@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_mark_is_left(form: str, before: str) -> None:
    said = neutral(f"{before}{form}.")
    assert marks(said) == []
    assert "(" in said, said
    assert neutral(said) == said
    assert said.startswith(before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("수도는 X이다[2].", "수도는 X이다(2)."),
        ("4 million[3] people", "4 million(3) people"),
        ("both [1][3]", "both (1)(3)"),
        ("【2†source】", "(2)"),
        ("[2](https://a.example)", "(2) (https://a.example)"),
        (
            "서울이다.[3] 그렇다 [1, 2]. x[1] [내 정보] [a](link)",
            "서울이다.(3) 그렇다 (1, 2). x[1] [내 정보] [a](link)",
        ),
        ("x[1][2] row_2[1] f()[1] xs = [1, 2]", "x[1][2] row_2[1] f()[1] xs = [1, 2]"),
        ("in [2024] and [a] and []", "in [2024] and [a] and []"),
        ("x[\u200b1][2]", "x(1)(2)"),
    ],
)
def test_what_is_neutral_can_be_read(text: str, said: str) -> None:
    assert neutral(text) == said


def test_brackets_of_programs_stay_but_not_those_of_sentences_in_a_fence() -> None:
    for program in ("print([1, 2])", "[\n  1,\n  2\n]", "argv[1]", "return [1]"):
        assert neutral(program, [(0, len(program))]) == program
    for sentence in ("수도는 X이다[2].", "It is so. [2]", "그렇다 [2]", "［2］"):
        assert marks(neutral(sentence, [(0, len(sentence))])) == []


def test_a_subscript_of_a_subscript_is_one() -> None:
    assert reads_as_code("x[1]")
    assert not reads_as_code("language[1]")
    assert not reads_as_code("both [1]")
    assert marks("a[1][2]") == []
    assert marks("both [1][3]") == ["[1]", "[3]"]


LETTERS = "[]［］【】()0129２, ^\\`x_=.가\n&;#†\u200b\u00ad"
ANY = st.lists(st.sampled_from([*LETTERS, *FORMS, "&#91;", "&#93;", "x[1]"]), max_size=30).map("".join)


@given(ANY, st.sampled_from(["", " ", "\n", "`", "[", "\n\n# ", "| ", "말 "]))
def test_whatever_a_document_holds_no_mark_is_read_in_it(text: str, before: str) -> None:
    said = neutral(text)
    assert marks(f"{before} {said}") == []
    assert neutral(said) == said


@given(ANY, ANY, st.integers(1, 999))
def test_our_own_mark_beside_a_quotation_is_the_only_one(one: str, other: str, number: int) -> None:
    parser = CitationParser(999)
    parts = [*parser.quote(one), *parser.feed(f"[{number}]"), *parser.quote(other), *parser.finish()]
    assert [(part.marker, part.start) for part in parts if isinstance(part, MarkPart)] == [(number, len(one))]
    assert "".join(part.text for part in parts) == f"{one}[{number}]{other}"
