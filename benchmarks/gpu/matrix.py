"""What the device can do at best: matrix products in every precision it has, and copies through its memory.

    python -m benchmarks.gpu.matrix [--small] [--seed 0]

Random data (zeros run faster), several sets of it so that the cache does not help, device events, medians. The square
product in float16 is the "matrix peak" that the other benchmarks state their share of; each of them measures it again
in its own run. The other shapes are those of the models: one layer of BGE-M3 over 32k tokens, one of Qwen3-32B over a
prompt of 4096 tokens and over one token. Last line: JSON.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.device import Device
from benchmarks.harness import options, report

SQUARE, SMALL_SQUARE = 8192, 512
SETS = 4
COPY_BYTES, SMALL_COPY_BYTES = 4 << 30, 64 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """tflops: 2 m k n over the time. gb_s: bytes read and written over the time."""

    what: str
    dtype: str
    m: int | None
    k: int | None
    n: int | None
    ms: float
    tflops: float | None = None
    gb_s: float | None = None


def peak(device: Device, dtype: str, *, small: bool = False, seed: int = 0) -> float:
    """TFLOP/s of a square matrix product in `dtype` ("float16", "float32" as TF32 where the device has it, ...)."""
    size = SMALL_SQUARE if small else SQUARE
    return _product(device, "square", dtype, (size, size, size), seed).tflops or 0.0


def products(device: Device, small: bool, seed: int) -> Iterator[Row]:
    size = SMALL_SQUARE if small else SQUARE
    for dtype in dtypes(device):
        yield _product(device, "square", dtype, (size, size, size), seed)
    model = device.dtype if device.cuda else "float32"
    shrink = 16 if small else 1
    for what, m, k, n in (
        ("BGE-M3 projection", 32768, 1024, 1024),
        ("BGE-M3 feed-forward", 32768, 1024, 4096),
        ("Qwen3-32B feed-forward, prefill", 4096, 5120, 25600),
        ("Qwen3-32B feed-forward, decode", 16, 5120, 25600),
    ):
        yield _product(device, what, model, (max(m // shrink, 16), k // shrink, n // shrink), seed)


def dtypes(device: Device) -> list[str]:
    """What the device multiplies in; float8 from compute capability 8.9 on."""
    import torch

    if not device.cuda:
        return ["float32", "bfloat16"]
    float8 = torch.cuda.get_device_capability(device.name) >= (8, 9)
    return ["float16", "bfloat16", "float32", *(["float8_e4m3fn"] if float8 else [])]


def _product(device: Device, what: str, dtype: str, shape: tuple[int, int, int], seed: int) -> Row:
    import torch

    torch.manual_seed(seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    m, k, n = shape
    multiply = _float8 if dtype.startswith("float8") else _plain
    runs = [multiply(device, dtype, shape) for _ in range(SETS)]
    with torch.inference_mode():
        seconds = device.seconds(runs)
    name = "tf32" if dtype == "float32" and device.cuda else dtype
    return Row(what, name, m, k, n, round(seconds * 1000, 4), tflops=round(2 * m * k * n / seconds / 1e12, 3))


def _plain(device: Device, dtype: str, shape: tuple[int, int, int]) -> Callable[[], Any]:
    import torch

    m, k, n = shape
    kind = getattr(torch, dtype)
    left = torch.randn(m, k, device=device.name).to(kind)
    right = torch.randn(k, n, device=device.name).to(kind)
    out = torch.empty(m, n, dtype=kind, device=device.name)
    return lambda: torch.matmul(left, right, out=out)


def _float8(device: Device, dtype: str, shape: tuple[int, int, int]) -> Callable[[], Any]:
    """With one scale a matrix, bfloat16 out; the right side column by column, as the tensor cores want it."""
    import torch

    m, k, n = shape
    kind = getattr(torch, dtype)
    left = torch.randn(m, k, device=device.name).to(kind)
    right = torch.randn(n, k, device=device.name).to(kind).t()
    scale = torch.ones((), device=device.name)
    return lambda: torch._scaled_mm(left, right, scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16)


def copy(device: Device, small: bool) -> Row:
    import torch

    size = SMALL_COPY_BYTES if small else COPY_BYTES
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    seconds = device.seconds([lambda: target.copy_(source)])
    return Row(
        "copy in memory", "bytes", None, None, None, round(seconds * 1000, 4), gb_s=round(2 * size / seconds / 1e9)
    )


def main() -> None:
    given = options(__doc__).parse_args()
    device = Device.find()
    rows = [*products(device, given.small, given.seed), copy(device, given.small)]
    best = max(row.tflops or 0.0 for row in rows if row.dtype == device.dtype and row.what == "square")
    report("gpu.matrix", given, rows, device=device.name, matrix_peak_tflops=best, copy_gb_s=rows[-1].gb_s)


if __name__ == "__main__":
    main()
