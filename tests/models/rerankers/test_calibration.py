"""Logits to probabilities and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rerankers.calibration import PUBLISHED, Calibration, logits

ANY = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_logits_and_probabilities_are_inverse(scores: list[float]) -> None:
    inverse = logits(np.array(scores, np.float32))
    assert inverse.dtype == np.float32
    assert np.isfinite(inverse).all()
    assert PUBLISHED.probability(inverse) == pytest.approx(scores, abs=1e-6)


@given(st.lists(ANY, max_size=20), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_a_probability_keeps_the_order_within_0_and_1_whatever_the_logit(
    given_logits: list[float], slope: float, bias: float
) -> None:
    found = Calibration(slope, bias).probability(np.array(sorted(given_logits), np.float32))
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


def test_certain_scores_still_have_an_order() -> None:
    assert (np.diff(logits(np.array([0, 1e-9, 1e-8, 0.5, 1 - 2.0**-20, 1 - 2.0**-23, 1], np.float32))) > 0).all()


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan")])
def test_a_slope_that_turns_the_order_round_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Calibration(slope)
