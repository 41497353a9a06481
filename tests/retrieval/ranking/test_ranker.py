from pathlib import Path

import numpy as np
import pytest

from retrieval.ranking.features import Candidates, Query
from retrieval.ranking.ranker import Ranker, Stage, settled, strangeness
from tests.retrieval.ranking.test_features import QUERY, candidates


def test_the_shipped_ranker_has_every_stage_and_a_floor_between_0_and_1() -> None:
    ranker = Ranker.load()
    assert set(ranker.stages) == {"fused", "rerank1", "rerank2"}
    assert 0 <= ranker.floor < 1
    assert all(stage.slope > 0 for stage in ranker.stages.values())


@pytest.mark.parametrize("stage", ["rerank1", "rerank2"])
def test_probability_lies_between_0_and_1_and_never_changes_the_order(stage: str) -> None:
    fitted = Ranker.load().stages[stage]
    order = fitted.order(candidates())
    probability = fitted.probability(order, QUERY, candidates())
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.array_equal(np.argsort(-order), np.argsort(-probability))


def test_a_stage_without_candidates_gives_nothing() -> None:
    stage = Stage({"bm25": 1.0}, 1.0, {}, 0.0)
    assert len(stage.probability(np.zeros(0, np.float32), QUERY, candidates())) == 0


def test_a_file_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ranker.json"
    path.write_text('{"stages": {"fused": {"weights": {}}}, "legs": {}, "floor": 0}')
    with pytest.raises(ValueError, match="not a ranker file"):
        Ranker.load(path)


def test_signs_of_few_candidates_are_drawn_to_their_average_and_of_eleven_left_alone() -> None:
    found, neutral = {"late_lead": 0.0, "dense_best": 0.9}, {"late_lead": 2.0}
    assert settled(found, neutral, 1) == {"late_lead": 2.0, "dense_best": 0.9}
    assert settled(found, neutral, 6)["late_lead"] == pytest.approx(1.0)
    assert settled(found, neutral, 11) == settled(found, neutral, 500) == found


def test_a_question_of_words_that_stand_nowhere_is_less_likely_answered_than_its_signs_say() -> None:
    many = 12
    texts = [("서울", "배송", "새벽")] + [("배송",)] * (many - 1)
    scores = {name: np.linspace(0.9, 0.2, many, dtype=np.float32) for name in ("bm25", "dense", "late")}
    passages = Candidates([f"d{n}" for n in range(many)], scores, texts)
    stage = Ranker.load().stages["rerank2"]
    order = stage.order(passages)

    def best(*words: str) -> float:
        return float(stage.probability(order, Query(words, np.ones(len(words), np.float32)), passages).max())

    assert best("서울", "오늘", "날씨", "어제") < 0.2 * best("서울", "배송", "날씨", "어제")


def test_words_that_a_few_passages_lack_say_little() -> None:
    assert strangeness(0.2, 1) == 0
    assert 0 < strangeness(0.2, 6) < strangeness(0.2, 11) == strangeness(0.2, 500)
    assert strangeness(0.9, 500) == 0
