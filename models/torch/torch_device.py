"""torch, imported here alone, and the device and number format that a model gets of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from models.errors import Overloaded, Unavailable
from models.packages import command

Item = TypeVar("Item")
Result = TypeVar("Result")


def import_torch() -> Any:
    """The module. Raises Unavailable where it is not installed or its libraries do not load."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Unavailable(f"torch cannot be imported ({error}): {command('torch', 'transformers')}") from error
    return torch


def choose_device(name: str) -> Any:
    """torch.device of "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N". Raises Unavailable."""
    torch = import_torch()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Unavailable(f"device {name!r}: not the name of a device; known are auto, cpu, cuda and cuda:N") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise Unavailable(f"device {name!r}: not supported; known are auto, cpu, cuda and cuda:N")
    if not torch.cuda.is_available():
        raise Unavailable(f"device {name!r}: torch {torch.__version__} finds no CUDA GPU")
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise Unavailable(f"device {name!r}: there are only {torch.cuda.device_count()} GPUs, counted from 0")
    return torch.device("cuda", index)


def choose_dtype(name: str, device: Any) -> Any:
    """torch.dtype of "auto" (float16 on a GPU, float32 on the CPU), "float32", "float16" or "bfloat16"."""
    torch = import_torch()
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in ("float32", "float16", "bfloat16"):
        raise Unavailable(f"dtype {name!r}: known are auto, float32, float16 and bfloat16")
    return getattr(torch, name)


@dataclass(frozen=True, slots=True)
class PassSize:
    """Tokens of a forward pass of BGE-M3 or its reranker. budget: padding included. padding: see Batcher."""

    budget: int
    padding: int


def pass_size(device: Any, budget: int | None = None) -> PassSize:
    """On a GPU a tenth of a second or less, which is the longest that a query waits behind an ingest; on the CPU about
    a second, and small enough to share.

    A pass of any size takes a GPU some ten milliseconds of launches, in which it computes thousands of tokens, but a
    CPU only what some dozens of tokens take.
    """
    return PassSize(budget or 1024, 64) if device.type == "cpu" else PassSize(budget or 16384, 2048)


def in_halves(run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """run(items); where the device has too little memory for that, of each half in turn, and so on down to one.

    Raises Overloaded where one item alone is too much: other work holds the memory.
    """
    torch = import_torch()
    try:
        return run(items)
    except torch.OutOfMemoryError as error:
        failure = str(error)
    # Only here has the traceback let go of the failed pass's tensors.
    torch.cuda.empty_cache()
    if len(items) == 1:
        raise Overloaded(f"no memory left on the device for one text: {failure}")
    middle = len(items) // 2
    return [*in_halves(run, items[:middle]), *in_halves(run, items[middle:])]
