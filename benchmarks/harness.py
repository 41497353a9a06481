"""What every benchmark needs: options, fair timing, quantiles, the environment, a table and last a line of JSON.

    given = options(__doc__).parse_args()
    took = alternated({"ours": ours, "theirs": theirs}, Effort(repeats=20))
    rows = [Row(name, 1000 * median(seconds)) for name, seconds in took.items()]
    report("encoders", given, rows)

Imports nothing heavy: what a library's version is comes from its metadata, the GPU's state from nvidia-smi.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

LIBRARIES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "FlagEmbedding",
    "vllm",
    "triton",
    "numpy",
    "faiss-cpu",
    "faiss-gpu",
    "onnxruntime",
)
GPU_FIELDS = (
    "name",
    "driver_version",
    "memory.total",
    "memory.used",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """Of one measurement: `repeats` after `warm_up`; once `seconds` are over fewer, but `least`."""

    repeats: int = 20
    warm_up: int = 2
    least: int = 3
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds of one measurement's repeats."""

    p50: float
    p95: float
    p99: float
    repeats: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        p50, p95, p99 = (round(quantile(seconds, q) * 1000, 3) for q in (0.5, 0.95, 0.99))
        return cls(p50, p95, p99, len(seconds))


def options(doc: str | None) -> argparse.ArgumentParser:
    """--seed, --small and --brief, with the module's docstring as the help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="sizes for a CPU in CI: shows that it runs, no more")
    parser.add_argument("--brief", action="store_true", help="the most telling cells, for a card paid by the minute")
    return parser


def alternated(
    variants: Mapping[str, Callable[[], object]], effort: Effort, synchronize: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of every repeat of every variant, taken in turns, so that a machine that slows down slows all alike.

    synchronize: waits for the device; called before the clock is read, at both ends. A single variant is a fair call.
    """
    for _ in range(effort.warm_up):
        for run in variants.values():
            run()
    took: dict[str, list[float]] = {name: [] for name in variants}
    begun = time.perf_counter()
    for done in range(effort.repeats):
        if done >= effort.least and time.perf_counter() - begun > effort.seconds:
            break
        for name, run in variants.items():
            synchronize()
            since = time.perf_counter()
            run()
            synchronize()
            took[name].append(time.perf_counter() - since)
    return took


def quantile(values: Sequence[float], q: float) -> float:
    """Between the two nearest of the sorted values, linearly; q in 0..1. Raises ValueError where there is none."""
    if not values:
        raise ValueError("no values, so no quantile")
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def table(rows: Sequence[Any]) -> str:
    """A Markdown table of dataclasses or mappings of one kind: a column a field, None empty, floats in 4 digits."""
    cells = [_plain(row) for row in rows]
    if not cells:
        return "(no rows)"
    names = list(dict.fromkeys(name for row in cells for name in row))
    numeric = {name: all(isinstance(row.get(name), int | float | None) for row in cells) for name in names}
    lines = [
        "| " + " | ".join(names) + " |",
        "|" + "|".join("---:" if numeric[name] else "---" for name in names) + "|",
    ]
    lines += ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in cells]
    return "\n".join(lines)


def report(benchmark: str, given: argparse.Namespace, rows: Sequence[Any], **more: Any) -> None:
    """The table, then one line of JSON, the last of the output: options, environment, rows and what else is given."""
    print(table(rows))
    shown = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
    result = {"benchmark": benchmark, "options": shown, **more, "environment": environment()}
    print(json.dumps(result | {"rows": [_plain(row) for row in rows]}, ensure_ascii=False), flush=True)


def note(row: Any) -> None:
    """A row as soon as it is measured, on stderr: what is left of a run that is ended early."""
    print(json.dumps(_plain(row), ensure_ascii=False), file=sys.stderr, flush=True)


def skip(benchmark: str, reason: str) -> None:
    """The last line of a benchmark that cannot run here, and why; the exit code stays 0."""
    print(f"{benchmark}: skipped: {reason}")
    print(json.dumps({"benchmark": benchmark, "skipped": reason, "environment": environment()}), flush=True)


def environment() -> dict[str, Any]:
    """Processor, memory, load, versions, and the GPUs as nvidia-smi sees them now."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "cuda": getattr(getattr(sys.modules.get("torch"), "version", None), "cuda", None),
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, str]]:
    """One mapping a GPU, nvidia-smi's fields and units; empty without an NVIDIA driver."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return []
    command = [smi, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if listed.returncode:
        return [{"error": (listed.stderr or listed.stdout).strip()}]
    lines = [line.split(", ") for line in listed.stdout.strip().splitlines()]
    return [dict(zip(GPU_FIELDS, line, strict=True)) for line in lines]


def median_ms(seconds: Sequence[float]) -> float:
    return round(median(seconds) * 1000, 3)


def _plain(row: Any) -> dict[str, Any]:
    return asdict(row) if is_dataclass(row) and not isinstance(row, type) else dict(row)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "\\|")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
