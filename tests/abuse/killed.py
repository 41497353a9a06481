"""A server that kills itself at a stage that has a name, the moment that it comes to it.

KILLED_AT is `before` or `after`, and the dotted name of a function or method of the server's; it kills where the file
ARMED is there. Nothing else differs from `ragpod serve`, but that the Korean analyser is loaded when it is needed.
"""

import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from retrieval.passages.tokenize import Tokenizer
from server.app.run import serve
from server.settings.settings import Settings


def deadly(inner: Callable[..., Any], when: str, armed: Path) -> Callable[..., Any]:
    def stage(now: str) -> None:
        if now == when and armed.exists():
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

    @wraps(inner)
    def called(*given: Any, **named: Any) -> Any:
        stage("before")
        result = inner(*given, **named)
        stage("after")
        return result

    @wraps(inner)
    async def awaited(*given: Any, **named: Any) -> Any:
        stage("before")
        result = await inner(*given, **named)
        stage("after")
        return result

    return awaited if inspect.iscoroutinefunction(inner) else called


def put_in(when: str, name: str, armed: Path) -> None:
    """In the module, or the class of it, where the name is looked up."""
    holder, _, last = name.rpartition(".")
    try:
        found: Any = importlib.import_module(holder)
    except ModuleNotFoundError:
        module, _, cls = holder.rpartition(".")
        found = getattr(importlib.import_module(module), cls)
    setattr(found, last, deadly(getattr(found, last), when, armed))


if __name__ == "__main__":
    Tokenizer.warm = lambda self: None  # type: ignore[method-assign]
    if stage := os.environ.get("KILLED_AT"):
        put_in(*stage.split(), Path(os.environ["ARMED"]))
    sys.exit(serve(Settings.load(), lambda url: print(url, flush=True)))
