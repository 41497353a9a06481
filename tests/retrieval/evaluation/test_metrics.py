import math

from retrieval.evaluation.metrics import ndcg, randomisation_p, recall, reciprocal_rank


def test_ndcg_is_one_for_the_ideal_order_and_falls_with_rank() -> None:
    grades = {"a": 2, "b": 1}
    assert ndcg(["a", "b", "c"], grades) == 1
    assert ndcg(["c", "a", "b"], grades) < ndcg(["b", "a", "c"], grades) < 1
    assert math.isclose(ndcg(["c", "a"], {"a": 1}), 1 / math.log2(3))


def test_what_stands_past_rank_ten_counts_nothing() -> None:
    ranked = [f"x{i}" for i in range(10)] + ["a"]
    assert ndcg(ranked, {"a": 1}) == reciprocal_rank(ranked, {"a": 1}) == 0
    assert recall(ranked, {"a": 1}) == 1


def test_without_relevant_documents_every_metric_is_zero() -> None:
    assert ndcg(["a"], {}) == reciprocal_rank(["a"], {"a": 0}) == recall(["a"], {"a": 0}) == 0


def test_the_randomisation_test_tells_a_real_difference_from_none() -> None:
    assert randomisation_p([1.0, 0.0] * 20, [1.0, 0.0] * 20) == 1
    assert randomisation_p([0.9] * 40, [0.1] * 40) < 0.01
    assert randomisation_p([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]) > 0.5
