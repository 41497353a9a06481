"""The rarest terms' passages keep a place among the first, and nothing else moves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking.rare import FEW, FIRST, TERMS, rarest, within


@given(st.lists(st.lists(st.integers(0, 50), max_size=6, unique=True), max_size=8))
def test_the_rarest_are_those_that_the_fewest_hold(holders: list[list[int]]) -> None:
    found = rarest(holders)
    few = sorted(len(each) for each in holders if 0 < len(each) <= FEW)
    assert [len(each) for each in found] == few[: min(few.count(few[0]), TERMS)] if few else found == []


@given(
    st.integers(1, 40).flatmap(lambda n: st.permutations(range(n))),
    st.lists(st.sets(st.integers(0, 39), max_size=FEW), max_size=TERMS),
    st.sampled_from([FIRST, 10, 30]),
)
def test_one_of_each_is_among_the_first_and_the_others_keep_their_order(
    order: list[int], holders: list[set[int]], first: int
) -> None:
    found = within(np.array(order, np.intp), holders, first).tolist()
    assert sorted(found) == sorted(order)
    for each in holders:
        if each & set(order):
            best = min(each & set(order), key=order.index)
            assert best in found[:first]
    came = [i for i in found[:first] if i not in order[:first]]
    assert len(came) <= len(holders)
    assert found[first - len(came) : first] == came or not came
    for part in (found[: first - len(came)] if came else found[:first], found[first:]):
        assert part == [i for i in order if i in part]


def test_what_is_right_already_stays_as_it_is_and_little_room_is_left_alone() -> None:
    order = np.arange(20, dtype=np.intp)
    assert within(order, [{3, 15}, {7}], FIRST) is order
    assert within(order, [set()], FIRST) is order
    assert within(order, [{15}], 1) is order
