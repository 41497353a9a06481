"""The embedders of a process: the configured one, and those whose vectors are still searched."""

import logging
from collections.abc import Callable, Sequence

from models.base import Embedder
from models.errors import Unavailable

log = logging.getLogger("ragpod.embedders")


def _none(name: str) -> Embedder:
    raise Unavailable(f"no other embedder than the configured one is loaded here, so not {name}")


class Embedders:
    """By name. current: what new vectors are made with; its giver's to close. load: another one, blocking; raises
    Unavailable.
    """

    def __init__(self, current: Embedder, load: Callable[[str], Embedder] = _none) -> None:
        self.current = current
        self._load = load
        self._others: dict[str, Embedder] = {}
        self._missing: dict[str, str] = {}

    def get(self, name: str | None) -> Embedder | None:
        """None: the current one's."""
        return self.current if name in (None, self.current.name) else self._others.get(str(name))

    @property
    def names(self) -> Sequence[str]:
        return [self.current.name, *self._others]

    def why(self, name: str) -> str | None:
        """Why there is none of that name, as far as that was tried."""
        return self._missing.get(name)

    def need(self, names: Sequence[str]) -> None:
        """Those that can be loaded are there when it returns. One that cannot is not tried again. Blocking."""
        for name in names:
            if self.get(name) is not None or name in self._missing:
                continue
            try:
                self._others[name] = self._load(name)
            except Unavailable as error:
                self._missing[name] = str(error)
                log.warning("vectors of %s cannot be searched: %s", name, error)
            else:
                log.warning("%s is loaded too: there are vectors of it", name)

    def close(self) -> None:
        for embedder in self._others.values():
            embedder.close()
        self._others.clear()
