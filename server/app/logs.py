"""The log's lines: one a record, and nothing in them acts on the terminal that shows them."""

import logging
from types import TracebackType

from retrieval.characters import shown_name

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """A name from outside (a file, a store, an engine's words) neither begins a line nor turns one around."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = shown_name(record.message)
        return super().formatMessage(record)

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """Lines of a traceback stay lines."""
        return "\n".join(shown_name(line) for line in super().formatException(ei).split("\n"))


def log_in_lines(level: int = logging.WARNING) -> None:
    """As logging.basicConfig: once, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler])
