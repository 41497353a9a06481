"""Server-sent events, read incrementally: bytes in, the data of whole events out; pure.

WHATWG HTML, section 9.2.6 (parsing an event stream), for streams whose events differ only in their data: comments
and the fields `event`, `id`, `retry` are skipped. Everything stays bytes until an event is whole, so a character cut by
a read is never seen cut.
"""

EVENT_BYTES = 8 << 20


class SseError(ValueError):
    """An event longer than the limit: not an event stream, or one that would never end."""


class SseParser:
    """Any cutting of the same bytes gives the same events."""

    def __init__(self, event_bytes: int = EVENT_BYTES) -> None:
        self._limit = event_bytes
        self._line = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of every event that `chunk` completes, lines joined by \\n. Raises SseError past the limit."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._newlines(chunk)
        lines = (self._line + chunk).split(b"\n")
        self._line = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._size = [], 0
            elif line == b"data":
                self._append(b"")
        if self._size + len(self._line) > self._limit:
            raise SseError(f"an event is longer than {self._limit} bytes")
        return events

    def _append(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + 1

    def _newlines(self, chunk: bytes) -> bytes:
        """CRLF and CR as LF. A CR at the end of one chunk and the LF at the start of the next are one line end."""
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
