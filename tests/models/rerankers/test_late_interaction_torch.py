from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import Overloaded, Unavailable
from models.rerankers.late_interaction import encode, maxsim
from models.rerankers.late_interaction_torch import maxsim_on

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch")]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.lists(st.integers(0, 40), max_size=12), st.sampled_from([32, 384, 1024]), st.integers(0))
def test_torch_gives_the_numbers_of_numpy(query_length: int, lengths: list[int], dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = unit(rng.normal(size=(query_length, dim)))
    codes = [encode(unit(rng.normal(size=(n, dim)))) for n in lengths]
    np.testing.assert_allclose(maxsim_on("cpu")(query, codes), maxsim(query, codes), atol=1e-4)


def test_without_query_tokens_or_texts_there_are_only_zeros() -> None:
    on_cpu = maxsim_on("cpu")
    assert on_cpu(np.zeros((0, 32), np.float32), [encode(np.ones((2, 32), np.float32)), b""]).tolist() == [0, 0]
    assert on_cpu(np.ones((1, 32), np.float32), []).shape == (0,)


def test_an_absent_device_is_named() -> None:
    with pytest.raises(Unavailable, match="cuda:99"):
        maxsim_on("cuda:99")


def test_memory_that_runs_out_is_overload(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    on_cpu = maxsim_on("cpu")
    monkeypatch.setattr(torch, "cat", full)
    with pytest.raises(Overloaded, match="1 candidates"):
        on_cpu(np.ones((1, 32), np.float32), [encode(np.ones((2, 32), np.float32))])


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_of_numpy(torch: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    rng = np.random.default_rng(0)
    query = unit(rng.normal(size=(32, 1024)))
    codes = [encode(unit(rng.normal(size=(180, 1024)))) for _ in range(100)]
    np.testing.assert_allclose(maxsim_on("cuda")(query, codes), maxsim(query, codes), atol=1e-4)
