"""The dense index with its vectors on a device: the CPU's answers, and filters that hold whatever the device does.

The device is a seam (device_copy.py). Here it is a flat FAISS index that takes a filter and ignores it, as
the classic GPU indexes of FAISS do; one that breaks; and torch, on the CPU and, where there is one, on a GPU.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import FloatArray
from retrieval.indexes.dense.device_copy import Rows
from retrieval.indexes.dense.faiss_rows import FaissRows, Keys
from retrieval.indexes.dense.index import DenseConfig, DenseIndex

DIM = 32
ON_DEVICE = DenseConfig(device="cuda")


class Flat:
    """An honest device: a flat index, filters inside."""

    def __init__(self, dim: int, device: str) -> None:
        self.rows = FaissRows(dim)
        self.searches = 0

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        self.rows.add(keys, vectors)

    def remove(self, keys: Keys) -> None:
        self.rows.change(keys, np.zeros(0, np.int64), np.zeros((0, DIM), np.float32))

    def search(self, query: FloatArray, k: int, allowed: Keys | None = None) -> tuple[FloatArray, Keys]:
        self.searches += 1
        return self.rows.search(query, k, allowed)


class IgnoresFilters(Flat):
    """Accepts the filter and does not look at it: faiss.GpuIndexFlat and SearchParameters(sel=...)."""

    def search(self, query: FloatArray, k: int, allowed: Keys | None = None) -> tuple[FloatArray, Keys]:
        return super().search(query, k)


class Breaks(Flat):
    """Out of memory after so many calls."""

    def __init__(self, dim: int, device: str, calls: int = 0) -> None:
        super().__init__(dim, device)
        self.left = calls
        self._call()

    def _call(self) -> None:
        if self.left <= 0:
            raise RuntimeError("CUDA out of memory")
        self.left -= 1

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        self._call()
        super().add(keys, vectors)

    def remove(self, keys: Keys) -> None:
        self._call()
        super().remove(keys)

    def search(self, query: FloatArray, k: int, allowed: Keys | None = None) -> tuple[FloatArray, Keys]:
        self._call()
        return super().search(query, k, allowed)


def unit_rows(count: int, seed: int = 7) -> FloatArray:
    """As float16 holds them."""
    rows = np.random.default_rng(seed).standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def filled(open_copy: Callable[[int, str], Rows] | None, count: int = 400) -> DenseIndex:
    """None: on the CPU alone."""
    index = DenseIndex(DIM) if open_copy is None else DenseIndex(DIM, ON_DEVICE, open_copy)
    index.apply(1, (list(range(1, count + 1)), unit_rows(count)), [])
    return index


def assert_same(index: DenseIndex, cpu: DenseIndex, query: FloatArray, k: int, allowed: set[int] | None = None) -> None:
    left, right = index.search(query, k, allowed), cpu.search(query, k, allowed)
    assert [hit.key for hit in left] == [hit.key for hit in right]
    np.testing.assert_allclose([hit.score for hit in left], [hit.score for hit in right], atol=1e-5)


def test_a_device_that_ignores_filters_lets_nothing_through_and_nothing_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fails where the filter is left to the device."""
    device = IgnoresFilters(DIM, "cuda")
    index, cpu = filled(lambda dim, name: device), filled(None)
    query = unit_rows(1, 3)[0]
    tenant = {hit.key for hit in cpu.search(query, 400)[-30:]}  # the last of all
    assert not tenant & set(device.search(query, 10, np.array(sorted(tenant)))[1].tolist())  # it does ignore it
    assert_same(index, cpu, query, 10)
    assert index.on_device
    with caplog.at_level(logging.ERROR, "ragpod.dense"):
        assert_same(index, cpu, query, 10, tenant)
        assert_same(index, cpu, query, 100, tenant)
    assert not index.on_device
    assert "does not hold to a filter" in caplog.text
    assert_same(index, cpu, query, 10)


def test_a_device_is_asked_and_kept_in_step() -> None:
    devices: list[Flat] = []

    def opened(dim: int, device: str) -> Flat:
        devices.append(Flat(dim, device))
        return devices[-1]

    index = filled(opened)
    index.apply(2, ([401, 5], unit_rows(2, 9)), [1, 2, 777])
    assert sorted(devices[-1].rows.keys().tolist()) == index.keys() == list(range(3, 402))
    before = devices[-1].searches
    index.search(unit_rows(1)[0], 5, {7, 8})
    assert devices[-1].searches == before + 1
    assert index.on_device


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4])
def test_a_device_that_breaks_leaves_the_search_to_the_cpu(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    """In opening, adding, searching, removing: whenever."""
    index, cpu = filled(lambda dim, name: Breaks(dim, name, calls)), filled(None)
    query = unit_rows(1, 3)[0]
    assert_same(index, cpu, query, 10)
    for each in (index, cpu):
        each.apply(2, ([401], unit_rows(1, 9)), [1])
    assert_same(index, cpu, query, 10, {3, 4, 5, 401})
    assert index.keys() == list(range(2, 402))
    assert not index.on_device
    assert "out of memory" in caplog.text


def test_the_cpu_side_is_what_is_saved_and_fills_the_device_again(tmp_path: Path) -> None:
    index = filled(Flat)
    index.apply(2, ([], np.zeros((0, DIM), np.float32)), [1, 2])
    index.save(tmp_path / "dense.faiss")
    loaded = DenseIndex.load(tmp_path / "dense.faiss", DIM, ON_DEVICE, Flat)
    assert loaded.on_device
    assert_same(loaded, index, unit_rows(1, 3)[0], 20)
    assert DenseIndex.load(tmp_path / "dense.faiss", DIM).keys() == list(range(3, 401))


def test_beyond_the_limit_lists_on_the_cpu_take_over() -> None:
    index = DenseIndex(DIM, DenseConfig(device="cuda", exact_up_to=300), Flat)
    index.apply(1, (list(range(1, 401)), unit_rows(400)), [])
    assert (index.on_device, index.exact, index.outgrown) == (True, True, True)
    assert index.regroup()
    assert (index.on_device, index.exact) == (False, False)
    assert len(index.search(unit_rows(1)[0], 20, set(range(1, 30)))) == 20


def test_a_device_holds_more_vectors_before_lists_are_due() -> None:
    assert DenseConfig().exact_limit(on_device=False) == 250_000
    assert DenseConfig("cuda").exact_limit(on_device=True) == 5_000_000
    assert DenseConfig("cuda").exact_limit(on_device=False) == 250_000  # it broke
    assert DenseConfig("cuda", exact_up_to=7).exact_limit(on_device=True) == 7


def test_lists_that_a_cpu_made_are_no_hindrance_to_a_device(tmp_path: Path) -> None:
    on_cpu = DenseIndex(DIM, DenseConfig(exact_up_to=0, recall=0.1))
    on_cpu.apply(1, (list(range(1, 401)), unit_rows(400)), [])
    assert on_cpu.regroup()
    on_cpu.save(tmp_path / "dense.faiss")
    loaded = DenseIndex.load(tmp_path / "dense.faiss", DIM, ON_DEVICE, Flat)
    assert (loaded.on_device, loaded.exact, loaded.outgrown, loaded.recall) == (True, True, False, None)
    assert_same(loaded, filled(None), unit_rows(1, 3)[0], 100)


DEVICES = [
    pytest.param("cpu", marks=pytest.mark.torch),
    pytest.param("cuda", marks=[pytest.mark.torch, pytest.mark.gpu]),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, torch: Any) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    name: str = request.param
    return name


def on(device: str) -> Rows:
    from retrieval.indexes.dense.torch_rows import TorchRows

    return TorchRows(DIM, device)


step = st.tuples(st.integers(0, 60), st.lists(st.integers(1, 300), max_size=40))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(step, min_size=1, max_size=6),
    allowed=st.none() | st.sets(st.integers(1, 400), max_size=80),
    k=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_torch_finds_what_faiss_finds(
    device: str, steps: list[tuple[int, list[int]]], allowed: set[int] | None, k: int, seed: int
) -> None:
    index, cpu = DenseIndex(DIM, ON_DEVICE, lambda dim, _: on(device)), DenseIndex(DIM)
    last = 0
    for seq, (count, removed) in enumerate(steps):
        keys = list(range(last + 1, last + count + 1))
        last += count
        for each in (index, cpu):
            each.apply(seq, (keys, unit_rows(count, seed + seq)), removed)
    assert index.keys() == cpu.keys()
    assert_same(index, cpu, unit_rows(1, seed + 99)[0], k, allowed)
    assert_same(index, cpu, unit_rows(1, seed + 98)[0], k)
    assert index.on_device


def test_torch_holds_to_filters_itself(device: str) -> None:
    """Fails where the mask is left out: the index's own check is not in between."""
    rows = on(device)
    rows.add(np.arange(1, 401), unit_rows(400))
    query = unit_rows(1, 3)[0]
    ranked = rows.search(query, 400)[1].tolist()
    worst = set(ranked[-30:])
    _, keys = rows.search(query, 10, np.array([*worst, 10**9]))
    assert keys.tolist() == [key for key in ranked if key in worst][:10]
    assert len(rows.search(query, 100, np.array([*worst]))[1]) == 30
    assert rows.search(query, 5, np.array([10**9]))[1].tolist() == []
    assert rows.search(query, 5, np.zeros(0, np.int64))[1].tolist() == []
    rows.remove(np.array(ranked[-30:-10]))
    assert set(rows.search(query, 100, np.array([*worst]))[1].tolist()) == set(ranked[-10:])


def test_vectors_closer_than_half_precision_tells_apart_are_ranked_exactly(device: str) -> None:
    """Thousands of scores within a step of float16: the longer list grows until the order is certain."""
    base = unit_rows(1)[0]
    rng = np.random.default_rng(5)
    near = (base + rng.uniform(-1, 1, (3000, DIM)) * 2.0**-11).astype(np.float16).astype(np.float32)
    rows = on(device)
    rows.add(np.arange(1, 3001), near)
    query = (base + rng.standard_normal(DIM) * 1e-4).astype(np.float32)
    exact = near @ query
    scores, keys = rows.search(query, 10)
    assert keys.tolist() == [int(i) + 1 for i in np.argsort(-exact, kind="stable")[:10]]
    np.testing.assert_allclose(scores, np.sort(exact)[::-1][:10], atol=1e-6)


def test_equal_vectors_come_by_key(device: str) -> None:
    rows = on(device)
    rows.add(np.array([9, 3, 7, 5]), np.repeat(unit_rows(1), 4, 0))
    assert rows.search(unit_rows(1)[0], 3)[1].tolist() == [3, 5, 7]


def test_dead_rows_give_their_memory_back(device: str) -> None:
    rows: Any = on(device)
    for first in range(1, 1001, 100):
        rows.add(np.arange(first, first + 100), unit_rows(100, first))
    assert rows._rows.shape[0] <= 1.5 * 1000
    rows.remove(np.arange(1, 801))
    assert len(rows) == 200
    assert rows._rows.shape[0] <= 1.34 * 200
    assert rows.search(unit_rows(100, 901)[7], 1)[1].tolist() == [908]
