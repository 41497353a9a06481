import numpy as np
import pytest

from retrieval.ranking.features import Candidates, Query, relative, signs


def candidates() -> Candidates:
    return Candidates(
        documents=["d1", "d1", "d2"],
        scores={
            "bm25": np.array([4.0, 1.0, 0.0], np.float32),
            "dense": np.array([0.9, 0.85, 0.8], np.float32),
            "late": np.array([0.7, 0.5, 0.2], np.float32),
        },
        texts=[("환불", "기간", "영업일"), ("배송", "기간"), ("쿠폰",)],
        titles=[("환불",), (), ()],
    )


QUERY = Query(("환불", "기간"), np.array([3.0, 1.0], np.float32))


def test_every_relative_feature_is_centred_on_the_query() -> None:
    for name, values in relative(QUERY, candidates()).items():
        assert values.shape == (3,), name
        assert abs(values.mean()) < 1e-5, name


def test_coverage_weighs_terms_by_their_idf() -> None:
    coverage = relative(QUERY, candidates())["coverage"]
    np.testing.assert_allclose(coverage - coverage.min(), [1.0, 0.25, 0.0], atol=1e-4)


def test_neighbouring_query_terms_side_by_side_are_seen() -> None:
    pairs = relative(QUERY, candidates())["pairs"]
    assert pairs[0] > pairs[1] == pairs[2]


def test_only_the_rarest_terms_holder_is_marked() -> None:
    rarest = relative(QUERY, candidates())["rarest"]
    assert rarest[0] > rarest[1] == rarest[2]


def test_signs_are_of_the_query_as_a_whole() -> None:
    found = signs(QUERY, candidates())
    assert found["coverage_best"] == pytest.approx(1, abs=1e-4)
    assert found["dense_best"] == pytest.approx(0.9)
    assert 0 < found["bm25_best"] < 1
    assert found["agreement"] == 1


def test_a_query_without_terms_has_finite_features() -> None:
    empty = Query((), np.zeros(0, np.float32))
    assert all(np.isfinite(values).all() for values in relative(empty, candidates()).values())
    assert all(np.isfinite(value) for value in signs(empty, candidates()).values())


def test_without_candidates_there_are_no_signs() -> None:
    nothing = Candidates([], {"bm25": np.zeros(0, np.float32), "dense": np.zeros(0, np.float32)}, [], [])
    assert all(len(values) == 0 for values in relative(QUERY, nothing).values())
    with pytest.raises(ValueError, match="no candidates"):
        signs(QUERY, nothing)
