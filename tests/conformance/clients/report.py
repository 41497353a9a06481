"""One line of JSON on stdout for each thing that a client did with the server, and how that went."""

import json
import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def told(suite: str, check: str, outcome: str, detail: str = "") -> None:
    print(json.dumps({"suite": suite, "check": check, "outcome": outcome, "detail": detail}), flush=True)


@contextmanager
def doing(suite: str, check: str) -> Iterator[None]:
    """Whatever is raised inside is a failure of this check, and the next one goes on."""
    try:
        yield
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        told(suite, check, "failed", f"{type(error).__name__}: {error} ({frame.name}: {frame.line})"[:600])
    else:
        told(suite, check, "passed")


@contextmanager
def refused(kind: type[Exception], status: int, code: str | None = None) -> Iterator[None]:
    """The SDK raises its own class for the status, with the API's code where one is named."""
    raised: Any = None
    try:
        yield
    except kind as error:
        raised = error
    assert raised is not None, f"no {kind.__name__}"
    assert raised.status_code == status, raised
    assert raised.message
    assert code is None or raised.code == code, raised.code


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Near 1 where it is the same text: one that shares its pass of the model with others differs a little."""
    return _dot(one, other) / math.sqrt(_dot(one, one) * _dot(other, other))


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
