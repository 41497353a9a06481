"""Which Qwen3-32B fits a card beside the retrieval models, and the sizes that go with it; pure.

Weights and bytes of a cached token are calculated from the model's config: 64 layers, 8 KV heads of 128, hidden 5120,
vocabulary 151,936 untied. Every other model is served with vLLM's own sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.engines.cards import Card
from models.errors import Unavailable

GIB = 1 << 30
NATIVE_CONTEXT = 40_960  # 32,768 of a question and 8,192 of its answer; more needs rope scaling
_FP8 = (8, 9)  # Ada: the first with FP8 arithmetic
_AMPERE = (8, 0)  # the first with bfloat16; below it neither FP8 weights nor bf16 run
_USABLE = 0.92  # of a card: the rest is the driver's, and fragments
_LARGE = 70.0  # GiB
_SMALL = 30.0
_KV_BYTES = 2 * 64 * 8 * 128  # of a token, times the bytes of an element
_CONTEXTS = (32_768, 16_384, 8_192)
_ROOMY = 5  # answers at full context that the cache must hold before a longer one is offered
_ENOUGH_TOKENS = 32_768  # with less, a smaller checkpoint that leaves more is better
_SCARCE_TOKENS = 65_536  # a smaller bf16 cache is better kept in FP8
_TOKENS_PER_ANSWER = 2_048
_MOST_ANSWERS = 128

Variant = Literal["FP8", "bf16", "AWQ"]
KvDtype = Literal["auto", "fp8"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """weights: GiB on the card, all of them. compute: the least capability that runs it."""

    model: str
    variant: Variant
    weights: float
    compute: tuple[int, int]


# In the order of preference. FP8 beats bf16 on speed and room at no measured loss; cards without FP8 arithmetic run it
# with 16-bit activations (Marlin), which keeps the room. bf16 only by name: see `plan`.
CHECKPOINTS = (
    Checkpoint("Qwen/Qwen3-32B-FP8", "FP8", 32.0, _AMPERE),
    Checkpoint("Qwen/Qwen3-32B-AWQ", "AWQ", 18.3, _AMPERE),
    Checkpoint("Qwen/Qwen3-32B", "bf16", 61.0, _AMPERE),
)
_UNNAMED = CHECKPOINTS[:2]


@dataclass(frozen=True, slots=True)
class CardPlan:
    """Sizes of one engine. kv_bytes, utilization: of each card, in bytes and as the share that vLLM may take in all.

    cached_tokens: that the KV caches of one replica hold. None: vLLM's own choice.
    """

    model: str
    tensor_parallel: int = 1
    context_tokens: int | None = None
    kv_dtype: KvDtype = "auto"
    kv_bytes: int | None = None
    utilization: float | None = None
    cached_tokens: int | None = None
    max_seqs: int | None = None
    batched_tokens: int | None = None


def plan(
    cards: Sequence[Card],
    *,
    model: str | None = None,
    context_tokens: int | None = None,
    tensor_parallel: int | None = None,
    reserved: float | None = None,
) -> CardPlan:
    """The best checkpoint that fits; `model` instead where it is given, sized where it is a Qwen3-32B.

    tensor_parallel: cards of one replica; None: as few as hold it. reserved: GiB of each card for the retrieval models
    and their index. Raises Unavailable, saying what would fit.
    """
    wanted = [checkpoint for checkpoint in CHECKPOINTS if checkpoint.model == model] if model else list(_UNNAMED)
    if not wanted:
        return CardPlan(str(model), tensor_parallel or 1, context_tokens)
    if context_tokens is not None and context_tokens > NATIVE_CONTEXT:
        raise Unavailable(f"Qwen3-32B reads {NATIVE_CONTEXT} tokens at most (asked for: {context_tokens})")
    if not cards:
        raise Unavailable("no NVIDIA card is visible here")
    widths = [tensor_parallel] if tensor_parallel else [width for width in (1, 2, 4, 8) if width <= len(cards)]
    choices = [_fit(one, cards[:width], width, context_tokens, reserved) for one in wanted for width in widths]
    fitting = [choice for choice in choices if choice]
    for choice in fitting:
        if (choice.cached_tokens or 0) >= _ENOUGH_TOKENS:
            return choice
    if fitting:
        return max(fitting, key=lambda choice: choice.cached_tokens or 0)
    raise Unavailable(_shortage(cards, wanted, reserved))


def _fit(
    checkpoint: Checkpoint, cards: Sequence[Card], width: int, context_tokens: int | None, reserved: float | None
) -> CardPlan | None:
    """Every card holds its share of the weights and of each cached token, and the retrieval models may be on any."""
    if len(cards) < width or min(card.compute for card in cards) < checkpoint.compute:
        return None
    total = min(card.memory for card in cards)
    taken = _kept(total, reserved) + checkpoint.weights / width + _runtime(total)
    room = max(0.0, total * _USABLE - taken) * width * GIB
    scarce = room / (2 * _KV_BYTES) < _SCARCE_TOKENS
    fp8 = scarce and min(card.compute for card in cards) >= _FP8
    tokens = int(room / (_KV_BYTES * (1 if fp8 else 2)))
    context = context_tokens or next((size for size in _CONTEXTS if tokens >= size * _ROOMY), _CONTEXTS[-1])
    if tokens < context:
        return None
    return CardPlan(
        model=checkpoint.model,
        tensor_parallel=width,
        context_tokens=context,
        kv_dtype="fp8" if fp8 else "auto",
        kv_bytes=int(room / width),
        utilization=int((_USABLE - _kept(total, reserved) / total) * 100) / 100,
        cached_tokens=tokens,
        max_seqs=max(8, min(_MOST_ANSWERS, tokens // _TOKENS_PER_ANSWER // 8 * 8)),
        batched_tokens=8192 if total >= _LARGE else 4096,
    )


def _kept(memory: float, reserved: float | None) -> float:
    """GiB for BGE-M3 and the reranker (1.1 GiB each in fp16), their batches and a million vectors (2 GiB)."""
    if reserved is not None:
        return reserved
    return 8.0 if memory >= _SMALL else 5.0


def _runtime(memory: float) -> float:
    """GiB for CUDA, the activations of one batch and CUDA graphs."""
    return 4.0 if memory >= _SMALL else 3.0


def _shortage(cards: Sequence[Card], wanted: Sequence[Checkpoint], reserved: float | None) -> str:
    smallest = min(wanted, key=lambda checkpoint: checkpoint.weights)
    have = f"here: {', '.join(str(card) for card in cards)}"
    least = f"compute capability {smallest.compute[0]}.{smallest.compute[1]} or newer"
    if max(card.compute for card in cards) < smallest.compute:
        return f"{smallest.model} needs a card of {least} ({have})"
    one, two = (_needed(smallest, width, reserved) for width in (1, 2))
    return (
        f"{smallest.model} beside the retrieval models needs one card of {one:.0f} GiB or two of {two:.0f}, {least} "
        f"({have}); or name an engine elsewhere by its URL"
    )


def _needed(checkpoint: Checkpoint, width: int, reserved: float | None) -> float:
    """GiB of each of `width` cards for the shortest context, in a bf16 cache."""
    share = (checkpoint.weights + 2 * _KV_BYTES * _CONTEXTS[-1] / GIB) / width
    for size in (0.0, _SMALL):  # what is kept free depends on the card's own size
        total = (share + _kept(size, reserved) + _runtime(size)) / _USABLE
        if total < _SMALL:
            return total
    return total
