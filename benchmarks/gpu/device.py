"""The device that is measured, and how its time and memory are read. On a machine without a GPU it is the CPU."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """name: as torch has it, "cuda:0" or "cpu"."""

    name: str

    @classmethod
    def find(cls) -> "Device":
        """The first GPU; the CPU where there is none, or no torch."""
        try:
            import torch
        except ImportError:
            return cls("cpu")
        return cls("cuda:0" if torch.cuda.is_available() else "cpu")

    @property
    def cuda(self) -> bool:
        return self.name != "cpu"

    @property
    def dtype(self) -> str:
        """What the models run in: as `auto` in the settings."""
        return "float16" if self.cuda else "float32"

    def synchronize(self) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize(self.name)

    def seconds(self, runs: Sequence[Callable[[], object]], *, repeats: int = 10, warm_up: int = 2) -> float:
        """Of one run: median over `repeats` passes through `runs`, by device events (by the clock on a CPU).

        Several runs of one kind over different data keep the data out of the cache.
        """
        for _ in range(warm_up):
            for run in runs:
                run()
        return median(self._pass(runs) for _ in range(repeats)) / len(runs)

    def _pass(self, runs: Sequence[Callable[[], object]]) -> float:
        if not self.cuda:
            since = time.perf_counter()
            for run in runs:
                run()
            return time.perf_counter() - since
        import torch

        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.name)
        begun.record()
        for run in runs:
            run()
        ended.record()
        torch.cuda.synchronize(self.name)
        return float(begun.elapsed_time(ended)) / 1000

    def free_memory(self) -> None:
        """Gives back what nothing refers to, and forgets the largest use so far."""
        if self.cuda:
            import gc

            import torch

            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.name)

    def memory_gib(self) -> dict[str, float] | None:
        """held: by tensors now; largest: since free_memory; used: of the card, by every process."""
        if not self.cuda:
            return None
        import torch

        free, total = torch.cuda.mem_get_info(self.name)
        figures: dict[str, Any] = {
            "held": torch.cuda.memory_allocated(self.name),
            "largest": torch.cuda.max_memory_allocated(self.name),
            "used": total - free,
        }
        return {name: round(value / 2**30, 2) for name, value in figures.items()}
