import pytest

from server.webhooks.schedule import JITTER, PAUSES, pause_after

HOUR = 3600


def test_the_schedule_is_the_specifications() -> None:
    pauses = [pause_after(step, random=lambda: 0.0) for step in range(10)]
    assert pauses == [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR, None]


@pytest.mark.parametrize("step", range(len(PAUSES)))
def test_a_pause_is_longer_by_some_jitter(step: int) -> None:
    each = [pause_after(step) or 0.0 for _ in range(50)]
    assert all(PAUSES[step] <= pause <= PAUSES[step] * (1 + JITTER) for pause in each)
    assert len(set(each)) > 1


@pytest.mark.parametrize(("asked", "pause"), [(None, 5), (3.0, 5), (120.0, 120), (1e9, 24 * HOUR)])
def test_a_receiver_may_ask_for_a_longer_one(asked: float | None, pause: float) -> None:
    assert pause_after(0, asked, lambda: 0.0) == pause
    assert pause_after(len(PAUSES), asked) is None
