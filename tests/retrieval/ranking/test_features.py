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
    )


QUERY = Query(("환불", "기간"), np.array([3.0, 1.0], np.float32))


def test_every_relative_feature_is_centred_on_the_query() -> None:
    for name, values in relative(candidates()).items():
        assert values.shape == (3,), name
        assert abs(values.mean()) < 1e-5, name


def test_several_passages_of_a_document_count_less_where_every_document_has_several() -> None:
    scores = candidates().scores
    few = relative(Candidates(["d1", "d1", "d2"], scores, [()] * 3))["rare_siblings"]
    all_of_one = relative(Candidates(["d1", "d1", "d1"], scores, [()] * 3))["rare_siblings"]
    assert few[0] == few[1] > few[2]
    assert not all_of_one.any()


def test_signs_are_of_the_query_as_a_whole() -> None:
    found = signs(QUERY, candidates())
    assert found["coverage_best"] == pytest.approx(1, abs=1e-4)
    assert found["dense_best"] == pytest.approx(0.9)
    assert 0 < found["bm25_best"] < 1
    assert found["agreement"] == 1


def test_a_query_without_terms_has_finite_features() -> None:
    empty = Query((), np.zeros(0, np.float32))
    assert all(np.isfinite(values).all() for values in relative(candidates()).values())
    assert all(np.isfinite(value) for value in signs(empty, candidates()).values())


def test_without_candidates_there_are_no_signs() -> None:
    nothing = Candidates([], {"bm25": np.zeros(0, np.float32), "dense": np.zeros(0, np.float32)}, [])
    assert all(len(values) == 0 for values in relative(nothing).values())
    with pytest.raises(ValueError, match="no candidates"):
        signs(QUERY, nothing)


def test_known_is_the_share_of_the_words_that_any_candidate_has() -> None:
    def known(*words: str) -> float:
        weights = np.array([2.0 if word == "기간" else 3.0 for word in words], np.float32)
        return signs(Query(words, weights), candidates())["known"]

    assert known("환불", "쿠폰") == 1
    assert known("기간", "날씨") == pytest.approx(0.4)
    assert known("날씨", "서울") == 0
    assert known("weather", "today") == 1  # in another language nothing follows
    assert known("기간", "weather") == 1
