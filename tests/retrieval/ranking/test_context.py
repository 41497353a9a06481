from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from models.base import Block
from retrieval.ranking.context import Limits, Ranked, select
from retrieval.types import Chunk, ScoredChunk

TEXT = "가나다 라마바 사아자 차카타 파하 하나 둘셋 넷"


def ranked(key: int, score: float, text: str | None = None, document: str | None = None, position: int = 0) -> Ranked:
    text = text or f"passage number {key}"
    chunk = Chunk(
        key=key,
        id=f"chunk_{key}",
        document_id=document or f"doc_{key}",
        file_id="file-1",
        store_id="vs_1",
        position=position,
        text=text,
        start=0,
        end=len(text),
        token_count=10,
    )
    return Ranked(ScoredChunk(chunk, score), frozenset(text.split()))


def reasons(passages: list[Ranked], limits: Limits) -> list[str | None]:
    return [candidate.dropped for candidate in select(passages, limits)[1]]


def test_the_floor_drops_what_is_below_and_zero_keeps_everything() -> None:
    passages = [ranked(1, 0.9), ranked(2, 0.2), ranked(3, 0.0)]
    assert reasons(passages, Limits(floor=0.2)) == [None, None, "score_floor"]
    assert reasons(passages, Limits(floor=0)) == [None, None, None]
    assert select(passages, Limits(floor=0.95))[0] == []


def test_the_same_words_from_another_document_are_left_out() -> None:
    twin = "교환은 수령 후 7일 안에 신청할 수 있습니다"
    assert reasons([ranked(1, 0.9, twin), ranked(2, 0.8, twin)], Limits(floor=0)) == [None, "near_duplicate"]


def test_a_differing_word_that_turns_the_meaning_is_no_duplicate() -> None:
    on, off = "알림 켜는 방법은 설정 메뉴입니다", "알림 끄는 방법은 설정 메뉴입니다"
    assert reasons([ranked(1, 0.9, on), ranked(2, 0.8, off)], Limits(floor=0)) == [None, None]


def cut(key: int, score: float, start: int, end: int, position: int) -> Ranked:
    one = ranked(key, score, TEXT[start:end], "doc", position)
    return replace(one, scored=replace(one.scored, chunk=replace(one.scored.chunk, start=start, end=end)))


def test_neighbours_become_one_passage_with_exact_offsets_at_the_better_rank() -> None:
    passages = [cut(2, 0.9, 6, 15, 1), cut(1, 0.8, 0, 8, 0), ranked(9, 0.7)]
    evidence, candidates = select(passages, Limits(floor=0))
    assert [one.chunk.key for one in evidence] == [2, 9]
    merged = evidence[0].chunk
    assert merged.text == TEXT[merged.start : merged.end] == TEXT[0:15]
    assert [candidate.dropped for candidate in candidates] == [None, "merged", None]


def test_a_block_that_two_neighbours_have_a_part_of_is_one_again() -> None:
    first, second = cut(1, 0.9, 0, 8, 0), cut(2, 0.8, 6, 15, 1)
    row = Block("row", 4, 8, "a | b")
    first = with_blocks(first, (Block("prose", 0, 4), row))
    second = with_blocks(second, (Block("row", 0, 5, "a | b"), Block("prose", 5, 9)))
    merged = select([first, second], Limits(floor=0))[0][0].chunk
    assert merged.blocks == (Block("prose", 0, 4), replace(row, end=11), Block("prose", 11, 15))


def with_blocks(one: Ranked, blocks: tuple[Block, ...]) -> Ranked:
    return replace(one, scored=replace(one.scored, chunk=replace(one.scored.chunk, blocks=blocks)))


def test_one_document_cannot_fill_the_whole_context() -> None:
    passages = [ranked(key, 0.9, document="doc", position=3 * key) for key in range(6)]
    assert reasons(passages, Limits(floor=0, per_document=2)).count("document_cap") == 4


def test_the_token_budget_and_the_limit_are_told_apart() -> None:
    passages = [ranked(key, 0.9 - key / 10) for key in range(4)]
    assert reasons(passages, Limits(floor=0, tokens=25)) == [None, None, "token_budget", "token_budget"]
    assert reasons(passages, Limits(floor=0, keep=3)) == [None, None, None, "limit"]


def test_the_best_passage_stays_whatever_its_length() -> None:
    assert reasons([ranked(1, 0.9)], Limits(floor=0, tokens=1)) == [None]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.floats(0, 1)), max_size=20, unique_by=lambda t: t[:2])
)
def test_every_passage_is_evidence_or_has_its_reason(spots: list[tuple[int, int, float]]) -> None:
    passages = [
        ranked(i, score, text=f"t{i}", document=f"d{document}", position=position)
        for i, (document, position, score) in enumerate(sorted(spots, key=lambda spot: -spot[2]))
    ]
    evidence, candidates = select(passages, Limits(floor=0.3, keep=3, tokens=60))
    assert len(candidates) == len(passages)
    assert {c.scored.chunk.key for c in candidates if c.dropped is None} == {one.chunk.key for one in evidence}
    assert all(one.score >= 0.3 for one in evidence)
    assert len(evidence) <= 3


def updated(passage: Ranked, when: object) -> Ranked:
    chunk = replace(passage.scored.chunk, attributes={} if when is None else {"updated_at": when})
    return replace(passage, scored=replace(passage.scored, chunk=chunk))


def test_of_two_with_the_same_words_the_newer_one_stays_at_the_better_rank() -> None:
    words = "배송비는 삼천원이고 제주도는 오천원입니다"
    old, new = updated(ranked(1, 0.9, words), "2024-01-01"), updated(ranked(3, 0.7, words), "2026-01-01")
    other = ranked(2, 0.8)
    evidence, candidates = select([old, other, new], Limits(floor=0, newer_wins=True))
    assert [(one.chunk.key, one.score) for one in evidence] == [(3, 0.9), (2, 0.8)]
    assert [one.dropped for one in candidates] == ["near_duplicate", None, None]
    for passages in ([new, other, old], [old, updated(new, None)], [updated(old, "soon"), new]):
        kept, _ = select(passages, Limits(floor=0, newer_wins=True))
        assert kept[0].chunk.key == passages[0].scored.chunk.key
    assert [one.chunk.key for one in select([old, new], Limits(floor=0))[0]] == [1]
