from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retrieval.passages.identity import identify, storable
from retrieval.places import Box, Region
from retrieval.types import ParsedDocument, Section

rows = st.lists(st.sampled_from("abc"), min_size=2, max_size=8)


def ids(texts: Sequence[str], store: str = "vs_1", name: str = "a.csv") -> list[str]:
    return [each.id for each in identify(store, name, [ParsedDocument(text) for text in texts])]


@given(rows)
def test_every_document_has_its_own_id_and_the_same_one_next_time(texts: list[str]) -> None:
    assert len(set(ids(texts))) == len(texts)
    assert ids(texts) == ids(texts)


@given(rows, st.sampled_from("xyz"))
def test_a_row_more_changes_no_other_rows_id(texts: list[str], new: str) -> None:
    assert ids([new, *texts])[1:] == ids(texts)


def test_a_row_keeps_its_id_when_its_text_changes_under_its_own_key() -> None:
    old, new = (identify("vs_1", "a.jsonl", [ParsedDocument(text, external_id="7")])[0] for text in ("old", "new"))
    assert old.id == new.id
    assert old.sha256 != new.sha256


def test_the_only_document_of_a_file_keeps_its_id_when_the_text_changes() -> None:
    assert ids(["old"]) == ids(["new"])
    assert ids(["old"]) != ids(["old"], name="b.csv")
    assert ids(["old"]) != ids(["old"], store="vs_2")


def test_rows_with_one_id_stay_two_documents() -> None:
    twins = identify(
        "vs_1", "a.jsonl", [ParsedDocument("one", external_id="7"), ParsedDocument("two", external_id="7")]
    )
    assert len({twin.id for twin in twins}) == 2


def test_whatever_is_stored_of_a_document_is_in_its_hash() -> None:
    plain = ParsedDocument("text")
    others = [
        ParsedDocument("text", title="t"),
        ParsedDocument("text", url="u"),
        ParsedDocument("text", attributes={"a": 1}),
        ParsedDocument("text", sections=(Section(0, ("h",)),)),
        ParsedDocument("text", sections=(Section(0, (), 2),)),
    ]
    hashes = {identify("vs_1", "a.txt", [each])[0].sha256 for each in [plain, *others]}
    assert len(hashes) == 6


def test_lone_surrogates_become_question_marks_and_offsets_stay() -> None:
    odd = "a\ud800b한글"
    clean = storable(ParsedDocument(odd, odd, odd, {odd: odd, "n": 1}, (Section(2, (odd,)),), odd))
    assert clean == ParsedDocument(
        *["a?b한글"] * 3, {"a?b한글": "a?b한글", "n": 1}, (Section(2, ("a?b한글",)),), "a?b한글"
    )
    assert len(clean.text) == len(odd)


def test_where_a_document_stands_is_part_of_it() -> None:
    line = Region(0, 4, page=1, box=Box(1, 2, 3, 4), edges=bytes(64))
    placed = [
        ParsedDocument("text"),
        ParsedDocument("text", regions=(line,)),
        ParsedDocument("text", regions=(replace(line, page=2),)),
        ParsedDocument("text", regions=(replace(line, edges=bytes(63) + b"\x01"),)),
        ParsedDocument("text", regions=(Region(0, 4, sheet="S", cells="A1"),)),
        ParsedDocument("text", member="a.txt"),
    ]
    assert len({identify("vs", "a.pdf", [each])[0].sha256 for each in placed}) == len(placed)


def test_a_member_of_an_archive_is_known_by_its_path() -> None:
    first = [ParsedDocument("one", member="a.txt"), ParsedDocument("two", member="b.txt")]
    second = [ParsedDocument("changed", member="a.txt"), ParsedDocument("two", member="b.txt")]
    assert [each.id for each in identify("vs", "a.zip", first)] == [each.id for each in identify("vs", "a.zip", second)]
