"""What fits which card: the table, and what holds for every card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engines.cards import Card
from models.engines.vllm_plan import CHECKPOINTS, GIB, NATIVE_CONTEXT, CardPlan, plan
from models.errors import Unavailable

# Memory as nvidia-smi reports it.
H100 = Card("NVIDIA H100 80GB HBM3", 81559 / 1024, (9, 0))
H200 = Card("NVIDIA H200", 143771 / 1024, (9, 0))
A100 = Card("NVIDIA A100-SXM4-80GB", 81920 / 1024, (8, 0))
L40S = Card("NVIDIA L40S", 46068 / 1024, (8, 9))
RTX4090 = Card("NVIDIA GeForce RTX 4090", 24564 / 1024, (8, 9))
V100 = Card("Tesla V100-SXM2-32GB", 32768 / 1024, (7, 0))
FP8, AWQ, BF16 = (f"Qwen/Qwen3-32B{suffix}" for suffix in ("-FP8", "-AWQ", ""))
BYTES = 2 * 64 * 8 * 128  # of a cached token in FP8


@pytest.mark.parametrize(
    ("cards", "model", "width", "context", "dtype", "tokens", "seqs", "batch"),
    [
        ((H200,), FP8, 1, 32768, "auto", 348_000, 128, 8192),
        ((H100,), FP8, 1, 16384, "auto", 119_000, 56, 8192),
        ((A100,), FP8, 1, 16384, "auto", 121_000, 56, 8192),
        ((L40S,), AWQ, 1, 16384, "fp8", 90_000, 40, 4096),
        ((RTX4090, RTX4090), AWQ, 2, 8192, "fp8", 80_000, 32, 4096),
        ((H100, H100), FP8, 1, 16384, "auto", 119_000, 56, 8192),
    ],
)
def test_the_table_of_cards(
    cards: tuple[Card, ...], model: str, width: int, context: int, dtype: str, tokens: int, seqs: int, batch: int
) -> None:
    found = plan(cards)
    assert (found.model, found.tensor_parallel, found.context_tokens) == (model, width, context)
    assert (found.kv_dtype, found.max_seqs, found.batched_tokens) == (dtype, seqs, batch)
    assert found.cached_tokens is not None
    assert tokens <= found.cached_tokens < tokens + 1000


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ((), "no NVIDIA card"),
        ((RTX4090,), r"one card of 3\d GiB or two of 20.*RTX 4090 \(24 GiB\)"),
        ((V100,), r"compute capability 8\.0 or newer.*V100"),
    ],
)
def test_a_machine_that_holds_none_is_told_what_would(cards: tuple[Card, ...], words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        plan(cards)


def test_bf16_only_where_it_is_asked_for_and_fits_beside_the_retrieval_models() -> None:
    assert plan((H200,), model=BF16).kv_dtype == "auto"
    with pytest.raises(Unavailable, match=r"Qwen3-32B beside the retrieval models needs one card of 82 GiB"):
        plan((H100,), model=BF16)
    assert plan((H100, H100), model=BF16).tensor_parallel == 2
    assert plan((H100,), model=BF16, reserved=1.0).model == BF16


def test_another_model_is_left_to_vllms_own_sizes() -> None:
    assert plan((), model="HuggingFaceTB/SmolLM2-135M", context_tokens=2048) == CardPlan(
        "HuggingFaceTB/SmolLM2-135M", context_tokens=2048
    )


def test_more_than_the_model_reads_is_refused() -> None:
    with pytest.raises(Unavailable, match="40960 tokens at most"):
        plan((H200,), context_tokens=NATIVE_CONTEXT + 1)


@given(
    st.floats(8, 200),
    st.sampled_from([(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0)]),
    st.sampled_from([1, 2, 3, 4, 8]),
    st.sampled_from([None, *(checkpoint.model for checkpoint in CHECKPOINTS)]),
    st.sampled_from([None, 4096, 40960]),
    st.sampled_from([None, 0.0, 8.0, 30.0]),
)
def test_every_plan_fits_its_cards_and_holds_its_context(
    memory: float,
    compute: tuple[int, int],
    count: int,
    model: str | None,
    context: int | None,
    reserved: float | None,
) -> None:
    try:
        found = plan([Card("card", memory, compute)] * count, model=model, context_tokens=context, reserved=reserved)
    except Unavailable:
        return
    weights = next(checkpoint.weights for checkpoint in CHECKPOINTS if checkpoint.model == found.model)
    assert found.kv_bytes is not None
    assert found.cached_tokens is not None
    assert found.context_tokens is not None
    assert found.max_seqs is not None
    assert found.utilization is not None
    assert found.tensor_parallel <= count
    assert compute >= (8, 0)
    assert weights / found.tensor_parallel + found.kv_bytes / GIB + (reserved or 0) < memory
    assert found.utilization * memory + (reserved or 0) <= memory
    assert found.cached_tokens >= found.context_tokens >= (context or 8192)
    bytes_a_token = BYTES if found.kv_dtype == "fp8" else 2 * BYTES
    assert abs(found.kv_bytes * found.tensor_parallel - found.cached_tokens * bytes_a_token) < 8 * bytes_a_token
    assert (found.kv_dtype == "fp8") <= (compute >= (8, 9))
    assert 8 <= found.max_seqs <= 128
    assert found.max_seqs % 8 == 0
