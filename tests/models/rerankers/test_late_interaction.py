import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.rerankers.late_interaction import decode, encode, maxsim

DIM = 32
components = st.floats(-1, 1, width=32)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.just(DIM)), elements=components))
def test_a_code_keeps_the_direction_of_every_row(rows: np.ndarray) -> None:
    tokens = unit(rows)
    values, factors = decode(encode(tokens), DIM)
    decoded = values * factors[:, None]
    kept = np.abs(rows).max(axis=1) > 1e-3
    assert decoded.shape == tokens.shape
    assert ((decoded * tokens).sum(axis=1)[kept] > 0.9).all()


def test_a_code_takes_half_a_byte_a_component_and_two_bytes_a_row() -> None:
    assert len(encode(unit(np.ones((10, 384), np.float32)))) == 10 * (192 + 2)


def test_maxsim_is_the_mean_of_each_query_tokens_best_match() -> None:
    rng = np.random.default_rng(0)
    query = unit(rng.normal(size=(5, DIM)))
    texts = [unit(rng.normal(size=(n, DIM))) for n in (1, 7, 3)]
    expected = [(query @ text.T).max(axis=1).mean() for text in texts]
    np.testing.assert_allclose(maxsim(query, [encode(text) for text in texts]), expected, atol=0.05)


@pytest.mark.parametrize("dim", [DIM, 384, 1024])
@pytest.mark.parametrize("query_length", [1, 9, 16, 50])
def test_maxsim_is_exact_to_the_codes_whatever_their_sizes(dim: int, query_length: int) -> None:
    rng = np.random.default_rng(2)
    query = unit(rng.normal(size=(query_length, dim)))
    codes = [encode(unit(rng.normal(size=(n, dim)))) for n in (1, 700, 0, 511, 513, 3)]
    decoded = [rows * factors[:, None] for rows, factors in (decode(code, dim) for code in codes)]
    expected = [(query @ rows.T).max(axis=1).mean() if len(rows) else 0 for rows in decoded]
    np.testing.assert_allclose(maxsim(query, codes), expected, atol=1e-5)


def test_codes_of_other_dimensions_are_refused() -> None:
    codes = [encode(unit(np.ones((3, 384), np.float32)))]
    with pytest.raises(ValueError, match="1024 dimensions"):
        maxsim(unit(np.ones((2, 1024), np.float32)), codes)


def test_an_empty_code_scores_nothing_and_leaves_its_neighbours_alone() -> None:
    query = unit(np.random.default_rng(1).normal(size=(3, DIM)))
    scores = maxsim(query, [b"", encode(query), b""])
    assert scores[0] == scores[2] == 0
    assert scores[1] > 0.95


def test_without_query_tokens_or_texts_there_are_only_zeros() -> None:
    assert maxsim(np.zeros((0, DIM), np.float32), [encode(np.ones((2, DIM), np.float32))]).tolist() == [0]
    assert len(maxsim(np.ones((1, DIM), np.float32), [])) == 0
    assert encode(np.zeros((0, DIM), np.float32)) == b""
