"""The C allocator's arenas, held to two for the whole process."""

import ctypes

_M_ARENA_MAX = -8  # glibc: malloc.h


def limit_arenas(count: int = 2) -> bool:
    """Call it before threads start; False where the C library has no such setting.

    glibc gives each busy thread an arena of its own, up to eight a core, and what one has freed no other reuses. With
    an embedder, two indexes and their workers that was 240 MB kept for nothing after 120 ingests, and still growing
    (benchmarks/memory.py).
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, count))
    except (OSError, AttributeError):
        return False
