"""When a delivery is tried again: the schedule that the Standard Webhooks specification recommends, with jitter."""

import secrets
from collections.abc import Callable

_MINUTE, _HOUR = 60.0, 3600.0
PAUSES = (5.0, 5 * _MINUTE, 30 * _MINUTE, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)))  # 75.6 hours in all
JITTER = 0.2  # a pause is longer by up to this part: those that failed together do not come together
_LONGEST_ASKED = 24 * _HOUR  # that a receiver's Retry-After may put it off


def pause_after(
    step: int, asked: float | None = None, random: Callable[[], float] = secrets.SystemRandom().random
) -> float | None:
    """Seconds after the attempt at that step, from 0; None: it was the last. asked: by the receiver, seconds."""
    if step >= len(PAUSES):
        return None
    return max(PAUSES[step] * (1 + JITTER * random()), min(asked or 0.0, _LONGEST_ASKED))
