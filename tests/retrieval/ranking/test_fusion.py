import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking.fusion import convex, reciprocal_rank, standardised

rankings = st.lists(st.lists(st.integers(0, 50), unique=True, max_size=30), max_size=4)
scores = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40)


@given(rankings)
def test_an_empty_leg_changes_nothing(lists: list[list[int]]) -> None:
    assert reciprocal_rank([*lists, []]) == reciprocal_rank(lists)


@given(rankings)
def test_everything_that_any_leg_found_is_fused_once(lists: list[list[int]]) -> None:
    assert set(reciprocal_rank(lists)) == {key for ranking in lists for key in ranking}


def test_reciprocal_rank_is_the_published_formula() -> None:
    assert reciprocal_rank([["a", "b"], ["b"]], k=60) == {"a": 1 / 61, "b": 1 / 62 + 1 / 61}


@given(scores)
def test_a_leg_that_tells_nothing_apart_leaves_the_others_order(values: list[float]) -> None:
    leg = np.array(values, np.float32)
    fused = convex({"dense": leg, "bm25": np.zeros_like(leg)}, {"dense": 0.5, "bm25": 0.5})
    assert np.array_equal(np.argsort(-fused, kind="stable"), np.argsort(-standardised(leg), kind="stable"))


@given(scores, st.floats(0.5, 50), st.floats(-50, 50))
def test_scale_and_offset_of_a_leg_do_not_matter(values: list[float], scale: float, offset: float) -> None:
    leg = np.array(values, np.float64).astype(np.float32)
    if leg.std() < 0.5:
        return
    moved = (leg * np.float32(scale) + np.float32(offset)).astype(np.float32)
    np.testing.assert_allclose(standardised(moved), standardised(leg), atol=1e-2)


def test_a_leg_without_a_weight_is_an_error() -> None:
    with pytest.raises(KeyError):
        convex({"sparse": np.ones(2, np.float32)}, {"dense": 1.0})


def test_no_legs_fuse_to_nothing() -> None:
    assert len(convex({}, {"dense": 1.0})) == 0
